"""The files of a port that speaks TLS, which may change while it is open."""

import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from batchproof_server.base.files import read_start, reason_of
from batchproof_server.base.listener import PortUnavailable
from batchproof_server.rpc.settings import TlsSettings

_MAX_PEM_BYTES: Final = 4 << 20
_Made = TypeVar("_Made")
# Of each file what tells that it is another one: a file that is replaced, written, or linked anew.
_State: TypeAlias = tuple[tuple[int, int, int], ...]


# Contract: whatever is made of the files is made of ones that belong together, so that a
# certificate and a key of which only one was replaced so far change nothing. Whoever renews asks
# before each handshake, on one thread at a time; connections that are open keep what they began
# with.
class TlsFiles:
    """A certificate, its key, and perhaps the authority of clients.

    Args:
        tls: names them.
        section: begins messages.
    """

    def __init__(self, tls: TlsSettings, section: str) -> None:
        self._tls = tls
        self._section = section
        self._state: _State = ()

    @property
    def ask_clients(self) -> bool:
        """Whether callers need a certificate."""
        return self._tls.client_ca is not None

    def first(self, make: Callable[[], _Made]) -> _Made:
        """What ``make`` makes of them.

        Raises:
            PortUnavailable: they cannot be read, or do not do.
        """
        self._state = self._look()
        self.load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        return make()

    def renewed(self, make: Callable[[], _Made]) -> _Made | None:
        """What ``make`` makes of them when they are others; None where all stays as it is."""
        try:
            if (state := self._look()) == self._state:
                return None
            self.load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            made = make()
        except PortUnavailable:
            return None  # a file is being replaced; the next connection asks again
        self._state = state
        return made

    def load(self, context: ssl.SSLContext) -> None:
        """Has a context of a server use them.

        Raises:
            PortUnavailable: they cannot be read, or do not do.
        """
        self.read()
        try:
            context.load_cert_chain(self._tls.certificate, self._tls.key, password=_no_password)
            if self._tls.client_ca is not None:
                context.load_verify_locations(self._tls.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as fault:  # of which those of TLS are some
            raise PortUnavailable(
                f"{self._section}: {self._tls.certificate} and {self._tls.key} are no certificate "
                f"and its key in PEM format, or client_ca is no certificate: {fault}"
            ) from fault

    def read(self) -> tuple[bytes, bytes, bytes | None]:
        """Certificate, key, and authority, in PEM format.

        Raises:
            PortUnavailable: one cannot be read.
        """
        authority = self._tls.client_ca
        return (
            self._pem(self._tls.certificate),
            self._pem(self._tls.key),
            None if authority is None else self._pem(authority),
        )

    def _pem(self, file: Path) -> bytes:
        try:
            content = read_start(file, _MAX_PEM_BYTES)
        except OSError as fault:
            raise self._unreadable(fault) from fault
        if len(content) > _MAX_PEM_BYTES:
            raise PortUnavailable(f"{self._section}: {file} has more than {_MAX_PEM_BYTES} bytes")
        return content

    def _look(self) -> _State:
        try:
            return _state((self._tls.certificate, self._tls.key, self._tls.client_ca))
        except OSError as fault:
            raise self._unreadable(fault) from fault

    def _unreadable(self, fault: OSError) -> PortUnavailable:
        return PortUnavailable(
            f"{self._section}: {fault.filename} cannot be read ({reason_of(fault)})"
        )


def _state(paths: Iterable[Path | None]) -> _State:
    found = [path.stat() for path in paths if path is not None]
    return tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in found)


def _no_password() -> str:
    """Instead of a question on the terminal."""
    raise ValueError("the key is encrypted")
