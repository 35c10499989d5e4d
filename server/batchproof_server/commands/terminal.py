"""What the commands write: lines, and a progress line on a terminal."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from batchproof_server.proof.settings import Progress


def write(text: str) -> None:
    """Writes lines to standard output."""
    sys.stdout.write(text + "\n")


def write_error(text: str) -> None:
    """Writes lines to standard error, each marked as ours."""
    for line in text.splitlines():
        sys.stderr.write(f"batchproof-server: {line}\n")


def table(rows: Sequence[Sequence[str]], left: int = 1) -> Iterator[str]:
    """The lines of a table, the first row being its headings.

    Args:
        rows: all of the same length.
        left: so many columns go to the left, the others to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield ("  " + "  ".join(cells)).rstrip()


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
        text = f"{progress.model} version {progress.version}: {progress.step}{counted}"
        finished = progress.done == progress.total
        self.stream.write(f"\r\x1b[2K{'' if finished else text}")
        self.stream.flush()
