"""The certificates of the web port, which may change while it is open."""

import asyncio
import ssl
from typing import Any

from batchproof_server.rpc.settings import TlsSettings
from batchproof_server.rpc.tls_files import TlsFiles


class WebCertificates:
    """A context of TLS 1.2 and 1.3, renewed when its files are others.

    Args:
        tls: names the files.

    Raises:
        PortUnavailable: they cannot be read, or do not do.
    """

    def __init__(self, tls: TlsSettings) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._files = TlsFiles(tls, "web.tls")
        self._files.first(self._load)

    def renew(self) -> None:
        """Reads the files again if they have changed; to be called before each handshake."""
        self._files.renewed(self._load)

    def _load(self) -> None:
        self._files.load(self.context)


def subjects_of(transport: asyncio.BaseTransport) -> tuple[str, ...]:
    """The subjects of the client's certificate, which was verified; none without one."""
    certificate: dict[str, Any] = transport.get_extra_info("peercert") or {}
    parts = (part for parts in certificate.get("subject", ()) for part in parts)
    names = [f"CN={value}" for key, value in parts if key == "commonName"]
    return (*names, *(f"SAN={value}" for _, value in certificate.get("subjectAltName", ())))
