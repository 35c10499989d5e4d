"""The way out of the spans: a bounded queue, a thread that sends, and counts of what was lost."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from batchproof_server.base.files import read_start
from batchproof_server.observing.result_counts import ResultCounts
from batchproof_server.observing.traces.settings import CollectorTls, TracingSettings

# Told when the collector takes no spans, and when it does again, with how many were lost so far.
TellExport: TypeAlias = Callable[[bool, int], None]


class CountedExporter(SpanExporter):
    """Counts what another exporter does, and tells when that changes.

    Args:
        exporter: sends; may block and raise.
        counts: of the spans.
        tell: called on the thread that sends.
    """

    def __init__(self, exporter: SpanExporter, counts: ResultCounts, tell: TellExport) -> None:
        self._exporter = exporter
        self._counts = counts
        self._tell = tell
        self._is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends spans; never raises."""
        try:
            result = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 - the library reads whatever a collector answers
            result = SpanExportResult.FAILURE
        is_failing = result is not SpanExportResult.SUCCESS
        if is_failing:
            self._counts.add("failed", len(spans))
        else:
            self._counts.add("exported", len(spans))
        if is_failing is not self._is_failing:
            self._is_failing = is_failing
            self._tell(is_failing, self._counts.of("failed", "queue_full"))
        return result

    def shutdown(self) -> None:
        """Gives up what is being sent."""
        self._exporter.shutdown()


# Contract: send is called on the loop thread and never waits. What is lost is counted once. The
# library's own lines about a collector that is away are kept out of the log: it tells once.
class SpanOutlet:
    """Sends spans from a queue of its own, on a thread of its own, until it is closed.

    Args:
        exporter: sends.
        counts: of the spans.
        max_queued_spans: that wait or are being sent.
    """

    def __init__(
        self, exporter: CountedExporter, counts: ResultCounts, max_queued_spans: int
    ) -> None:
        self._exporter = exporter
        self._counts = counts
        self._max_queued_spans = max_queued_spans
        self._queued = 0
        _library_lines(propagate=False)
        self._processor = BatchSpanProcessor(
            exporter,
            max_queue_size=max_queued_spans,
            schedule_delay_millis=_EVERY_S * 1000,
            max_export_batch_size=min(_MOST_AT_ONCE, max_queued_spans),
        )

    def send(self, span: ReadableSpan) -> None:
        """Takes a span, or drops it where too many wait."""
        waiting = self._queued - self._counts.of("exported", "failed")
        if waiting >= self._max_queued_spans:
            self._counts.add("queue_full")
        else:
            self._queued += 1
            self._processor.on_end(span)

    def close(self) -> None:
        """Sends what waits, for a short while."""
        giving_up = threading.Timer(_LAST_S, self._exporter.shutdown)
        giving_up.start()
        self._processor.shutdown()  # type: ignore[no-untyped-call] # the library types it not
        giving_up.cancel()
        _library_lines(propagate=True)


_EVERY_S: Final = 1.0
_MOST_AT_ONCE: Final = 512
_LAST_S: Final = 2.0


def _library_lines(*, propagate: bool) -> None:
    """Whether the library's own lines go on to whoever listens at the root."""
    lines = logging.getLogger("opentelemetry")
    lines.propagate = propagate
    if propagate:
        lines.handlers.clear()
    else:
        lines.addHandler(logging.NullHandler())


def open_outlet(settings: TracingSettings, counts: ResultCounts, tell: TellExport) -> SpanOutlet:
    """The way out to a collector; a connection is made when the first spans leave.

    Args:
        settings: with an endpoint.
        counts: of the spans.
        tell: see ``CountedExporter``.

    Raises:
        ValueError: a file of its TLS cannot be read.
    """
    exporter = OTLPSpanExporter(
        endpoint=settings.endpoint,
        insecure=not settings.is_secure,
        credentials=_credentials(settings.tls or CollectorTls()) if settings.is_secure else None,
        headers=tuple(settings.headers.items()),
        timeout=settings.timeout_s,
    )
    counted = CountedExporter(exporter, counts, tell)
    return SpanOutlet(counted, counts, settings.max_queued_spans)


def _credentials(tls: CollectorTls) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=_pem("ca", tls.ca),
        private_key=_pem("key", tls.key),
        certificate_chain=_pem("certificate", tls.certificate),
    )


def _pem(name: str, file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        content = read_start(file, _MAX_PEM_BYTES)
    except OSError as fault:
        raise ValueError(f"tracing.tls.{name}: {file} cannot be read: {fault.strerror}") from fault
    if b"-----BEGIN " not in content:
        raise ValueError(f"tracing.tls.{name}: {file} holds nothing in PEM format")
    return content


_MAX_PEM_BYTES: Final = 1 << 20
