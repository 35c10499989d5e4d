"""What became of things that may be lost on their way out, such as spans and log lines."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

SPANS: Final = ("exported", "queue_full", "failed")
"""Spans: taken by the collector; dropped since too many waited; not taken by the collector."""
CAPTURED_ROWS: Final = ("kept", "queue_full", "rate", "redacted", "failed")
"""Rows chosen to be captured. ``queue_full`` counts requests at which nobody looked."""
LOG_LINES: Final = ("written", "queue_full", "failed")
"""Lines of the log: dropped since too many waited; not taken by whatever they are written to."""


# Contract: one thread at a time adds to a number (``queue_full`` the loop thread, or under a lock;
# the others the thread that sends or writes); every thread may read them.
class ResultCounts:
    """Counts by what became of it.

    Args:
        results: there are no others.

    Attributes:
        results: the same.
    """

    def __init__(self, results: Sequence[str]) -> None:
        self.results = tuple(results)
        self._counts: Counter[str] = Counter()

    def add(self, result: str, amount: int = 1) -> None:
        """Counts so many more."""
        self._counts[result] += amount

    def of(self, *results: str) -> int:
        """How many there were of these results together."""
        return sum(self._counts[each] for each in results)
