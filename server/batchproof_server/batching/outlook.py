"""How long it will take until what waits has been executed. Pure: time is an argument."""

from collections.abc import Sequence


# Contract
#
# Nothing is foretold of a model of which nothing was measured. What is foretold grows with the rows
# and never falls below what the cheapest buckets take. A micro-batch that took a hundred times as
# long as ever before counts as one that took ten times as long: the machine slept.
class Outlook:
    """Foretells from what buckets took at load, and from how much longer they take under load.

    Args:
        buckets_rows: ascending.
        execution_s: what executing each of them took when nothing else ran; empty when that was not
            measured.
    """

    def __init__(self, buckets_rows: Sequence[int], execution_s: Sequence[float]) -> None:
        self._execution_s = dict(zip(buckets_rows, execution_s, strict=bool(execution_s)))
        self._row_s = min((s / rows for rows, s in self._execution_s.items()), default=0.0)
        self._slowness = 1.0
        self._running_until_s = 0.0

    def started(self, bucket_rows: int, now_s: float) -> None:
        """Learns that a micro-batch went to the device."""
        self._running_until_s = now_s + (self.execution_s(bucket_rows) or 0.0)

    def finished(self, bucket_rows: int, duration_s: float) -> None:
        """Learns that it came back ``duration_s`` after it had gone."""
        self._running_until_s = 0.0
        if (alone_s := self._execution_s.get(bucket_rows, 0.0)) > 0:
            slowness = min(duration_s / alone_s, _GREATEST_SLOWNESS)
            self._slowness += (slowness - self._slowness) * _SHARE_OF_LATEST

    def execution_s(self, bucket_rows: int) -> float | None:
        """How long a micro-batch of this bucket will take; None when nothing was measured."""
        alone_s = self._execution_s.get(bucket_rows)
        return None if alone_s is None else alone_s * self._slowness

    def wait_s(self, rows: int, now_s: float) -> float:
        """How long until the running micro-batch and then ``rows`` rows are executed; 0 or more."""
        running_s = max(0.0, self._running_until_s - now_s)
        return running_s + rows * self._row_s * self._slowness


_SHARE_OF_LATEST = 0.1
_GREATEST_SLOWNESS = 10.0
