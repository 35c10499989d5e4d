"""Where the files of captured rows are: what a folder on disk and an object store both can do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from batchproof_server.base.files import write_bytes


class KeptFile(NamedTuple):
    """A file that is there.

    Attributes:
        path: from the top, its parts divided by ``/``.
    """

    path: str
    size_bytes: int


# Contract: a file is there whole or not at all. Whatever fails raises OSError, and nothing waits
# without end. Called by one thread.
class KeptFiles(Protocol):
    """The files below one top, which one server owns."""

    def open(self) -> None:
        """Finds out whether files can be written, and removes what was left half written."""
        ...

    def files(self) -> Iterator[KeptFile]:
        """All that are there."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Writes a file, or takes the place of one."""
        ...

    def remove(self, path: str) -> None:
        """Removes a file; one that is not there is no fault."""
        ...


class LocalFiles:
    """A folder on a disk; nobody but the account of the server can read it.

    Args:
        top: need not be there.
    """

    def __init__(self, top: Path) -> None:
        self._top = top

    def open(self) -> None:
        """Makes the folder, and writes on trial."""
        self._make(self._top)
        write_bytes(self._top / TRIAL, b"", _PRIVATE)
        (self._top / TRIAL).unlink(missing_ok=True)
        for half in self._top.glob(f"*/*/*/*/{_WRITING}*"):
            half.unlink(missing_ok=True)

    def files(self) -> Iterator[KeptFile]:
        """Those as deep as rows are."""
        for file in self._top.glob("*/*/*/*/*"):
            yield KeptFile(file.relative_to(self._top).as_posix(), file.stat().st_size)

    def write(self, path: str, content: bytes) -> None:
        """Writes aside, to the disk, and renames."""
        file = self._top / path
        self._make(file.parent)
        write_bytes(file, content, _PRIVATE)

    def remove(self, path: str) -> None:
        """Removes a file; one that is not there is no fault."""
        (self._top / path).unlink(missing_ok=True)

    def _make(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


TRIAL: Final = ".batchproof-trial"
_WRITING: Final = ".writing-"
_PRIVATE: Final = 0o600
