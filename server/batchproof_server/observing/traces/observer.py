"""From what requests and micro-batches noted of their way to spans, after the answers have left."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from batchproof_server.base.events import BatchRecord, RequestRecord, RequestsFinished, Subscription
from batchproof_server.base.spans import RequestSpans, SampledTask

# The codes that are the server's fault in OpenTelemetry's conventions for spans of servers.
_FAULTS: Final = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
_UNSET: Final = Status(StatusCode.UNSET)
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


_Attributes: TypeAlias = dict[str, str | int]


class _Period(NamedTuple):
    """Nanoseconds since 1970."""

    start_ns: int
    end_ns: int


# Contract: an observer for the loop thread; of what is not sampled it makes nothing. The spans of a
# request are those of its parts, each of which is made once, and its own. A micro-batch with a
# sampled member is a trace of its own that links to its members' requests; their execution links to
# it.
class TraceObserver:
    """Makes spans.

    Args:
        resource: what every span says of the server.
        scope: what makes the spans.
        send: takes a span that is whole; must be quick.
    """

    def __init__(
        self, resource: Resource, scope: InstrumentationScope, send: Callable[[ReadableSpan], None]
    ) -> None:
        self._resource = resource
        self._scope = scope
        self._send = send
        self._ids = RandomIdGenerator()

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """What becomes a span."""
        return (
            Subscription(BatchRecord, self.trace_batch),
            Subscription(RequestsFinished, self.trace_requests),
        )

    def trace_batch(self, record: BatchRecord) -> None:
        """Sends the span of a micro-batch, and of each sampled member its wait and execution."""
        if not record.sampled:
            return
        first = record.sampled[0]
        batch = _context(self._ids.generate_trace_id(), self._ids.generate_span_id())
        executed = _executed(first, record.execution_s)
        version: _Attributes = {
            "batchproof.model": record.model,
            "batchproof.version": record.version,
        }
        size: _Attributes = {"batchproof.rows": record.rows}
        size["batchproof.bucket_rows"] = record.bucket_rows
        status = Status(StatusCode.ERROR, "the execution failed") if record.failed else _UNSET
        self._make(
            "micro-batch",
            batch,
            executed,
            attributes={**version, **size},
            links=[Link(_own(task.spans)) for task in record.sampled],
            status=status,
        )
        for task in record.sampled:
            self._trace_task(task, record, batch, status)

    def _trace_task(
        self, task: SampledTask, record: BatchRecord, batch: SpanContext, status: Status
    ) -> None:
        if task.queued_s is not None:
            waited = _period(task.spans, task.queued_s, task.taken_s)
            self._make_part("queue", task.spans, waited, {"batchproof.rows": task.rows})
        executed = _executed(task, record.execution_s)
        attributes: _Attributes = {
            "batchproof.rows": task.rows,
            "batchproof.bucket_rows": record.bucket_rows,
            "batchproof.micro_batch.rows": record.rows,
            "batchproof.micro_batch.trace_id": f"{batch.trace_id:032x}",
            "batchproof.micro_batch.span_id": f"{batch.span_id:016x}",
        }
        self._make_part("execution", task.spans, executed, attributes, (Link(batch),), status)

    def trace_requests(self, finished: RequestsFinished) -> None:
        """Sends the span of each sampled request, and its intake, decoding and encoding."""
        for record in finished.records:
            if record.spans is not None:
                self._trace_request(record, record.spans)

    def _trace_request(self, record: RequestRecord, spans: RequestSpans) -> None:
        self._trace_parts(spans)
        attributes: _Attributes = {
            "rpc.method": record.method,
            "rpc.response.status_code": record.code,
            "batchproof.request_id": record.request_id,
            "batchproof.model": record.model,
            "batchproof.version": record.version,
            "batchproof.rows": record.rows,
        }
        status = _UNSET
        if record.code != "OK":
            attributes["error.type"] = record.code
        if record.code in _FAULTS:
            status = Status(StatusCode.ERROR, record.message)
        parent = None
        if spans.parent_span_id:
            parent = _context(spans.trace_id, spans.parent_span_id, spans.trace_state, remote=True)
        self._make(
            record.method,
            _own(spans),
            _period(spans, spans.started_s, spans.ended_s),
            parent=parent,
            attributes=attributes,
            kind=SpanKind.SERVER,
            status=status,
        )

    def _trace_parts(self, spans: RequestSpans) -> None:
        if spans.asked_s:
            self._make_part("intake", spans, _period(spans, spans.started_s, spans.asked_s), {})
        for started_s, ended_s, pictures in spans.decoded:
            decoded = _period(spans, started_s, ended_s)
            self._make_part("decode", spans, decoded, {"batchproof.pictures": pictures})
        if spans.answered_s:
            self._make_part("encode", spans, _period(spans, spans.answered_s, spans.ended_s), {})

    def _make_part(
        self,
        name: str,
        spans: RequestSpans,
        period: _Period,
        attributes: Mapping[str, str | int],
        links: Sequence[Link] = (),
        status: Status = _UNSET,
    ) -> None:
        context = _context(spans.trace_id, self._ids.generate_span_id(), spans.trace_state)
        self._make(
            name,
            context,
            period,
            parent=_own(spans),
            attributes=attributes,
            links=links,
            status=status,
        )

    def _make(  # noqa: PLR0913 - what a span consists of
        self,
        name: str,
        context: SpanContext,
        period: _Period,
        *,
        parent: SpanContext | None = None,
        attributes: Mapping[str, str | int],
        links: Sequence[Link] = (),
        kind: SpanKind = SpanKind.INTERNAL,
        status: Status = _UNSET,
    ) -> None:
        self._send(
            ReadableSpan(
                name=name,
                context=context,
                parent=parent,
                resource=self._resource,
                attributes=attributes,
                links=links,
                kind=kind,
                status=status,
                start_time=period.start_ns,
                end_time=period.end_ns,
                instrumentation_scope=self._scope,
            )
        )


def _context(
    trace_id: int, span_id: int, trace_state: str = "", *, remote: bool = False
) -> SpanContext:
    state = TraceState.from_header([trace_state]) if trace_state else None
    return SpanContext(trace_id, span_id, remote, _SAMPLED, state)


def _own(spans: RequestSpans) -> SpanContext:
    return _context(spans.trace_id, spans.span_id, spans.trace_state)


def _period(spans: RequestSpans, started_s: float, ended_s: float) -> _Period:
    return _Period(spans.at_ns(started_s), spans.at_ns(ended_s))


def _executed(task: SampledTask, execution_s: float) -> _Period:
    return _period(task.spans, task.taken_s, task.taken_s + execution_s)


def trace_observer(
    service_name: str, build_version: str, send: Callable[[ReadableSpan], None]
) -> TraceObserver:
    """An observer whose spans say which server they are of.

    Args:
        service_name: ``service.name``.
        build_version: of the server.
        send: takes a span that is whole.
    """
    # Resource.create adds what OTEL_RESOURCE_ATTRIBUTES says, as in every other service.
    resource = Resource.create({"service.name": service_name, "service.version": build_version})
    return TraceObserver(resource, InstrumentationScope("batchproof", build_version), send)
