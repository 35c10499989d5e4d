"""From records to spans, where no server is needed to see it."""

from opentelemetry.sdk.trace import ReadableSpan

from batchproof_server.base.events import BatchRecord, RequestRecord, RequestsFinished
from batchproof_server.base.spans import RequestSpans, SampledTask
from batchproof_server.observing.traces.observer import TraceObserver, trace_observer
from support.told import finished


def observed() -> tuple[TraceObserver, list[ReadableSpan]]:
    sent: list[ReadableSpan] = []
    return trace_observer("shop", "1.2.3", sent.append), sent


def spans(span_id: int = 2) -> RequestSpans:
    return RequestSpans(1, span_id, 0, "", started_s=10.0, started_ns=1_000_000_000_000)


def batch(*sampled: SampledTask, failed: bool = False) -> BatchRecord:
    return BatchRecord("shoes", 3, 4, 4, (), 0.25, failed, sampled)


def ended(code: str, of: RequestSpans | None, message: str = "") -> RequestsFinished:
    return finished(RequestRecord("Predict", "id", "shoes", 3, code, 0.5, 1, message, of))


def test_what_is_not_sampled_makes_no_span() -> None:
    observer, sent = observed()
    observer.trace_batch(batch())
    observer.trace_requests(ended("OK", None))

    assert sent == []


def test_a_micro_batch_has_links_to_its_sampled_members_and_the_time_on_the_device() -> None:
    observer, sent = observed()
    one, other = spans(2), spans(3)
    observer.trace_batch(batch(SampledTask(one, 10.5, 11.0, 1), SampledTask(other, 10.75, 11.0, 2)))

    executed, *parts = sent
    assert [link.context.span_id for link in executed.links] == [2, 3]
    assert executed.parent is None
    assert executed.start_time == 1_001_000_000_000
    assert executed.end_time == 1_001_250_000_000
    assert [each.name for each in parts] == ["queue", "execution"] * 2
    queued = parts[0]
    assert queued.start_time == 1_000_500_000_000
    assert queued.end_time == executed.start_time
    assert queued.parent is not None
    assert queued.parent.span_id == 2


def test_members_of_a_failed_micro_batch_that_are_executed_again_do_not_wait_twice() -> None:
    observer, sent = observed()
    observer.trace_batch(batch(SampledTask(spans(), 10.5, 11.0, 1), failed=True))
    observer.trace_batch(batch(SampledTask(spans(), None, 12.0, 1)))

    assert [each.name for each in sent] == [
        "micro-batch",
        "queue",
        "execution",
        "micro-batch",
        "execution",
    ]
    assert [each.status.is_ok for each in sent] == [False, True, False, True, True]


def test_the_servers_faults_are_errors_and_the_callers_are_not() -> None:
    observer, sent = observed()
    for code in ("OK", "INVALID_ARGUMENT", "INTERNAL"):
        of = spans()
        of.ended_s = 10.5
        observer.trace_requests(ended(code, of, "why"))

    assert [each.status.is_ok for each in sent] == [True, True, False]
    assert [(each.attributes or {}).get("error.type") for each in sent] == [
        None,
        "INVALID_ARGUMENT",
        "INTERNAL",
    ]
    assert sent[2].status.description == "why"
    assert sent[0].resource.attributes["service.name"] == "shop"
