"""Callers with names, and the tokens that show them."""

from collections.abc import Mapping
from pathlib import Path

from batchproof_server.callers.settings import AccessSettings, CallerSettings
from batchproof_server.callers.tokens import KnownToken, new_token

DAY = "2026-01-31"


class TokensOnDisk:
    """A file of tokens, as the command keeps it.

    Args:
        file: to write.
        names: callers, of whom each gets a token.
    """

    def __init__(self, file: Path, *names: str) -> None:
        self.file = file
        self.of: dict[str, str] = {}
        self._known: dict[str, KnownToken] = {}
        for name in names:
            self.of[name], self._known[name] = new_token(name, DAY)
        self._write()

    def revoke(self, name: str) -> None:
        """Forgets a caller's token, in the file."""
        del self._known[name]
        self._write()

    def bearing(self, name: str) -> tuple[tuple[str, str], ...]:
        """The metadata of a caller's call."""
        return (("authorization", f"Bearer {self.of[name]}"),)

    def access(self, callers: Mapping[str, CallerSettings]) -> AccessSettings:
        """The configuration."""
        return AccessSettings(str(self.file), callers)

    def _write(self) -> None:
        self.file.write_text("".join(f"{each.line()}\n" for each in self._known.values()))
