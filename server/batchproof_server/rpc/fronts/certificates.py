"""The certificates of a port of gRPC that speaks TLS, which may change while it is open."""

import threading
from collections.abc import Iterable, Mapping

import grpc

from batchproof_server.rpc.settings import TlsSettings
from batchproof_server.rpc.tls_files import TlsFiles


# Contract: safe in any thread; gRPC asks on threads of its own, before each handshake.
class CertificateFiles:
    """Credentials that are made again when their files have changed.

    Args:
        tls: names the files.
    """

    def __init__(self, tls: TlsSettings) -> None:
        self._files = TlsFiles(tls, "TLS")
        self._lock = threading.Lock()

    def credentials(self) -> grpc.ServerCredentials:
        """What a port is opened with, of any server of grpcio. It offers TLS 1.2 and 1.3.

        Raises:
            PortUnavailable: a file cannot be read, or they do not do.
        """
        return grpc.dynamic_ssl_server_credentials(
            self._files.first(self._configuration),
            self._changed,  # type: ignore[arg-type] # None means no change, says its documentation
            require_client_authentication=self._files.ask_clients,
        )

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        certificate, key, authority = self._files.read()
        return grpc.ssl_server_certificate_configuration(
            [(key, certificate)], root_certificates=authority
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Of the files if they are others than last time; None keeps what there is."""
        with self._lock:
            return self._files.renewed(self._configuration)


def subjects_in(context: Mapping[str | bytes, Iterable[bytes]]) -> tuple[str, ...]:
    """The subjects of a client's certificate, as ``CallerSettings`` writes them.

    Args:
        context: what gRPC knows of the connection, which verified the certificate.
    """
    return tuple(
        f"{form}={name.decode('utf-8', 'replace')}"
        for key, names in context.items()
        if (form := _FORMS.get(key if isinstance(key, str) else key.decode())) is not None
        for name in names
    )


_FORMS = {"x509_common_name": "CN", "x509_subject_alternative_name": "SAN"}
