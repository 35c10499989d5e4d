"""The certificates of the web port, which may change while it is open."""

import ssl
from pathlib import Path
from typing import Final

from batchproof_server.base.files import reason_of
from batchproof_server.base.listener import PortUnavailable
from batchproof_server.rpc.settings import TlsSettings


# Contract: files that changed are loaded into a context of their own first, so that a certificate
# and a key that do not belong together, as while they are replaced, change nothing. Connections
# that are open keep what they began with.
class WebCertificates:
    """A context of TLS 1.2 and 1.3, renewed when its files are others.

    Args:
        tls: names the files.

    Raises:
        PortUnavailable: they cannot be read, or do not do.
    """

    def __init__(self, tls: TlsSettings) -> None:
        self._tls = tls
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            self._state = self._stat()
            self._load(self.context)
        except (OSError, ValueError) as fault:  # of which those of TLS are some
            reason = reason_of(fault) if isinstance(fault, OSError) else str(fault)
            raise PortUnavailable(
                f"web.tls: {tls.certificate} and {tls.key} are no certificate and its key in PEM "
                f"format, or client_ca is no certificate: {reason}"
            ) from fault

    def renew(self) -> None:
        """Reads the files again if they have changed; to be called before each handshake."""
        try:
            state = self._stat()
            if state == self._state:
                return
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            self._load(self.context)
        except (OSError, ValueError):
            return  # a file is being replaced; the next connection asks again
        self._state = state

    def _load(self, context: ssl.SSLContext) -> None:
        context.load_cert_chain(self._tls.certificate, self._tls.key, password=_no_password)
        if self._tls.client_ca is not None:
            context.load_verify_locations(self._tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED

    def _stat(self) -> tuple[tuple[int, int, int], ...]:
        found = [path.stat() for path in self._paths()]
        return tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in found)

    def _paths(self) -> list[Path]:
        paths = (self._tls.certificate, self._tls.key, self._tls.client_ca)
        return [path for path in paths if path is not None]


def _no_password() -> str:
    """Instead of a question on the terminal."""
    raise ValueError(_ENCRYPTED)


_ENCRYPTED: Final = "the key is encrypted"
