"""A model in the form of the engine that executes it, kept beside its certificate.

With it a version starts without the library that it was made with: the certificate names the digest
of the files, and that proof was made of these files, after the audit of what they were made of.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from batchproof_server.base.files import digest_files

CONVERTED_NAME: Final = "converted"
"""The directory in a bundle."""

WriteFiles: TypeAlias = Callable[[Path], None]
"""Writes all files into an empty directory, the same bytes each time; raises OSError."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What an engine made of a model.

    Attributes:
        digest: SHA-256 over the names and contents of its files, in hexadecimal.
        write: writes the files.
    """

    digest: str
    write: WriteFiles

    @classmethod
    def of(cls, write: WriteFiles) -> "Converted":
        """What is written, with its digest.

        Raises:
            OSError: it cannot be written for a moment.
        """
        with tempfile.TemporaryDirectory(prefix="converted-") as directory:
            write(Path(directory))
            return cls(digest_directory(Path(directory)), write)

    @classmethod
    def lying_in(cls, directory: Path, digest: str) -> "Converted":
        """What was kept in a directory, whose digest is known."""

        def write(target: Path) -> None:
            shutil.copytree(directory, target, dirs_exist_ok=True)

        return cls(digest, write)

    def keep(self, directory: Path) -> None:
        """Writes the files into a directory of their own, whole or not at all, over older ones.

        Raises:
            OSError: they cannot be written.
        """
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".writing-") as scratch:
            fresh = Path(scratch) / directory.name
            fresh.mkdir()
            self.write(fresh)
            if directory.is_dir():
                directory.rename(Path(scratch) / "old")
            fresh.rename(directory)


def digest_directory(directory: Path) -> str:
    """SHA-256 over the names and contents of all files in a directory.

    Raises:
        OSError: it cannot be read.
    """
    return digest_files(directory, sorted(path for path in directory.rglob("*") if path.is_file()))
