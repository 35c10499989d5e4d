"""The line of a request is written by hand, and is what the logging library would write."""

import io
from collections.abc import MutableMapping
from datetime import datetime
from typing import Any

import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from batchproof_server.base.events import RequestRecord
from batchproof_server.observing.logs import (
    REQUEST_EVENT,
    LogObserver,
    configure_logs,
    fields_of,
    json_line,
    timestamp,
)
from support.told import finished

NASTY = 'x"\\\n{"level": "info"}\r\x1b[2K\u2028\u0085\x00\u202e\ud800 \U0001f600' + "y" * 400
texts = st.text(st.characters(exclude_categories=())) | st.just(NASTY)
records = st.builds(
    RequestRecord,
    method=texts,
    request_id=texts,
    model=texts,
    version=st.integers(0, 2**63 - 1),
    code=st.sampled_from(("OK", "UNAVAILABLE", "INTERNAL")),
    duration_s=st.floats(0, 1e9),
    rows=st.integers(0, 10_000),
    message=texts,
)
levels = st.sampled_from(("info", "warning", "error"))


def by_the_library(record: RequestRecord, level: str, time: str) -> str:
    """The line as a chain of structlog's own processors writes it."""

    def stamp(_logger: object, _method: str, event: Any) -> MutableMapping[str, Any]:
        event["time"] = time
        stamped: MutableMapping[str, Any] = event
        return stamped

    stream = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            stamp,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=repr),
        ],
    )
    getattr(logger, level)(REQUEST_EVENT, **fields_of(record))
    return stream.getvalue().removesuffix("\n")


@given(records, levels)
@example(RequestRecord(NASTY, NASTY, NASTY, 3, NASTY, 0.0, 2, NASTY), "warning")
@example(RequestRecord("Predict", "id", "digits", 3, "OK", 1e-9, 2, ""), "info")
def test_the_line_is_byte_for_byte_that_of_the_library(record: RequestRecord, level: str) -> None:
    time = "2026-11-28T11:22:21.123456Z"

    assert json_line(record, level, time) == by_the_library(record, level, time)


@given(records)
def test_the_log_has_that_line(record: RequestRecord) -> None:
    stream = io.StringIO()

    LogObserver(configure_logs("info", "json", stream)).write_requests(finished(record))

    line = stream.getvalue().removesuffix("\n")
    level = {"OK": "info", "UNAVAILABLE": "warning", "INTERNAL": "error"}[record.code]
    time = line.rpartition('"time": "')[2].removesuffix('"}')
    assert line == json_line(record, level, time)


def test_the_time_is_written_as_the_library_writes_it() -> None:
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="time")

    times = [stamp(None, "", {})["time"], timestamp(), stamp(None, "", {})["time"]]

    instants = [datetime.fromisoformat(time) for time in times]
    assert instants == sorted(instants)
    assert all(time.endswith("Z") and time[10] == "T" for time in times)
