"""``batchproof-server token``: the file that knows the tokens of callers."""

import stat
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from batchproof_server.base.clock import utc_now
from batchproof_server.base.files import write_whole
from batchproof_server.callers.token_file import read_file
from batchproof_server.callers.tokens import KnownToken, new_token
from batchproof_server.commands.tables import table
from batchproof_server.commands.terminal import write, write_error

_FAILED: Final = 1
_USAGE: Final = 2
_PRIVATE: Final = 0o600
_HEADER: Final = "# Tokens of callers, hashed. batchproof-server token add|list|revoke keeps it.\n"


def token(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0 when it was done, 1 when there is no such token, 2 for wrong usage.
    """
    try:
        known = _known(arguments.file)
        if arguments.order == "add":
            return _add(arguments.file, known, arguments.name)
        if arguments.order == "revoke":
            return _revoke(arguments.file, known, arguments.which)
    except (ValueError, OSError) as fault:
        write_error(str(fault))
        return _USAGE
    rows = [("CALLER", "ID", "MADE"), *((each.name, each.id, each.made) for each in known)]
    write("\n".join(table(rows, left=len(rows[0]))))
    return 0


def _known(file: Path) -> tuple[KnownToken, ...]:
    return read_file(file) if file.exists() else ()


def _add(file: Path, known: tuple[KnownToken, ...], name: str) -> int:
    made, kept = new_token(name, utc_now()[: len("2026-01-31")])
    _save(file, (*known, kept))
    write(made)
    return 0


def _revoke(file: Path, known: tuple[KnownToken, ...], which: str) -> int:
    left = tuple(each for each in known if which not in (each.id, each.name))
    if len(left) == len(known):
        write_error(f"{file} knows no token with this id or of this caller; token list shows them")
        return _FAILED
    _save(file, left)
    gone = len(known) - len(left)
    write(f"revoked {gone} token{'s' if gone > 1 else ''}")
    return 0


def _save(file: Path, known: Iterable[KnownToken]) -> None:
    lines = "".join(f"{each.line()}\n" for each in known)
    mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else _PRIVATE
    write_whole(file, _HEADER + lines, mode)
