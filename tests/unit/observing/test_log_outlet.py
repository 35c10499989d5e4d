"""Lines of the log: nobody waits for whoever takes them, and each is counted once."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.observing import log_outlet
from batchproof_server.observing.log_outlet import LogOutlet
from batchproof_server.observing.logs import say_lost
from batchproof_server.observing.result_counts import LOG_LINES, ResultCounts
from support.fakes import until
from support.patience import PATIENCE_S

# Nothing is taken after so many bytes: the pipe is full.
PIPE_BYTES = 4_096


class Pipe:
    """A pipe with its reader, both as descriptors."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def read_all(self) -> bytes:
        """What is there, until every writer is gone."""
        content = b""
        while part := os.read(self.reader, 1 << 16):
            content += part
        return content

    def close(self) -> None:
        """Closes what is open still."""
        for each in (self.reader, self.writer):
            with suppress(OSError):
                os.close(each)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def lost(lines: int) -> str:
    return f"lost {lines} lines"


def by_result(counts: ResultCounts) -> tuple[int, ...]:
    return tuple(counts.of(each) for each in LOG_LINES)


def test_lines_arrive_in_their_order_and_each_is_counted(pipe: Pipe) -> None:
    with LogOutlet(pipe.writer, lost) as lines:
        for number in range(100):
            assert lines.write(f"{number}\n") == len(f"{number}\n")
        lines.write("one\ntwo\n\udce9\n")
        lines.flush()
        assert not lines.isatty()
    os.close(pipe.writer)
    expected = [*map(str, range(100)), "one", "two", "\\udce9"]
    assert pipe.read_all().decode().splitlines() == expected
    assert by_result(lines.counts) == (103, 0, 0)


async def test_a_reader_that_stalls_holds_nobody_up_and_learns_how_many_lines_it_missed(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_outlet, "_MOST_CHARACTERS", 100_000)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_all()))
    with LogOutlet(pipe.writer, lost) as lines:
        for number in range(100_000):  # far more than pipe and queue hold together
            lines.write(f"line {number}\n")
        assert lines.counts.of("queue_full") > 0
        reader.start()
        await until(lambda: sum(by_result(lines.counts)) == 100_000)
        lines.write("after\n")
    os.close(pipe.writer)
    reader.join(PATIENCE_S)
    came = read[0].decode().splitlines()
    written, dropped, failed = by_result(lines.counts)
    said = [int(each.split()[1]) for each in came if each.startswith("lost ")]
    numbers = [int(each.split()[1]) for each in came if each.startswith("line ")]
    assert numbers == sorted(numbers)
    assert (len(numbers), came[-1]) == (written - 1, "after")
    assert (sum(said), failed) == (dropped, 0)
    assert written + dropped == 100_001


async def test_a_reader_that_stalls_for_good_does_not_hold_up_the_end(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_outlet, "_LAST_S", 0.05)
    with LogOutlet(pipe.writer, lost) as lines:
        lines.write("x" * (1 << 20) + "\n")
    assert by_result(lines.counts) == (0, 0, 0)
    assert pipe.reader  # the thread waits for it, and nobody for the thread
    os.close(pipe.reader)
    await until(lambda: lines.counts.of("failed") == 1)


async def test_a_reader_that_died_fails_nobody(pipe: Pipe) -> None:
    os.close(pipe.reader)
    with LogOutlet(pipe.writer, lost) as lines:
        lines.write("one\ntwo\n")
        await until(lambda: lines.counts.of("failed") == 2)
        lines.write("three\n")
    assert by_result(lines.counts) == (0, 0, 3)


def test_a_disk_that_is_full_fails_nobody() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with LogOutlet(full, lost) as lines:
            lines.write("one\n")
    finally:
        os.close(full)
    assert by_result(lines.counts) == (0, 0, 1)


async def test_a_descriptor_that_somebody_made_non_blocking_takes_every_line(pipe: Pipe) -> None:
    os.set_blocking(pipe.writer, False)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_all()))
    with LogOutlet(pipe.writer, lost) as lines:
        for number in range(20_000):
            lines.write(f"{number}\n")
        reader.start()
        await until(lambda: lines.counts.of("written") == 20_000)
    os.close(pipe.writer)
    reader.join(PATIENCE_S)
    assert read[0].decode().split() == [*map(str, range(20_000))]


class Disk:
    """Takes bytes until it is full; has room again when it is told so."""

    def __init__(self) -> None:
        self.content = b""
        self.room: int | None = None

    def write(self, _descriptor: int, content: memoryview) -> int:
        """As ``os.write``."""
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = bytes(content[: self.room])
        self.content += taken
        if self.room is not None:
            self.room -= len(taken)
        return len(taken)


async def test_what_comes_behind_a_torn_line_begins_a_line_of_its_own(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    monkeypatch.setattr(os, "write", disk.write)
    disk.room = 7
    with LogOutlet(pipe.writer, lost) as lines:
        lines.write("first\nsecond\nthird\n")
        await until(lambda: sum(by_result(lines.counts)) == 3)
        assert by_result(lines.counts) == (1, 0, 2)
        disk.room = None
        lines.write("fourth\n")
    assert disk.content == b"first\ns\nlost 2 lines\nfourth\n"
    assert by_result(lines.counts) == (2, 0, 2)


@given(
    st.lists(
        st.tuples(
            st.lists(st.text("ab\u00e9", max_size=4), min_size=1, max_size=4),
            st.none() | st.integers(0, 20),
        ),
        max_size=8,
    )
)
def test_each_line_is_counted_once_wherever_the_disk_is_full(
    turns: list[tuple[list[str], int | None]],
) -> None:
    disk, sent = Disk(), 0
    lines = LogOutlet(-1, lost)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "write", disk.write)
        for texts, disk.room in turns:
            lines._write_lines("".join(f"{text}\n" for text in texts).encode())
            sent += len(texts)
            assert sum(by_result(lines.counts)) == sent
        disk.room = None
        lines._write_lines(b"end\n")
    came = disk.content.decode(errors="replace").splitlines()
    assert came[-1] == "end"
    said = sum(int(each.split()[1]) for each in came if each.endswith(" lines"))
    assert said == lines.counts.of("failed")
    assert lines.counts.of("written") <= len(came)


def test_the_line_of_the_lost_is_as_all_others() -> None:
    assert '"event": "log lines lost", ' not in say_lost("console", 3)
    assert "log lines lost" in say_lost("console", 3)
    assert say_lost("json", 3).startswith('{"event": "log lines lost", "lines": 3, ')
    assert "\n" not in partial(say_lost, "json")(3)


class Interrupted(str):
    """A line at whose length something else is logged, as a finalizer may at any time."""

    __slots__ = ("lines",)
    lines: LogOutlet

    def __len__(self) -> int:
        self.lines.write("inside\n")
        return super().__len__()


async def test_what_is_logged_in_the_middle_of_a_line_holds_nobody_up(pipe: Pipe) -> None:
    text = Interrupted("outside\n")
    with LogOutlet(pipe.writer, lost) as lines:
        text.lines = lines
        writing = threading.Thread(target=lines.write, args=(text,), daemon=True)
        writing.start()
        await until(lambda: not writing.is_alive())
    os.close(pipe.writer)
    assert {*pipe.read_all().splitlines()} == {b"inside", b"outside"}
