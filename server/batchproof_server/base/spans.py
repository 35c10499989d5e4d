"""What a sampled request notes of its way, as values; who makes spans of it is somebody else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

TRACE_KEYS = ("traceparent", "tracestate")
"""The metadata, and the headers of HTTP, in which a caller says of which trace its request is."""


class DecodedPictures(NamedTuple):
    """Pictures of a request that became rows: between which instants, and how many."""

    started_s: float
    ended_s: float
    pictures: int


# Contract: only a sampled request has one. Whoever it passes notes instants of the server's clock
# here, and nobody reads them before the request has ended; 0 is an instant that never came.
@dataclass(slots=True, eq=False)
class RequestSpans:
    """The span of one request, and what its parts are made of.

    Attributes:
        trace_id: 128 bits.
        span_id: of the request's own span, 64 bits.
        parent_span_id: of the caller's span; 0 where there is none.
        trace_state: as the caller sent it.
        started_s: when the request came.
        started_ns: the same instant in nanoseconds since 1970.
        asked_s: when its message had been read.
        answered_s: when its rows had been answered.
        ended_s: when its answer, or its failure, was ready to be sent.
        decoded: its pictures, in one part or, with early exit, in several.
    """

    trace_id: int
    span_id: int
    parent_span_id: int
    trace_state: str
    started_s: float
    started_ns: int
    asked_s: float = 0.0
    answered_s: float = 0.0
    ended_s: float = 0.0
    decoded: list[DecodedPictures] = field(default_factory=list)

    @property
    def trace(self) -> str:
        """The id of the trace as people and other tools write it: 32 hexadecimal digits."""
        return f"{self.trace_id:032x}"

    def at_ns(self, instant_s: float) -> int:
        """An instant of the server's clock in nanoseconds since 1970."""
        return self.started_ns + round((instant_s - self.started_s) * 1e9)


class SampledTask(NamedTuple):
    """A task of a sampled request in a micro-batch.

    Attributes:
        spans: of the request.
        queued_s: when it was queued; None when it was executed before, in a micro-batch that
            failed.
        taken_s: when the micro-batch was handed to the device.
        rows: of the task.
    """

    spans: RequestSpans
    queued_s: float | None
    taken_s: float
    rows: int


BeginSpans: TypeAlias = Callable[[Sequence[tuple[str, str | bytes]]], RequestSpans | None]
"""From the metadata of a request that came just now to its spans; None when it is not sampled."""
