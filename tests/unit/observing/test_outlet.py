"""Spans leave from a bounded queue; what is lost is counted, and told once."""

import threading
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, TraceFlags

from batchproof_server.observing.prometheus.traces import TraceMetrics
from batchproof_server.observing.traces.counts import SpanCounts
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
    counts = SpanCounts()
    counted = CountedExporter(exporter, counts, lambda *what: told.append(what))

    for _ in range(6):
        counted.export([span(), span()])

    assert told == [(True, 2), (False, 6)]
    assert (counts.exported, counts.failed) == (6, 6)


def test_a_full_queue_drops_what_comes_and_nobody_waits() -> None:
    counts = SpanCounts()
    held = Scripted()
    outlet = SpanOutlet(CountedExporter(held, counts, lambda *_: None), counts, 3)

    for _ in range(10):
        outlet.send(span())

    assert (counts.queued, counts.queue_full, counts.waiting) == (3, 7, 3)
    held.gate.set()
    outlet.close()
    assert (counts.exported, counts.failed, counts.waiting) == (3, 0, 0)


def test_a_collector_that_hangs_is_given_up_when_the_server_ends() -> None:
    counts = SpanCounts()
    with collecting(answers=False) as collector:
        outlet = open_outlet(TracingSettings(collector.endpoint), counts, lambda *_: None)
        outlet.send(span())
        outlet.close()  # which the library's own time limit would let pass only after a failure

        assert (counts.exported, counts.failed) == (0, 1)


def test_spans_leave_over_tls_with_headers_and_a_certificate() -> None:
    counts = SpanCounts()
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
    assert counts.exported == 1


@pytest.mark.parametrize("content", [None, "junk"], ids=["missing", "no PEM"])
def test_a_file_of_tls_that_will_not_do_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    settings = TracingSettings("https://localhost:4317", tls=CollectorTls(ca=file))

    with pytest.raises(ValueError, match=r"^tracing\.tls\.ca: .*ca\.pem"):
        open_outlet(settings, SpanCounts(), lambda *_: None)


def test_every_result_has_a_series_from_the_start() -> None:
    (family,) = TraceMetrics(SpanCounts(queued=5, queue_full=1, exported=2, failed=3)).collect()

    values = {each.labels["result"]: each.value for each in family.samples}
    assert values == {"exported": 2, "queue_full": 1, "failed": 3}


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"endpoint": "localhost:4317"}, "endpoint is 'localhost:4317', expected such as http://"),
        ({"endpoint": "http://localhost:4318/v1/traces"}, "OTLP over gRPC has no path"),
        ({"share": 1.5}, "share is 1.5, expected 0 to 1"),
        ({"service_name": ""}, "service_name is empty"),
        ({"headers": {"X-Key": "a"}}, "headers: 'X-Key' cannot be sent"),
        ({"headers": {"x-key": "a\nb"}}, "headers: 'x-key' cannot be sent"),
        ({"max_queued_spans": 0}, "max_queued_spans is 0, expected 1 or more"),
        ({"timeout_s": float("inf")}, "timeout_s is inf, expected a positive number"),
        ({"endpoint": "http://a:1", "tls": CollectorTls()}, "begins with https://"),
    ],
    ids=["scheme", "path", "share", "name", "header", "value", "queue", "timeout", "tls"],
)
def test_settings_that_cannot_be_are_refused(keys: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        TracingSettings(**keys)  # type: ignore[arg-type] # keys

    assert "\n" not in str(refused.value)


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(ValueError, match="certificate and key belong together"):
        CollectorTls(certificate=Path("a.pem"))
