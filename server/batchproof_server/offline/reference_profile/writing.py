"""Writes files whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_whole(file: Path, text: str) -> None:
    """Writes a text file over an older one.

    Raises:
        OSError: it cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".profile-")
    except OSError as fault:  # it names a file that nobody asked for
        raise OSError(fault.errno, fault.strerror, str(file)) from fault
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
