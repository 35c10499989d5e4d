"""Which pictures the arguments of ``batchproof predict`` mean."""

import glob
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchproof_client.errors import LocalInputError

STANDARD_INPUT: Final = "-"
# What the wire contract says that a server takes.
SUFFIXES: Final = (".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".png", ".webp")


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture to ask about.

    Attributes:
        name: as the user knows it.
        fault: why it cannot be sent; empty when it may be.
    """

    name: str
    fault: str = ""


def expand(arguments: Iterable[str]) -> tuple[Picture, ...]:
    """Returns the pictures in the order of the arguments, sorted within a folder or pattern.

    An argument that means no picture becomes one picture with its fault.
    """
    return tuple(picture for argument in arguments for picture in _expand_one(argument))


def read_standard_input() -> bytes:
    """The picture that another program writes; may wait for it.

    Raises:
        LocalInputError: there is none.
    """
    content = sys.stdin.buffer.read()
    if not content:
        raise LocalInputError("standard input is empty, expected a picture")
    return content


def _expand_one(argument: str) -> list[Picture]:
    path = Path(argument)
    if argument == STANDARD_INPUT:
        return [Picture(argument)]
    if path.is_dir():
        return _folder(path) or [Picture(argument, f"no {', '.join(SUFFIXES)} in this folder")]
    if path.exists() or not glob.has_magic(argument):
        return [Picture(argument)]
    return _pattern(argument) or [Picture(argument, "no file matches this pattern")]


def _folder(folder: Path) -> list[Picture]:
    return [
        Picture(str(path))
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file()
    ]


def _pattern(pattern: str) -> list[Picture]:
    # The user may have typed a pattern that pathlib cannot take, such as an absolute one.
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - see above
    return [Picture(match) for match in matches if Path(match).is_file()]
