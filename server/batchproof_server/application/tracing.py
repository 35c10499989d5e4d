"""Traces, where they are asked for: the only place that knows whether their library is there."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from batchproof_server.base.clock import Clock, epoch_ns
from batchproof_server.base.events import Subscriber
from batchproof_server.base.spans import BeginSpans
from batchproof_server.observing.logs import LogObserver
from batchproof_server.observing.result_counts import ResultCounts
from batchproof_server.observing.traces.settings import TracingSettings


@dataclass(frozen=True, slots=True)
class Tracing:
    """What makes the traces of a server.

    Attributes:
        subscribers: make spans of events; none where nothing is traced.
        begin: decides which requests are sampled; None where nothing is traced.
        close: sends what waits, for a short while.
    """

    subscribers: tuple[Subscriber, ...] = ()
    begin: BeginSpans | None = None
    close: Callable[[], None] = lambda: None


def compose_tracing(
    settings: TracingSettings,
    build_version: str,
    clock: Clock,
    counts: ResultCounts,
    log: LogObserver,
) -> Tracing:
    """Puts together what traces; a thread of its own sends spans from now on.

    Raises:
        ValueError: the library is not installed, or a file of the collector's TLS cannot be read.
    """
    if not settings.endpoint:
        return Tracing()
    try:
        from batchproof_server.observing.traces.observer import trace_observer  # noqa: PLC0415 - an extra brings the library
        from batchproof_server.observing.traces.outlet import open_outlet  # noqa: PLC0415 - likewise
        from batchproof_server.observing.traces.sampling import Sampling  # noqa: PLC0415 - likewise
    except ModuleNotFoundError as missing:
        raise ValueError(
            f"tracing.endpoint is set and {missing.name} is not installed, expected: pip install "
            '"batchproof[otel]"'
        ) from missing
    outlet = open_outlet(settings, counts, partial(log.write_export, settings.endpoint))
    observer = trace_observer(settings.service_name, build_version, outlet.send)
    sampling = Sampling(
        settings.share, callers_decide=settings.callers_decide, clock=clock, now_ns=epoch_ns
    )
    return Tracing((observer,), sampling.begin, outlet.close)
