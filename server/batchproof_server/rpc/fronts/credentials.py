"""The server's side of TLS, for every front: reads the files and checks their size."""

from pathlib import Path

import grpc

from batchproof_server.base.files import read_start
from batchproof_server.base.listener import PortUnavailable
from batchproof_server.rpc.settings import TlsSettings

_MAX_PEM_BYTES = 4 << 20


def server_credentials(tls: TlsSettings) -> grpc.ServerCredentials:
    """The certificate that a port shows, and whom it lets in.

    Raises:
        PortUnavailable: a file cannot be read or is too large. Whether they fit together shows when
            the port is opened.
    """
    pair = (_read(tls.key), _read(tls.certificate))
    client_ca = None if tls.client_ca is None else _read(tls.client_ca)
    return grpc.ssl_server_credentials(
        [pair], root_certificates=client_ca, require_client_auth=client_ca is not None
    )


def _read(file: Path) -> bytes:
    try:
        content = read_start(file, _MAX_PEM_BYTES)
    except OSError as fault:
        raise PortUnavailable(f"TLS: {file} cannot be read") from fault
    if len(content) > _MAX_PEM_BYTES:
        raise PortUnavailable(f"TLS: {file} has more than {_MAX_PEM_BYTES} bytes")
    return content
