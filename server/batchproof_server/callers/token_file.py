"""The file of the tokens, which may change while the server runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from batchproof_server.base.clock import Clock
from batchproof_server.base.files import read_text
from batchproof_server.callers.tokens import KnownToken, Tokens, read_tokens

_MAX_FILE_BYTES: Final = 4 << 20
_LOOKED_AT_EVERY_S: Final = 1.0
_State: TypeAlias = tuple[int, int, int]


def read_file(file: Path) -> tuple[KnownToken, ...]:
    """The tokens of a file.

    Raises:
        ValueError: it cannot be read, or a line is no token.
    """
    try:
        return read_tokens(read_text(file, _MAX_FILE_BYTES))
    except OSError as fault:
        raise ValueError(f"{file}: {fault.strerror or 'cannot be read'}") from fault
    except ValueError as fault:
        raise ValueError(f"{file}: {fault}") from fault


# Contract: what is known is that of the file a second ago at most. A file that cannot be read, or
# is half written, changes nothing, and whoever listens is told once for each state of it.
class TokenFile:
    """Tokens that are read again when their file changes; on the loop thread.

    Args:
        file: of the tokens.
        clock: says when to look.
        report: told of a file that cannot be read.

    Raises:
        ValueError: it cannot be read now.
    """

    def __init__(self, file: Path, clock: Clock, report: Callable[[Exception], None]) -> None:
        self._file = file
        self._clock = clock
        self._report = report
        self._state = self._look()
        self._tokens = Tokens(read_file(file))
        self._look_at_s = clock.now_s() + _LOOKED_AT_EVERY_S

    def name_of(self, token: str) -> str | None:
        """Who bears a token; None where nobody does."""
        if self._clock.now_s() >= self._look_at_s:
            self._look_at_s = self._clock.now_s() + _LOOKED_AT_EVERY_S
            self._renew()
        return self._tokens.name_of(token)

    def _renew(self) -> None:
        if (state := self._look()) == self._state:
            return
        self._state = state
        try:
            self._tokens = Tokens(read_file(self._file))
        except ValueError as fault:
            self._report(fault)

    def _look(self) -> _State | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns
