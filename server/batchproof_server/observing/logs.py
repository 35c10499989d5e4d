"""One event, one line, in JSON or for reading. The only module that knows the logging library.

Nothing is configured globally: ``configure_logs`` returns a logger, and whoever wants to log is
given it. A line is written with one call under the stream's lock, so threads never mix lines; the
lines of requests that were answered in one turn of the loop are written together.
What a caller sent (a request id, a name) is escaped and cut: it cannot forge a line.
"""

import json
from collections.abc import Callable, Iterable, MutableMapping
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Any, Final, Literal, Protocol, TypeAlias, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from batchproof.text import printable
from batchproof_server.base.errors import cut
from batchproof_server.base.events import (
    BatchRecord,
    DeviceBack,
    DeviceLost,
    FrontChosen,
    RefusedUnread,
    RepositoryLooked,
    RequestRecord,
    RequestsFinished,
    SelfCheckRecord,
    ShedRecord,
    Subscription,
)
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import VersionState
from batchproof_server.observing.result_counts import LOG_LINES, ResultCounts
from batchproof_server.proof.settings import Progress

Logger: TypeAlias = FilteringBoundLogger
LogFormat: TypeAlias = Literal["json", "console"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
Event: TypeAlias = MutableMapping[str, Any]

REQUEST_EVENT: Final = "request finished"
_SHOWN_CHARACTERS: Final = 300
# ASCII only: a reader that splits lines at U+2028 or U+0085 still sees one line
_JSON: Final = json.JSONEncoder(default=repr)

_WARNINGS = frozenset({"RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED"})
_ERRORS = frozenset({"INTERNAL", "UNKNOWN", "DATA_LOSS"})


class LineStream(Protocol):
    """What takes lines; as ``TextIO``."""

    def write(self, text: str, /) -> int:
        """Takes whole lines."""
        ...

    def flush(self) -> None:
        """Called behind each write."""
        ...

    def isatty(self) -> bool:
        """Whether people read the lines as they come."""
        ...


def configure_logs(level: LogLevel, log_format: LogFormat, stream: LineStream) -> Logger:
    """Returns a logger that writes to ``stream``, which no one else should write to.

    Args:
        level: what is less is dropped.
        log_format: ``json``: one object a line. ``console``: for people.
        stream: where the lines go.
    """
    lazy = structlog.wrap_logger(
        structlog.WriteLogger(cast("Any", stream)),
        processors=[_renderer(log_format, colors=stream.isatty())],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    logger: Logger = lazy.bind()  # once, and not again for each line
    return logger


def say_lost(log_format: LogFormat, lines: int) -> str:
    """The line that says how many could not be written before it."""
    event = {"event": "log lines lost", "lines": lines, "consequence": _LOST}
    return str(_renderer(log_format, colors=False)(None, "warning", event))


_LOST: Final = "nobody waits for whoever reads the log; batchproof_log_lines_total counts them"


def _renderer(log_format: LogFormat, *, colors: bool) -> Processor:
    return _render_json if log_format == "json" else _console(colors=colors)


def _console(*, colors: bool) -> Processor:
    """The processor that makes a line of each request."""
    # repr of every value: quoted, and with its control characters escaped
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors,
        repr_native_str=True,
        timestamp_key="time",
        exception_formatter=structlog.dev.plain_traceback,
    )
    steps: tuple[Callable[[Any, str, Any], Any], ...] = (*_COMPLETED, _escape, renderer)

    def line(logger: object, method: str, event: Event) -> Any:
        rendered: Any = event
        for step in steps:
            rendered = step(logger, method, rendered)
        return rendered

    def lines(logger: object, method: str, event: Event) -> str:
        records = event.pop(_REQUESTS, None)
        if records is None:
            return str(line(logger, method, event))
        each = [line(logger, method, {**fields_of(record), **event}) for record in records]
        return "\n".join(each)

    return lines


def _stamp(_logger: object, _method: str, event: Event) -> Event:
    event["time"] = timestamp()
    return event


_COMPLETED: Final[tuple[Callable[[Any, str, Event], Event], ...]] = (
    structlog.processors.add_log_level,
    _stamp,
    structlog.processors.format_exc_info,
)


# One processor, since the lines of requests need none of the others.
def _render_json(logger: object, method: str, event: Event) -> str:
    if (records := event.get(_REQUESTS)) is not None:
        return "\n".join(map(partial(json_line, level=method, time=timestamp()), records))
    for complete in _COMPLETED:
        event = complete(logger, method, event)
    return _JSON.encode(event)


_REQUESTS: Final = "request records"


def _escape(_logger: object, _method: str, event: Event) -> Event:
    """Escapes what the console would print as it is: the event's text and tracebacks."""
    event["event"] = printable(str(event["event"]))
    if "exception" in event:
        lines = event["exception"].splitlines()
        event["exception"] = "\n".join(f"    {printable(line)}" for line in lines)
    return event


def short(text: str) -> str:
    """What a line shows of a text: all of it, unless it is long."""
    return text if len(text) <= _SHOWN_CHARACTERS else cut(text, _SHOWN_CHARACTERS)


def milliseconds(duration_s: float) -> float:
    """What a line shows of a duration."""
    return round(duration_s * 1000, 3)


def timestamp() -> str:
    """The time of day of a line: UTC, ISO 8601."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def fields_of(record: RequestRecord) -> dict[str, Any]:
    """What a line says of a request; with the caller's message when there is one."""
    fields: dict[str, Any] = {
        "request_id": short(record.request_id),
        "method": record.method,
        "model": short(record.model),
        "version": record.version,
        "code": record.code,
        "rows": record.rows,
        "duration_ms": milliseconds(record.duration_s),
    }
    if record.message:
        fields["message"] = short(record.message)
    if record.spans is not None:
        fields["trace_id"] = record.spans.trace
    return fields


def json_line(record: RequestRecord, level: str, time: str) -> str:
    """The whole line, as the processors would write it of ``fields_of``, in a third of their time.

    Args:
        record: of the request.
        level: its name.
        time: from ``timestamp``.
    """
    text = _JSON.encode
    message = f'"message": {text(short(record.message))}, ' if record.message else ""
    trace = "" if record.spans is None else f'"trace_id": "{record.spans.trace}", '
    return (
        f'{{"request_id": {text(short(record.request_id))}, "method": {text(record.method)}, '
        f'"model": {text(short(record.model))}, "version": {record.version}, '
        f'"code": {text(record.code)}, "rows": {record.rows}, '
        f'"duration_ms": {milliseconds(record.duration_s)!r}, {message}{trace}'
        f'"event": "{REQUEST_EVENT}", "level": "{level}", "time": "{time}"}}'
    )


# Contract: an observer for the loop thread. One line for each finished request, for each failed
# micro-batch and for each change of a model's state; the rest only at level debug. Scores belong to
# the caller, and of a picture the request's line says enough.
class LogObserver:
    """Writes what happened.

    Args:
        logger: from ``configure_logs``.
        lines: what becomes of its lines, where somebody counts them.

    Attributes:
        lines: the same.
    """

    def __init__(self, logger: Logger, lines: ResultCounts | None = None) -> None:
        self._logger = logger
        self.lines = lines or ResultCounts(LOG_LINES)
        self._repository_failure = ""

    def set_level(self, level: LogLevel) -> None:
        """Drops what is less from now on."""
        make: Any = structlog.make_filtering_bound_logger(level)
        old: Any = self._logger
        self._logger = make(old._logger, old._processors, structlog.get_context(old))  # noqa: SLF001 - it has no other way
        self._logger.info("log level", level=level)

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """What becomes a line."""
        return (
            Subscription(FrontChosen, self.write_front),
            Subscription(RequestsFinished, self.write_requests),
            Subscription(RefusedUnread, self.write_refused),
            Subscription(BatchRecord, self.write_batch),
            Subscription(ShedRecord, self.write_shed),
            Subscription(SelfCheckRecord, self.write_self_check),
            Subscription(DeviceLost, self.write_device_lost),
            Subscription(DeviceBack, self.write_device_back),
            Subscription(VersionChanged, self.write_version),
            Subscription(RepositoryLooked, self.write_look),
        )

    def write_front(self, chosen: FrontChosen) -> None:
        """Writes which front serves; one that had to take the place of another is a warning."""
        if chosen.instead_because:
            self._logger.warning("front", front=chosen.front, because=chosen.instead_because)
        else:
            self._logger.info("front", front=chosen.front)

    def write_requests(self, finished: RequestsFinished) -> None:
        """Writes a line for each, with the caller's message when there is one.

        Those of one level at once: a write lets other threads run, and costs two of their turns.
        """
        for write, alike in groupby(finished.records, lambda each: self._writer_of(each.code)):
            write(REQUEST_EVENT, **{_REQUESTS: list(alike)})

    def write_refused(self, refused: RefusedUnread) -> None:
        """Writes one line for all that came together, with the id of each."""
        self._writer_of(refused.code)(
            "requests refused",
            method=refused.method,
            model=short(refused.model),
            version=refused.version,
            code=refused.code,
            requests=len(refused.request_ids),
            request_ids=[short(each) for each in refused.request_ids],
            message=short(refused.message),
        )

    def _writer_of(self, code: str) -> Callable[..., Any]:
        if code in _ERRORS:
            return self._logger.error
        return self._logger.warning if code in _WARNINGS else self._logger.info

    def write_batch(self, record: BatchRecord) -> None:
        """Writes a failed micro-batch as an error."""
        write = self._logger.error if record.failed else self._logger.debug
        write(
            "micro-batch failed" if record.failed else "micro-batch executed",
            model=record.model,
            version=record.version,
            rows=record.rows,
            bucket_rows=record.bucket_rows,
            execution_ms=milliseconds(record.execution_s),
        )

    def write_shed(self, record: ShedRecord) -> None:
        """Writes the reason at level debug; the request's own line carries the code."""
        self._logger.debug(
            "request shed",
            model=record.model,
            version=record.version,
            reason=record.reason,
        )

    def write_version(self, change: VersionChanged) -> None:
        """Writes the state and the findings; a version that failed is an error."""
        if change.new is VersionState.DISCOVERED:
            return
        facts = change.facts
        if change.old is VersionState.LOADING:
            self._write_profile_findings(change)
        fields: dict[str, Any] = {
            "model": change.model,
            "version": change.version,
            "state": change.new,
            "model_digest": facts.model_digest,
            "recipe_digest": facts.recipe_digest,
            "engine": facts.engine,
            "duration_ms": milliseconds(change.duration_s),
        }
        if facts.certificate_digest:
            fields["certificate_digest"] = facts.certificate_digest
            fields["verdict"], fields["consistency"] = facts.verdict, facts.consistency
        if change.findings:
            fields["findings"] = list(map(short, change.findings))
        is_failed = change.new is VersionState.FAILED
        (self._logger.error if is_failed else self._logger.info)("model changed", **fields)

    def _write_profile_findings(self, change: VersionChanged) -> None:
        fields: dict[str, Any] = {"model": change.model, "version": change.version}
        is_ignored = change.facts.profile is None
        event = "drift profile ignored" if is_ignored else "drift profile of other libraries"
        for finding in change.facts.profile_findings:
            self._logger.warning(event, **fields, finding=short(finding))

    def write_self_check(self, record: SelfCheckRecord) -> None:
        """Writes a difference as an error, a failure as a warning; the rest only at level debug."""
        fields: dict[str, Any] = {"request_id": short(record.request_id)}
        fields |= {"model": record.model, "version": record.version}
        if record.result == "skipped":
            failed = record.reason == "failed"
            write = self._logger.warning if failed else self._logger.debug
            write("self-check skipped", **fields, reason=record.reason)
            return
        fields["answered_bucket_rows"] = record.answered_bucket_rows
        fields["bucket_rows"] = record.bucket_rows
        if record.result == "different":
            fields["greatest_difference"] = record.greatest_difference
            self._logger.error("self-check found another answer", **fields)
            return
        self._logger.debug("self-check found the same answer", **fields)

    def write_device_lost(self, lost: DeviceLost) -> None:
        """Writes why a device process is there no more, as an error."""
        fields: dict[str, Any] = {"model": lost.model, "version": lost.version}
        fields |= {"reason": lost.reason, "detail": short(lost.detail)}
        self._logger.error("device lost", **fields)

    def write_device_back(self, back: DeviceBack) -> None:
        """Writes that there is another."""
        fields: dict[str, Any] = {"model": back.model, "version": back.version}
        self._logger.info("device back", **fields, away_ms=milliseconds(back.away_s))

    def write_look(self, looked: RepositoryLooked) -> None:
        """Writes that the repository cannot be read, or can again; not each time anew."""
        if looked.failure == self._repository_failure:
            return
        self._repository_failure = looked.failure
        if looked.failure:
            self._logger.error("repository not read", reason=short(looked.failure))
        else:
            self._logger.info("repository read again")

    def write_proof_progress(self, progress: Progress) -> None:
        """Writes where a proof stands; each counted part of a step only at level debug."""
        fields: dict[str, Any] = {"model": progress.model, "version": progress.version}
        fields["step"] = progress.step
        if progress.total:
            fields |= {"done": progress.done, "total": progress.total}
        if progress.detail:
            fields["detail"] = short(progress.detail)
        inside = 0 < progress.done < progress.total
        (self._logger.debug if inside else self._logger.info)("proof", **fields)

    def write_process_key(self) -> None:
        """Writes that handles of answers are of use to this process only."""
        self._logger.info(
            "handles of answers are sealed under a random key of this process",
            consequence="another replica, or this one after a restart, takes no outcome of them",
            way_out="set [outcomes] key_file",
        )

    def write_export(self, endpoint: str, is_failing: bool, lost_spans: int) -> None:  # noqa: FBT001 - for partial
        """Writes that a collector takes no spans, or takes them again; on any thread."""
        fields: dict[str, Any] = {"endpoint": endpoint, "lost_spans": lost_spans}
        if is_failing:
            way_out = "nobody waits for it; batchproof_trace_spans_total counts what is dropped"
            self._logger.error("traces not exported", **fields, consequence=way_out)
        else:
            self._logger.info("traces exported again", **fields)

    def write_capture(self, reason: str) -> None:
        """Writes that rows cannot be captured, or can again; on any thread."""
        if reason:
            self._logger.error("capture failed", reason=short(reason))
        else:
            self._logger.info("capture works again")

    def write_ignored(self, orders: Iterable[str]) -> None:
        """Writes which orders of operators can be followed no more, at the start."""
        for order in orders:
            self._logger.warning("order ignored", reason=short(order))

    def write_unkept(self, reason: str) -> None:
        """Writes that orders of operators will be forgotten at the next start."""
        self._logger.error("orders not kept", reason=short(reason))

    def write_uncounted(self, reason: str) -> None:
        """Writes that what shadows were found to do before this start is counted anew."""
        self._logger.warning("tallies counted anew", reason=short(reason))

    def write_untallied(self, reason: str) -> None:
        """Writes that what shadows are found to do will be forgotten at the next start."""
        self._logger.warning("tallies not kept", reason=short(reason))

    def write_failure(self, failure: BaseException, request_id: str = "") -> None:
        """Writes what nobody foresaw, with its traceback; the caller only ever saw the id."""
        self._logger.error("unforeseen failure", request_id=short(request_id), exc_info=failure)
