"""How many spans left, and how many were lost."""

from dataclasses import dataclass


# Contract: each number has one thread that adds to it; every thread may read them.
@dataclass(slots=True)
class SpanCounts:
    """Spans by what became of them.

    Attributes:
        queued: were taken into the queue, on the loop thread.
        queue_full: were dropped since the queue was full, on the loop thread.
        exported: were taken by the collector, on the thread that sends.
        failed: were dropped since the collector did not take them, on the thread that sends.
    """

    queued: int = 0
    queue_full: int = 0
    exported: int = 0
    failed: int = 0

    @property
    def waiting(self) -> int:
        """Spans that are in the queue, or just being sent."""
        return self.queued - self.exported - self.failed
