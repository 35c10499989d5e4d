"""What became of the rows that were chosen to be captured."""

from collections.abc import Iterable

from prometheus_client import metrics_core as core
from prometheus_client.registry import Collector

from batchproof_server.observing.capture.counts import RESULTS, CaptureCounts


# Contract: reads what is counted on other threads; every result stands at 0 where nothing is kept.
class CaptureMetrics(Collector):
    """The family of captured rows.

    Args:
        counts: of them.
    """

    def __init__(self, counts: CaptureCounts) -> None:
        self._counts = counts

    def collect(self) -> Iterable[core.Metric]:
        """Called by the registry, on the thread of the scrape."""
        rows = core.CounterMetricFamily(
            "batchproof_captured_rows", "Rows chosen to be captured.", labels=("result",)
        )
        for result in RESULTS:
            rows.add_metric((result,), self._counts.rows(result))
        yield rows
