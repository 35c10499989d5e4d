"""Lines of engines are left out, passed on or become JSON; nothing else is lost."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from batchproof_server.observing import engine_lines
from batchproof_server.observing.engine_lines import level_of, pass_on, shown
from support.patience import PATIENCE_S

NOTE = "I0000 00:00:1795900270.473746   23175 port.cc:153] oneDNN custom operations are on."
WARNING = "W0000 00:00:1795900270.473746   23175 gpu.cc:5] no GPU"
ERROR = "E0000 00:00:1795900270.473746   23175 cuda_dnn.cc:5] no factory"
FATAL = "F0000 00:00:1795900270.473746   23175 tensor.cc:5] Check failed: ok"
DATED = "2026-11-28 21:12:01.123456: I tensorflow/core/util/port.cc:153] oneDNN"
PREAMBLE = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR"
ABORT = "terminate called after throwing an instance of 'std::bad_alloc'"

WRITES = """
import os, sys
from batchproof_server.observing.engine_lines import engine_lines_apart
with engine_lines_apart(as_json={as_json}):
    os.write(2, {theirs!r}.encode())
    print("ours", file=sys.stderr)
    {end}
print("after", file=sys.stderr)
"""


def run(theirs: str, *, end: str = "pass", as_json: bool = False, level: str = "2") -> list[str]:
    """The lines on standard error of a process in which an engine writes."""
    done = subprocess.run(
        [sys.executable, "-c", WRITES.format(as_json=as_json, theirs=theirs, end=end)],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": level},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    return done.stderr.splitlines()


@pytest.mark.parametrize(
    ("line", "level"),
    [(NOTE, "I"), (WARNING, "W"), (ERROR, "E"), (FATAL, "F"), (DATED, "I"), (PREAMBLE, "I")],
)
def test_the_level_of_an_engines_line_is_known(line: str, level: str) -> None:
    assert level_of(line) == level


@pytest.mark.parametrize("line", ["", "Illegal", "I was here", "{}", ABORT, "Warning: deprecated"])
def test_any_other_line_has_none_and_passes(line: str) -> None:
    assert level_of(line) is None
    assert shown(line, 3, as_json=False) == line


@pytest.mark.parametrize("least", range(4))
def test_what_is_less_than_the_level_is_left_out(least: int) -> None:
    kept = [line for line in (NOTE, WARNING, ERROR, FATAL) if shown(line, least, as_json=False)]
    assert kept == [NOTE, WARNING, ERROR, FATAL][least:]


@pytest.mark.parametrize(
    ("line", "level"), [(ERROR, "error"), (FATAL, "critical"), (ABORT, "warning")]
)
def test_in_a_log_of_json_every_line_is_an_object(line: str, level: str) -> None:
    record = json.loads(shown(line, 2, as_json=True) or "")
    assert (record["event"], record["level"], record["library"]) == (line, level, "engine")
    assert record["time"].endswith("Z")
    assert shown('{"event": "ours"}', 2, as_json=True) == '{"event": "ours"}'


def test_bytes_that_are_no_text_and_a_line_without_end_are_passed_on() -> None:
    target = io.BytesIO()
    pass_on(io.BytesIO(b"\xff\n" + NOTE.encode() + b"\nlast"), target, 2, as_json=False)
    assert target.getvalue() == b"\\xff\nlast\n"


class Stalling(io.BytesIO):
    """Takes one line, and no other until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def write(self, content: Any) -> int:
        """As a pipe that nobody reads."""
        written = super().write(content)
        assert self.go_on.wait(PATIENCE_S)
        return written


def test_lines_that_nobody_takes_are_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_lines, "_PATIENCE_S", 0.01)
    source, target = io.BytesIO(b"a line\n" * 10_000), Stalling()
    pass_on(source, target, 2, as_json=False)
    target.go_on.set()
    assert source.read() == b""
    assert target.getvalue().splitlines()[0] == b"a line"


def test_a_burst_of_lines_arrives_whole() -> None:
    lines = b"".join(b"line %d\n" % number for number in range(5_000))
    target = io.BytesIO()
    pass_on(io.BytesIO(lines), target, 2, as_json=False)
    assert target.getvalue() == lines


def test_a_target_that_takes_nothing_more_ends_nothing() -> None:
    class Full(io.BytesIO):
        def write(self, _content: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    source = io.BytesIO(b"a line\n" * 1_000)
    pass_on(source, Full(), 2, as_json=False)
    assert source.read() == b""


def test_a_process_shows_its_own_lines_and_the_errors_of_the_engine() -> None:
    lines = run(f"{PREAMBLE}\n{NOTE}\n{ERROR}\n")
    assert sorted(lines) == sorted([ERROR, "ours", "after"])
    assert lines[-1] == "after"


def test_whoever_asks_for_notes_gets_them() -> None:
    assert NOTE in run(f"{NOTE}\n", level="0")


def test_the_last_words_of_an_abort_are_not_lost() -> None:
    kill = f"os.kill(os.getpid(), {int(signal.SIGKILL)})"
    assert sorted(run(f"{FATAL}\n", end=kill)) == sorted([FATAL, "ours"])


def test_in_json_they_are_objects() -> None:
    (error,) = (line for line in run(f"{NOTE}\n{ERROR}\n", as_json=True) if line.startswith("{"))
    assert json.loads(error)["event"] == ERROR
