"""The certificates of a port that speaks TLS, which may change while it is open."""

import ssl
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeAlias

import grpc

from batchproof_server.base.files import read_start
from batchproof_server.base.listener import PortUnavailable
from batchproof_server.rpc.settings import TlsSettings

_MAX_PEM_BYTES: Final = 4 << 20
# Of each file what tells that it is another one: a file that is replaced, written, or linked anew.
_State: TypeAlias = tuple[tuple[int, int, int], ...]


# Contract: safe in any thread; gRPC asks on threads of its own, before each handshake. Connections
# that are open keep what they began with. gRPC refuses a certificate and a key that do not belong
# together, says so on standard error and goes on with the ones before: so the files may be replaced
# one after the other, in any order.
class CertificateFiles:
    """Files that are read again when they have changed.

    Args:
        tls: names them.
    """

    def __init__(self, tls: TlsSettings) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._state: _State = ()

    def credentials(self) -> grpc.ServerCredentials:
        """What a port is opened with, of any server of grpcio. It offers TLS 1.2 and 1.3.

        Raises:
            PortUnavailable: a file cannot be read, or they do not do.
        """
        self._state = _state(self._paths())
        self._check()
        return grpc.dynamic_ssl_server_credentials(
            self._read(),
            self._changed,  # type: ignore[arg-type] # None means no change, says its documentation
            require_client_authentication=self._asks_clients,
        )

    @property
    def _asks_clients(self) -> bool:
        return self._tls.client_ca is not None

    def _paths(self) -> list[Path]:
        paths = (self._tls.key, self._tls.certificate, self._tls.client_ca)
        return [path for path in paths if path is not None]

    def _read(self) -> grpc.ServerCertificateConfiguration:
        key, certificate, *client_ca = map(_pem, self._paths())
        return grpc.ssl_server_certificate_configuration(
            [(key, certificate)], root_certificates=client_ca[0] if client_ca else None
        )

    def _check(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            for path in self._paths():
                _pem(path)
            context.load_cert_chain(self._tls.certificate, self._tls.key, password=_no_password)
            if self._tls.client_ca is not None:
                context.load_verify_locations(self._tls.client_ca)
        except (ssl.SSLError, ValueError) as fault:
            raise PortUnavailable(
                f"TLS: {self._tls.certificate} and {self._tls.key} are no certificate and its key "
                "in PEM format, or client_ca is no certificate"
            ) from fault

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """The files if they are others than last time; None keeps what there is."""
        with self._lock:
            try:
                state = _state(self._paths())
                if state == self._state:
                    return None
                configuration = self._read()
            except (OSError, PortUnavailable):
                return None  # a file is being replaced; the next connection asks again
            self._state = state
            return configuration


def _state(paths: Iterable[Path]) -> _State:
    try:
        found = [path.stat() for path in paths]
    except OSError as fault:
        raise PortUnavailable(f"TLS: {fault.filename} cannot be read") from fault
    return tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in found)


def _pem(file: Path) -> bytes:
    try:
        content = read_start(file, _MAX_PEM_BYTES)
    except OSError as fault:
        raise PortUnavailable(f"TLS: {file} cannot be read") from fault
    if len(content) > _MAX_PEM_BYTES:
        raise PortUnavailable(f"TLS: {file} has more than {_MAX_PEM_BYTES} bytes")
    return content


def _no_password() -> str:
    """Instead of a question on the terminal."""
    raise ValueError("the key is encrypted")
