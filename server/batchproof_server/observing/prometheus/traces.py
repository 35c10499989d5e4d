"""What became of the spans of traces."""

from collections.abc import Iterable

from prometheus_client import metrics_core as core
from prometheus_client.registry import Collector

from batchproof_server.observing.traces.counts import SpanCounts


# Contract: reads what is counted on other threads; every result stands at 0 where nothing is
# traced.
class TraceMetrics(Collector):
    """The family of the spans.

    Args:
        counts: of the spans.
    """

    def __init__(self, counts: SpanCounts) -> None:
        self._counts = counts

    def collect(self) -> Iterable[core.Metric]:
        """Called by the registry, on the thread of the scrape."""
        spans = core.CounterMetricFamily(
            "batchproof_trace_spans", "Spans of sampled requests.", labels=("result",)
        )
        for result in ("exported", "queue_full", "failed"):
            spans.add_metric((result,), getattr(self._counts, result))
        yield spans
