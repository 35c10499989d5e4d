"""What became of spans, captured rows and log lines becomes Prometheus series."""

from collections.abc import Iterable

from prometheus_client import metrics_core as core
from prometheus_client.registry import Collector

from batchproof_server.observing.result_counts import ResultCounts


# Contract: reads what is counted on other threads; every result stands at 0 from the start, also
# where nothing is traced, kept or written.
class ResultMetrics(Collector):
    """A family of each.

    Args:
        spans: of traces.
        captured: rows.
        log_lines: of the server's own log.
    """

    def __init__(
        self, spans: ResultCounts, captured: ResultCounts, log_lines: ResultCounts
    ) -> None:
        self._families = (
            ("batchproof_trace_spans", "Spans of sampled requests.", spans),
            ("batchproof_captured_rows", "Rows chosen to be captured.", captured),
            ("batchproof_log_lines", "Lines of the log.", log_lines),
        )

    def collect(self) -> Iterable[core.Metric]:
        """Called by the registry, on the thread of the scrape."""
        for name, text, counts in self._families:
            family = core.CounterMetricFamily(name, text, labels=("result",))
            for result in counts.results:
                family.add_metric((result,), counts.of(result))
            yield family
