"""A collector: takes spans over gRPC as OpenTelemetry's own does, and keeps them."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as pb_grpc

from support.patience import PATIENCE_S


@dataclass(frozen=True)
class Received:
    """A span as it came.

    Attributes:
        links: the spans that it links to, as their traces' and their own ids.
    """

    name: str
    trace: str
    span: str
    parent: str
    start_ns: int
    end_ns: int
    kind: int
    is_error: bool
    trace_state: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    links: list[tuple[str, str]]

    @property
    def place(self) -> tuple[str, str]:
        """What others link to."""
        return self.trace, self.span


@dataclass
class Collector:
    """What a collector got.

    Attributes:
        address: ``host:port``.
        spans: in the order in which they came.
        metadata: of each call.
        answers: whether it answers; else each call hangs.
    """

    address: str = ""
    spans: list[Received] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)

    @property
    def endpoint(self) -> str:
        """As the configuration wants it."""
        return f"http://{self.address}"

    def named(self, name: str) -> list[Received]:
        """The spans of one name."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Received:
        """The only span of a name."""
        (span,) = self.named(name)
        return span

    def take(self, request: Any, context: Any) -> pb.ExportTraceServiceResponse:
        """Answers one call."""
        self.metadata.append(dict(context.invocation_metadata()))
        self.answers.wait(PATIENCE_S)
        for resource_spans in request.resource_spans:
            resource = _attributes(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                self.spans.extend(_received(span, resource) for span in scope_spans.spans)
        return pb.ExportTraceServiceResponse()


@contextmanager
def collecting(
    *, answers: bool = True, port: int = 0, credentials: Any = None
) -> Iterator[Collector]:
    """A collector that listens.

    Args:
        answers: whether it answers from the start.
        port: 0 takes a free one.
        credentials: of its TLS; None without.
    """
    collector = Collector()
    if answers:
        collector.answers.set()

    class Service(pb_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
            return collector.take(request, context)

    server = grpc.server(ThreadPoolExecutor(2), options=(("grpc.so_reuseport", 0),))
    pb_grpc.add_TraceServiceServicer_to_server(Service(), server)  # type: ignore[no-untyped-call] # generated
    where = f"127.0.0.1:{port}"
    bound = (
        server.add_insecure_port(where)
        if credentials is None
        else server.add_secure_port(where, credentials)
    )
    collector.address = f"127.0.0.1:{bound}"
    server.start()
    try:
        yield collector
    finally:
        collector.answers.set()
        server.stop(0).wait(PATIENCE_S)


def _received(span: Any, resource: dict[str, Any]) -> Received:
    return Received(
        name=span.name,
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        kind=span.kind,
        is_error=span.status.code == span.status.STATUS_CODE_ERROR,
        trace_state=span.trace_state,
        attributes=_attributes(span.attributes),
        resource=resource,
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
    )


def _attributes(pairs: Sequence[Any]) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in pairs}
