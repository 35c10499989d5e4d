"""What became of the rows that were chosen to be captured."""

from collections import Counter
from typing import Final, Literal, TypeAlias

CaptureResult: TypeAlias = Literal["kept", "queue_full", "rate", "redacted", "failed"]
RESULTS: Final[tuple[CaptureResult, ...]] = ("kept", "queue_full", "rate", "redacted", "failed")


class CaptureCounts:
    """Rows by result.

    ``queue_full`` counts requests at which nobody looked, on the loop thread; the others are
    counted on the thread that writes, so that each number has one thread.
    """

    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()

    def add(self, result: CaptureResult, rows: int = 1) -> None:
        """Counts rows."""
        self._rows[result] += rows

    def rows(self, result: CaptureResult) -> int:
        """How many so far."""
        return self._rows[result]
