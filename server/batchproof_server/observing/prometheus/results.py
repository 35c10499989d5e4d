"""What became of spans and captured rows becomes Prometheus series."""

from collections.abc import Iterable

from prometheus_client import metrics_core as core
from prometheus_client.registry import Collector

from batchproof_server.observing.result_counts import ResultCounts


# Contract: reads what is counted on other threads; every result stands at 0 from the start, also
# where nothing is traced or kept.
class ResultMetrics(Collector):
    """Two families, of spans and of captured rows.

    Args:
        spans: of traces.
        captured: rows.
    """

    def __init__(self, spans: ResultCounts, captured: ResultCounts) -> None:
        self._families = (
            ("batchproof_trace_spans", "Spans of sampled requests.", spans),
            ("batchproof_captured_rows", "Rows chosen to be captured.", captured),
        )

    def collect(self) -> Iterable[core.Metric]:
        """Called by the registry, on the thread of the scrape."""
        for name, text, counts in self._families:
            family = core.CounterMetricFamily(name, text, labels=("result",))
            for result in counts.results:
                family.add_metric((result,), counts.of(result))
            yield family
