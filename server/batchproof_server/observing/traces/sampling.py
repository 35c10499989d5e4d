"""Which requests are traced: decided when they come, by the caller's trace or by chance."""

from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import SpanContext, TraceFlags, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from batchproof_server.base.clock import Clock
from batchproof_server.base.spans import TRACE_KEYS, RequestSpans


# Contract: an invalid context is as none. What is not sampled costs a look through the metadata and
# at most two random numbers. By its share a trace is sampled or not by its id alone (the lower 64
# bits below a bound), as other services decide with the same share.
class Sampling:
    """Begins the spans of those requests that are sampled.

    Args:
        share: of the requests, 0 to 1.
        callers_decide: see ``TracingSettings``.
        clock: of the requests.
        now_ns: nanoseconds since 1970.
    """

    def __init__(
        self, share: float, *, callers_decide: bool, clock: Clock, now_ns: Callable[[], int]
    ) -> None:
        self._bound = TraceIdRatioBased.get_bound_for_rate(share)
        self._callers_decide = callers_decide
        self._clock = clock
        self._now_ns = now_ns
        self._ids = RandomIdGenerator()
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, metadata: Sequence[tuple[str, str | bytes]]) -> RequestSpans | None:
        """The spans of a request that came just now; None when it is not sampled.

        Args:
            metadata: of the request; of several values under one key the first counts.
        """
        parent = None
        for key, _ in metadata:
            if key == TRACE_KEYS[0]:
                parent = self._parent(metadata)
                break
        if parent is not None and self._callers_decide:
            is_sampled = bool(parent.trace_flags & TraceFlags.SAMPLED)
            return self._begun(parent.trace_id, parent) if is_sampled else None
        trace_id = self._ids.generate_trace_id() if parent is None else parent.trace_id
        is_sampled = trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < self._bound
        return self._begun(trace_id, parent) if is_sampled else None

    def _parent(self, metadata: Sequence[tuple[str, str | bytes]]) -> SpanContext | None:
        """The caller's span; None where what the caller sent is none."""
        carrier: dict[str, str] = {}
        for key, value in metadata:
            if key in TRACE_KEYS and isinstance(value, str):
                carrier.setdefault(key, value)
        parent = get_current_span(self._propagator.extract(carrier)).get_span_context()
        return parent if parent.is_valid else None

    def _begun(self, trace_id: int, parent: SpanContext | None) -> RequestSpans:
        return RequestSpans(
            trace_id=trace_id,
            span_id=self._ids.generate_span_id(),
            parent_span_id=0 if parent is None else parent.span_id,
            trace_state="" if parent is None else parent.trace_state.to_header(),
            started_s=self._clock.now_s(),
            started_ns=self._now_ns(),
        )
