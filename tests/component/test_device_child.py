"""Real child processes: how they end, and that nothing of them stays."""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchproof_server.base.clock import MonotonicClock
from batchproof_server.devices.arena import Arena, make_arena
from batchproof_server.devices.child import ChildListener, DeviceProcess, Loss, start_process
from support.descriptors import open_descriptors
from support.fakes import until

# Says the request back, then what it is sent, until the front hangs up.
ECHO = """
import os, socket, sys
channel = socket.socket(fileno=int(sys.argv[1]))
channel.send(os.pread(int(sys.argv[2]), int(sys.argv[3]), 0))
while record := channel.recv(1 << 16):
    channel.send(record)
"""
HANG = "import signal\nsignal.pause()"
FALL = "raise SystemExit(7)"
EAT = "eaten = b'x' * (1 << 27)\n" + HANG


class Heard:
    """What was told of a child."""

    def __init__(self, program: str, max_memory_bytes: int = 0) -> None:
        self.records: list[bytes] = []
        self.gone = 0
        self.losses: list[Loss] = []
        command = (sys.executable, "-c", program)
        self.child = start_process(command, b"request", MonotonicClock(), max_memory_bytes)
        self.child.listen(self.listener())

    def listener(self) -> ChildListener:
        """Remembers."""
        return ChildListener(self.records.append, self._count, self.losses.append)

    def _count(self) -> None:
        self.gone += 1

    async def lost(self) -> Loss:
        """The loss, once it is known."""
        await until(lambda: bool(self.losses))
        assert self.gone == len(self.losses) == 1
        return self.losses[0]


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """No descriptor stays open."""
    before = open_descriptors()
    yield
    assert open_descriptors() - before == set()


async def test_it_gets_its_request_and_answers() -> None:
    heard = Heard(ECHO)
    heard.child.send(b"first")
    heard.child.send(b"second")
    await until(lambda: len(heard.records) == 3)
    assert heard.records == [b"request", b"first", b"second"]
    heard.child.end()
    await _is_reaped(heard.child)
    assert (heard.gone, heard.losses) == (0, [])


@pytest.mark.parametrize(
    ("program", "number", "detail"),
    [
        (HANG, signal.SIGKILL, "was ended by SIGKILL"),
        (HANG, signal.SIGSEGV, "was ended by SIGSEGV"),
        (FALL, None, "ended with exit code 7"),
    ],
)
async def test_its_death_is_told_once_with_its_cause(
    program: str, number: int | None, detail: str
) -> None:
    heard = Heard(program)
    if number is not None:
        os.kill(heard.child.pid, number)
    assert await heard.lost() == Loss("crashed", detail)
    await _is_reaped(heard.child)


async def test_a_death_with_unread_records_is_a_death_too() -> None:
    heard = Heard(HANG)
    for _ in range(3):
        heard.child.send(b"never read")
    os.kill(heard.child.pid, signal.SIGKILL)
    assert (await heard.lost()).reason == "crashed"


async def test_one_that_is_stopped_can_be_ended() -> None:
    heard = Heard(HANG)
    os.kill(heard.child.pid, signal.SIGSTOP)
    heard.child.kill(Loss("hung", "hangs"))
    assert heard.gone == 1
    assert await heard.lost() == Loss("hung", "hangs")
    await _is_reaped(heard.child)


async def test_one_that_reads_nothing_is_ended_before_it_holds_the_loop_up() -> None:
    heard = Heard(HANG)
    while not heard.gone:
        heard.child.send(b"x" * 4096)
    assert (await heard.lost()).reason == "hung"


async def test_one_that_takes_too_much_memory_is_ended() -> None:
    heard = Heard(EAT, max_memory_bytes=64 << 20)
    lost = await heard.lost()
    assert lost.reason == "memory"
    assert "max_memory_bytes is 67108864" in lost.detail


async def test_who_begins_to_listen_after_the_death_hears_of_it() -> None:
    heard = Heard(FALL)
    await heard.lost()
    again = Heard.__new__(Heard)
    again.records, again.gone, again.losses = [], 0, []
    heard.child.listen(again.listener())
    assert (await again.lost()).detail == "ended with exit code 7"


async def test_a_command_that_cannot_be_started_leaves_nothing_open(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        start_process((str(tmp_path / "none"),), b"", MonotonicClock(), 0, picture_slots=3)


async def test_a_child_that_finds_no_descriptors_left_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = iter([make_arena, make_arena])

    def make() -> Arena:
        if (way := next(left, None)) is None:
            raise OSError(errno.EMFILE, "too many")
        return way()

    monkeypatch.setattr("batchproof_server.devices.child.make_arena", make)
    with pytest.raises(OSError, match="too many"):
        start_process((sys.executable, "-c", ECHO), b"", MonotonicClock(), 0, picture_slots=3)


async def _is_reaped(child: DeviceProcess) -> None:
    await until(lambda: not Path(f"/proc/{child.pid}").exists())
    await asyncio.sleep(0)
