"""What the commands write: lines, and a progress line on a terminal.

Labels, names of files and texts of errors come from outside: everything is made printable here.
"""

import sys
from dataclasses import dataclass
from typing import TextIO

from batchproof.text import printable, printable_lines
from batchproof_server.proof.settings import Progress


def write(text: str) -> None:
    """Writes lines to standard output."""
    sys.stdout.write(printable_lines(text) + "\n")


def write_error(text: str) -> None:
    """Writes lines to standard error, each marked as ours."""
    for line in printable_lines(text).split("\n"):
        sys.stderr.write(f"batchproof-server: {line}\n")


@dataclass(frozen=True, slots=True)
class ProgressLine:
    """Shows the progress of a proof in one line that is written again and again.

    Attributes:
        stream: nothing is written when it is no terminal.
    """

    stream: TextIO

    def __call__(self, progress: Progress) -> None:
        """Shows it; a finished step leaves no trace."""
        if not self.stream.isatty():
            return
        counted = f" {progress.done}/{progress.total}" if progress.total else ""
        text = printable(f"{progress.model} version {progress.version}: {progress.step}{counted}")
        finished = progress.done == progress.total
        self.stream.write(f"\r\x1b[2K{'' if finished else text}")
        self.stream.flush()
