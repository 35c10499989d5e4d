"""Spans leave from a bounded queue; what is lost is counted, and told once."""

import threading
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, TraceFlags

from batchproof_server.observing.prometheus.results import ResultMetrics
from batchproof_server.observing.result_counts import CAPTURED_ROWS, LOG_LINES, SPANS, ResultCounts
from batchproof_server.observing.traces.outlet import CountedExporter, SpanOutlet, open_outlet
from batchproof_server.observing.traces.settings import CollectorTls, TracingSettings
from support.otlp import collecting

TLS = Path(__file__).resolve().parents[2] / "data/tls"


def span() -> ReadableSpan:
    return ReadableSpan(
        "a", SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1)), start_time=1, end_time=2
    )


class Scripted(SpanExporter):
    """Does what it is told, and can be held."""

    def __init__(self, *outcomes: SpanExportResult | Exception) -> None:
        self.outcomes = list(outcomes)
        self.gate = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Waits until it is let go."""
        del spans
        self.gate.wait()
        outcome = self.outcomes.pop(0) if self.outcomes else SpanExportResult.SUCCESS
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def shutdown(self) -> None:
        """Lets go."""
        self.gate.set()


def test_a_failure_is_told_once_and_so_is_its_end() -> None:
    told: list[tuple[bool, int]] = []
    failure, success = SpanExportResult.FAILURE, SpanExportResult.SUCCESS
    exporter = Scripted(success, failure, OSError("away"), failure, success, success)
    exporter.gate.set()
    counts = ResultCounts(SPANS)
    counted = CountedExporter(exporter, counts, lambda *what: told.append(what))

    for _ in range(6):
        counted.export([span(), span()])

    assert told == [(True, 2), (False, 6)]
    assert (counts.of("exported"), counts.of("failed")) == (6, 6)


def test_a_full_queue_drops_what_comes_and_nobody_waits() -> None:
    counts = ResultCounts(SPANS)
    held = Scripted()
    outlet = SpanOutlet(CountedExporter(held, counts, lambda *_: None), counts, 3)

    for _ in range(10):
        outlet.send(span())

    assert counts.of("queue_full") == 7
    held.gate.set()
    outlet.close()
    assert (counts.of("exported"), counts.of("failed")) == (3, 0)


def test_a_collector_that_hangs_is_given_up_when_the_server_ends() -> None:
    counts = ResultCounts(SPANS)
    with collecting(answers=False) as collector:
        outlet = open_outlet(TracingSettings(collector.endpoint), counts, lambda *_: None)
        outlet.send(span())
        outlet.close()  # which the library's own time limit would let pass only after a failure

        assert (counts.of("exported"), counts.of("failed")) == (0, 1)


def test_spans_leave_over_tls_with_headers_and_a_certificate() -> None:
    counts = ResultCounts(SPANS)
    certificate, key = TLS / "certificate.pem", TLS / "key.pem"
    own = certificate.read_bytes()
    pair = [(key.read_bytes(), own)]
    credentials = grpc.ssl_server_credentials(pair, own, require_client_auth=True)
    with collecting(credentials=credentials) as collector:
        port = collector.address.rpartition(":")[2]
        settings = TracingSettings(
            f"https://localhost:{port}",
            headers={"x-api-key": "word"},
            tls=CollectorTls(certificate, certificate, key),
        )
        outlet = open_outlet(settings, counts, lambda *_: None)
        outlet.send(span())
        outlet.close()

        assert [each.name for each in collector.spans] == ["a"]
        assert collector.metadata[0]["x-api-key"] == "word"
    assert counts.of("exported") == 1


@pytest.mark.parametrize("content", [None, "junk"], ids=["missing", "no PEM"])
def test_a_file_of_tls_that_will_not_do_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    settings = TracingSettings("https://localhost:4317", tls=CollectorTls(ca=file))

    with pytest.raises(ValueError, match=r"^tracing\.tls\.ca: .*ca\.pem"):
        open_outlet(settings, ResultCounts(SPANS), lambda *_: None)


def test_every_result_has_a_series_from_the_start() -> None:
    spans = ResultCounts(SPANS)
    spans.add("exported", 2)
    spans.add("failed")

    counted = {
        family.name: {each.labels["result"]: each.value for each in family.samples}
        for family in ResultMetrics(
            spans, ResultCounts(CAPTURED_ROWS), ResultCounts(LOG_LINES)
        ).collect()
    }
    assert counted == {
        "batchproof_trace_spans": {"exported": 2, "queue_full": 0, "failed": 1},
        "batchproof_captured_rows": dict.fromkeys(CAPTURED_ROWS, 0),
        "batchproof_log_lines": dict.fromkeys(LOG_LINES, 0),
    }
