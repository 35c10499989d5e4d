"""Files from outside are read up to a limit; ours are written whole or not at all."""

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

STANDARD_INPUT: Final = Path("-")
_CHUNK_BYTES: Final = 1 << 20


class TooLarge(ValueError):
    """A file has more bytes than it may; the text says how many it may have."""


def read_start(file: Path, max_bytes: int) -> bytes:
    """The whole content; of a file that is too large, one byte more than it may have.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        return stream.read(max_bytes + 1)


def read_named(file: Path, max_bytes: int) -> bytes:
    """The same of what a user named on the command line, where ``-`` is standard input.

    Raises:
        OSError: it cannot be read.
    """
    if file == STANDARD_INPUT:
        return sys.stdin.buffer.read(max_bytes + 1)
    return read_start(file, max_bytes)


def read_end(file: Path, max_bytes: int) -> bytes:
    """The last bytes, or all of a file that has no more.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - max_bytes))
        return stream.read(max_bytes)


def read_text(file: Path, max_bytes: int) -> str:
    """The text, without the byte order mark that some editors begin with.

    Raises:
        TooLarge: it has more than ``max_bytes``; no more than that was read.
        UnicodeDecodeError: it is not UTF-8.
        OSError: it cannot be read.
    """
    content = read_start(file, max_bytes)
    if len(content) > max_bytes:
        raise TooLarge(f"more than {max_bytes} bytes")
    return content.decode("utf-8-sig")


def reason_of(fault: OSError) -> str:
    """What the system says of a fault, without the path that it says it of."""
    return fault.strerror or str(fault) or type(fault).__name__


def links_out_of(directory: Path) -> list[str]:
    """Symbolic links below a directory that lead out of it, or nowhere, as relative names."""
    top = directory.resolve()
    links = (path for path in sorted(directory.rglob("*")) if path.is_symlink())
    return [path.relative_to(directory).as_posix() for path in links if not _lies_in(path, top)]


def _lies_in(path: Path, top: Path) -> bool:
    try:
        return path.resolve().is_relative_to(top)
    except (OSError, RuntimeError):  # links that lead to each other
        return False


class PrivateDirectory:
    """A temporary directory of this process alone, made when it is first asked for."""

    def __init__(self) -> None:
        self._made: tempfile.TemporaryDirectory[str] | None = None

    def path(self) -> str:
        """Where it is; empty where none can be made."""
        if self._made is None:
            try:
                self._made = tempfile.TemporaryDirectory(prefix="batchproof-")
            except OSError:
                return ""
        return self._made.name

    def close(self) -> None:
        """Removes it with all that is in it."""
        if self._made is not None:
            self._made.cleanup()
            self._made = None


def write_whole(file: Path, text: str, mode: int = 0o644) -> None:
    """Writes a text file over an older one; see ``write_bytes``."""
    write_bytes(file, text.encode(), mode)


def write_bytes(file: Path, content: bytes, mode: int = 0o644) -> None:
    """Writes a file over an older one, which is there until the new one is whole and on the disk.

    Args:
        file: to write.
        content: of it.
        mode: who may read and write it.

    Raises:
        OSError: it cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".writing-")
    except OSError as fault:  # it names a file that nobody asked for
        raise OSError(fault.errno, fault.strerror, str(file)) from fault
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def digest_files(top: Path, files: Iterable[Path]) -> str:
    """SHA-256 over the names below ``top``, the sizes and the contents, in hexadecimal.

    Raises:
        OSError: one cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        head = f"{file.relative_to(top).as_posix()}\0{file.stat().st_size}\0"
        digest.update(head.encode("utf-8", "surrogateescape"))
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
