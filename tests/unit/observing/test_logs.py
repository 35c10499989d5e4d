import io
import json
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.events import (
    BatchRecord,
    DecodeRecord,
    FrontChosen,
    QueueChanged,
    RefusedUnread,
    RepositoryLooked,
    RequestRecord,
    SelfCheckRecord,
    ShedRecord,
    Subscriber,
)
from batchproof_server.drift.profile_form import KnownProfile
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_facts import VersionFacts
from batchproof_server.models.version_states import VersionState
from batchproof_server.observing.fan_out import Observers
from batchproof_server.observing.library_logs import capture_library_logs
from batchproof_server.observing.logs import (
    LogFormat,
    LogLevel,
    LogObserver,
    configure_logs,
)
from support.drift_fixtures import profile
from support.told import finished

FORMATS: tuple[LogFormat, ...] = ("json", "console")
FORGERY = 'x\n{"level": "info"}\r\x1b[2K\u2028\u0085\x00\u202e'


def request(
    code: str = "OK", message: str = "", request_id: str = "id-1", model: str = "digits"
) -> RequestRecord:
    return RequestRecord("Predict", request_id, model, 3, code, 0.0123456, 2, message)


def version(state: str, findings: tuple[str, ...] = ()) -> VersionChanged:
    facts = VersionFacts("sha256:aa", "sha256:bb", "affine 1")
    new = VersionState(state)
    return VersionChanged("digits", 3, VersionState.LOADING, new, facts, findings, 0.5)


def observer(
    stream: io.StringIO, log_format: LogFormat = "json", level: LogLevel = "info"
) -> LogObserver:
    return LogObserver(configure_logs(level, log_format, stream))


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_a_finished_request_is_one_json_line(stream: io.StringIO) -> None:
    told: Subscriber = observer(stream)
    Observers((told,), lambda failure: pytest.fail(str(failure))).notify(finished(request()))
    (line,) = lines(stream)
    at = datetime.fromisoformat(line.pop("time"))
    assert at.utcoffset() == timedelta(0)
    assert line == {
        "event": "request finished",
        "level": "info",
        "request_id": "id-1",
        "method": "Predict",
        "model": "digits",
        "version": 3,
        "code": "OK",
        "rows": 2,
        "duration_ms": 12.346,
    }


def refused(*request_ids: str) -> RefusedUnread:
    code, reason = "RESOURCE_EXHAUSTED", "queue_full"
    return RefusedUnread("Predict", request_ids, "digits", 3, code, "full", reason)


def test_calls_that_are_refused_together_are_one_line_with_the_id_of_each(
    stream: io.StringIO,
) -> None:
    observer(stream).write_refused(refused("a", "b\n"))
    (line,) = lines(stream)
    line.pop("time")
    assert line == {
        "event": "requests refused",
        "level": "warning",
        "method": "Predict",
        "model": "digits",
        "version": 3,
        "code": "RESOURCE_EXHAUSTED",
        "requests": 2,
        "request_ids": ["a", "b\n"],
        "message": "full",
    }


@pytest.mark.parametrize("difference", [1.5e-7, 0.0, None])
def test_another_answer_in_other_company_is_an_error_with_its_request(
    stream: io.StringIO, difference: float | None
) -> None:
    record = SelfCheckRecord("digits", 3, "different", "id-1", 2, 16, difference)
    observer(stream).write_self_check(record)
    (line,) = lines(stream)
    line.pop("time")
    assert line == {
        "event": "self-check found another answer",
        "level": "error",
        "request_id": "id-1",
        "model": "digits",
        "version": 3,
        "answered_bucket_rows": 16,
        "bucket_rows": 2,
        "greatest_difference": difference,
    }


def test_the_same_answer_and_a_check_that_was_skipped_are_for_debugging(
    stream: io.StringIO,
) -> None:
    records = [
        SelfCheckRecord("digits", 3, "identical", "id-1", 2, 16),
        SelfCheckRecord("digits", 3, "skipped", "id-2", reason="busy"),
    ]
    for record in records:
        observer(stream).write_self_check(record)
    assert lines(stream) == []
    for record in records:
        observer(stream, level="debug").write_self_check(record)
    assert [(line["level"], line["request_id"], line["event"]) for line in lines(stream)] == [
        ("debug", "id-1", "self-check found the same answer"),
        ("debug", "id-2", "self-check skipped"),
    ]


def test_a_check_that_failed_is_a_warning(stream: io.StringIO) -> None:
    observer(stream).write_self_check(SelfCheckRecord("m", 1, "skipped", "id-2", reason="failed"))
    (line,) = lines(stream)
    assert (line["level"], line["reason"]) == ("warning", "failed")


@pytest.mark.parametrize(
    ("code", "level"),
    [
        ("OK", "info"),
        ("INVALID_ARGUMENT", "info"),
        ("NOT_FOUND", "info"),
        ("CANCELLED", "info"),
        ("RESOURCE_EXHAUSTED", "warning"),
        ("UNAVAILABLE", "warning"),
        ("DEADLINE_EXCEEDED", "warning"),
        ("INTERNAL", "error"),
        ("UNKNOWN", "error"),
    ],
)
def test_the_code_of_a_request_decides_its_level(
    stream: io.StringIO, code: str, level: str
) -> None:
    observer(stream).write_requests(finished(request(code, "why")))
    (line,) = lines(stream)
    assert (line["level"], line["message"]) == (level, "why")


def test_what_is_below_the_level_is_dropped(stream: io.StringIO) -> None:
    told = observer(stream, level="warning")
    told.write_requests(finished(request()))
    told.write_requests(finished(request("UNAVAILABLE")))
    assert [line["code"] for line in lines(stream)] == ["UNAVAILABLE"]


class Writes(io.StringIO):
    """Counts the calls that wrote something."""

    count = 0

    def write(self, text: str) -> int:
        """Writes it."""
        self.count += bool(text)
        return super().write(text)


@pytest.mark.parametrize("log_format", FORMATS)
def test_requests_that_are_told_together_are_lines_that_are_written_together(
    log_format: LogFormat,
) -> None:
    stream = Writes()
    told = observer(stream, log_format)
    told.write_requests(finished(*[request(request_id=f"id-{number}") for number in range(3)]))
    written = stream.getvalue().splitlines()
    assert stream.count == 1
    assert [f"id-{number}" in line for number, line in enumerate(written)] == [True] * 3


def test_requests_of_several_levels_keep_their_order(stream: io.StringIO) -> None:
    codes = ("OK", "NOT_FOUND", "INTERNAL", "OK", "UNAVAILABLE")
    observer(stream).write_requests(finished(*map(request, codes)))
    levels = [(line["code"], line["level"]) for line in lines(stream)]
    expected = ("info", "info", "error", "info", "warning")
    assert levels == list(zip(codes, expected, strict=True))


@pytest.mark.parametrize("log_format", FORMATS)
def test_a_caller_cannot_forge_a_line(stream: io.StringIO, log_format: LogFormat) -> None:
    observer(stream, log_format).write_requests(finished(request("OK", FORGERY, FORGERY, FORGERY)))
    text = stream.getvalue()
    assert len(text.splitlines()) == 1
    assert text.removesuffix("\n").isprintable()


@given(st.text(), st.text(), st.sampled_from(FORMATS))
def test_whatever_a_caller_sends_is_one_printable_line(
    request_id: str, message: str, log_format: LogFormat
) -> None:
    stream = io.StringIO()
    observer(stream, log_format).write_requests(finished(request("NOT_FOUND", message, request_id)))
    text = stream.getvalue()
    assert text.endswith("\n")
    assert text.removesuffix("\n").isprintable()


@given(st.text(max_size=300))
def test_a_json_line_gives_back_what_the_caller_sent(request_id: str) -> None:
    stream = io.StringIO()
    observer(stream).write_requests(finished(request(request_id=request_id)))
    assert lines(stream)[0]["request_id"] == request_id


def test_a_console_line_quotes_what_the_caller_sent(stream: io.StringIO) -> None:
    observer(stream, "console").write_requests(finished(request(request_id="a code=INTERNAL")))
    assert "request_id='a code=INTERNAL'" in stream.getvalue()


def test_a_long_text_is_cut(stream: io.StringIO) -> None:
    observer(stream).write_requests(finished(request("NOT_FOUND", "m" * 10_000, "i" * 10_000)))
    (line,) = lines(stream)
    assert line["message"] == "m" * 300 + "..."
    assert line["request_id"] == "i" * 300 + "..."


def test_the_front_is_a_line_and_one_in_place_of_another_a_warning(stream: io.StringIO) -> None:
    log = LogObserver(configure_logs("info", "json", stream))
    log.write_front(FrontChosen("completion_queue", ""))
    log.write_front(FrontChosen("grpc_aio", "grpcio 9 has no Server"))
    plain, warning = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (plain["front"], plain["level"]) == ("completion_queue", "info")
    assert (warning["because"], warning["level"]) == ("grpcio 9 has no Server", "warning")


def test_a_failed_micro_batch_is_an_error(stream: io.StringIO) -> None:
    observer(stream).write_batch(BatchRecord("digits", 3, 5, 8, (0.1,), 0.25, failed=True))
    (line,) = lines(stream)
    assert (line["event"], line["level"]) == ("micro-batch failed", "error")
    assert (line["rows"], line["bucket_rows"], line["execution_ms"]) == (5, 8, 250.0)


def test_frequent_events_are_written_at_debug_or_never(stream: io.StringIO) -> None:
    told = observer(stream)
    quiet = (told, observer(stream, level="debug"))
    for each in quiet:
        observers = Observers((each,), each.write_failure)
        observers.notify(BatchRecord("digits", 3, 5, 8, (0.1,), 0.25, failed=False))
        observers.notify(ShedRecord("digits", 3, "deadline"))
        observers.notify(DecodeRecord("PNG", 0.1))
        observers.notify(QueueChanged("digits", 3, 1))
    events = [(line["level"], line["event"]) for line in lines(stream)]
    assert events == [("debug", "micro-batch executed"), ("debug", "request shed")]


def test_a_model_says_its_state(stream: io.StringIO) -> None:
    observer(stream).write_version(version("ready"))
    (line,) = lines(stream)
    assert (line["event"], line["level"]) == ("model changed", "info")
    assert (line["state"], line["engine"], line["duration_ms"]) == ("ready", "affine 1", 500.0)
    assert "findings" not in line


def test_a_model_that_failed_says_why(stream: io.StringIO) -> None:
    observer(stream).write_version(version("failed", ("no labels", "two\nlines")))
    (line,) = lines(stream)
    assert (line["level"], line["findings"]) == ("error", ["no labels", "two\nlines"])


def test_a_version_that_was_only_discovered_is_no_line(stream: io.StringIO) -> None:
    observer(stream).write_version(version("discovered"))
    assert lines(stream) == []


def test_a_profile_that_is_ignored_is_said_before_the_version_answers(stream: io.StringIO) -> None:
    facts = VersionFacts(profile_findings=("another model's",))
    ready = VersionChanged("digits", 3, VersionState.LOADING, VersionState.READY, facts)
    observer(stream).write_version(ready)
    said = [(line["event"], line["level"], line.get("finding")) for line in lines(stream)]
    assert said == [
        ("drift profile ignored", "warning", "another model's"),
        ("model changed", "info", None),
    ]


def test_a_profile_of_other_libraries_is_used_and_said(stream: io.StringIO) -> None:
    facts = VersionFacts(profile=KnownProfile.of(profile()), profile_findings=("older",))
    ready = VersionChanged("digits", 3, VersionState.LOADING, VersionState.READY, facts)
    observer(stream).write_version(ready)
    assert [(line["event"], line.get("finding")) for line in lines(stream)] == [
        ("drift profile of other libraries", "older"),
        ("model changed", None),
    ]


def test_a_repository_that_cannot_be_read_is_said_once_and_so_is_its_return(
    stream: io.StringIO,
) -> None:
    observed = observer(stream)
    for failure in ("", "gone", "gone", "", ""):
        observed.write_look(RepositoryLooked(failure))
    assert [(line["event"], line.get("reason")) for line in lines(stream)] == [
        ("repository not read", "gone"),
        ("repository read again", None),
    ]


@pytest.mark.parametrize("log_format", FORMATS)
def test_an_unforeseen_failure_is_written_with_its_traceback(
    stream: io.StringIO, log_format: LogFormat
) -> None:
    observer(stream, log_format).write_failure(raised("went wrong"), "id-7")
    text = stream.getvalue()
    assert "id-7" in text
    assert "Traceback" in text
    assert "Unforeseen: went wrong" in text


def test_a_traceback_is_still_one_json_line(stream: io.StringIO) -> None:
    observer(stream).write_failure(raised(FORGERY), FORGERY)
    (line,) = lines(stream)
    assert line["exception"].startswith("Traceback")
    assert line["request_id"] == FORGERY


def test_a_traceback_cannot_forge_a_console_line(stream: io.StringIO) -> None:
    observer(stream, "console").write_failure(raised(f"{FORGERY}\n2026-01-01T00:00:00Z [info]"))
    first, *rest = stream.getvalue().splitlines()
    assert "unforeseen failure" in first
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


class Unforeseen(Exception):
    """What the tests raise."""


def raised(text: str) -> Unforeseen:
    with pytest.raises(Unforeseen) as caught:
        fail(text)
    return caught.value


def fail(text: str) -> None:
    raise Unforeseen(text)


class OneWriteALine(io.StringIO):
    """Fails when a line comes in pieces, or while another is being written."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = threading.Lock()

    def write(self, text: str, /) -> int:
        """Takes one whole line."""
        assert text.count("\n") == 1
        assert text.endswith("\n")
        assert self.busy.acquire(blocking=False)
        try:
            return super().write(text)
        finally:
            self.busy.release()


def test_threads_do_not_mix_their_lines() -> None:
    stream = OneWriteALine()
    told = observer(stream)

    def write(thread: int) -> None:
        for number in range(100):
            told.write_requests(finished(request(request_id=f"{thread}-{number}")))

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    written = {line["request_id"] for line in lines(stream)}
    assert written == {f"{thread}-{number}" for thread in range(8) for number in range(100)}


def test_a_value_that_json_does_not_know_is_shown(stream: io.StringIO) -> None:
    configure_logs("info", "json", stream).info("started", path=complex(1, 2))
    assert lines(stream)[0]["path"] == "(1+2j)"


@pytest.fixture
def bridged(stream: io.StringIO) -> Iterator[io.StringIO]:
    with capture_library_logs(configure_logs("info", "json", stream)):
        yield stream


def test_what_a_library_logs_comes_in_the_same_format(bridged: io.StringIO) -> None:
    logging.getLogger("grpc").warning("lost %s", "connection\nagain")
    (line,) = lines(bridged)
    assert (line["level"], line["event"]) == ("warning", "lost connection\nagain")
    assert line["library"] == "grpc"


def test_a_library_says_only_what_matters(bridged: io.StringIO) -> None:
    logging.getLogger("absl").info("chatter")
    assert bridged.getvalue() == ""


def test_a_level_that_a_library_invented_is_rounded_down(bridged: io.StringIO) -> None:
    logging.getLogger("odd").log(35, "between")
    logging.getLogger("odd").log(99, "above")
    assert [line["level"] for line in lines(bridged)] == ["warning", "critical"]


def test_the_traceback_of_a_library_is_kept(bridged: io.StringIO) -> None:
    logging.getLogger("grpc").error("failed", exc_info=raised("inside"))
    assert "Unforeseen: inside" in lines(bridged)[0]["exception"]


def test_a_faulty_format_of_a_library_is_written_as_it_is(stream: io.StringIO) -> None:
    with capture_library_logs(configure_logs("info", "json", stream)):
        logging.getLogger("odd").error("%d rows", "many")
    assert lines(stream)[0]["event"] == "%d rows"


def test_a_warning_becomes_a_line(bridged: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.warn("old call", DeprecationWarning, stacklevel=1)
    (line,) = lines(bridged)
    assert line["library"] == "py.warnings"
    assert re.search("DeprecationWarning: old call", line["event"])


def test_the_libraries_get_their_handlers_back(stream: io.StringIO) -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level, warnings.showwarning)
    with capture_library_logs(configure_logs("info", "json", stream)):
        assert root.handlers[:] != before[0]
    assert (root.handlers[:], root.level, warnings.showwarning) == before


def test_the_text_of_an_event_cannot_forge_a_console_line(stream: io.StringIO) -> None:
    configure_logs("info", "console", stream).info("first\nsecond\u2028third")
    text = stream.getvalue()
    assert len(text.splitlines()) == 1
    assert "first\\nsecond\\u2028third" in text
