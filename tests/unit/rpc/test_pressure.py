"""Which calls are refused before they are read, by what answers took of late."""

import asyncio
from typing import Any

import pytest

from batchproof_server.base.errors import DeadlineExceeded, QueueFull
from batchproof_server.base.events import ShedRecord
from batchproof_server.rpc.calls import Behaviour, Call, Calls, Method
from batchproof_server.rpc.contents import NO_CONTENTS
from batchproof_server.rpc.fronts.front import CallHead, Reply
from batchproof_server.rpc.pressure import Pressure
from batchproof_server.rpc.status import Failure
from support.fakes import FakeClock, Recorder, settle_loop

# A caller with ten seconds.
HEAD = CallHead(1, "/Predict", (), "ipv4:127.0.0.1:1", 10.0)


async def answer(calls: Calls, work: Behaviour) -> Reply | Failure:
    """One request whose answer is the work of the test."""
    method = Method("Predict", lambda content: (content, NO_CONTENTS), bytes, work, lambda _: b"")
    head = HEAD._replace(deadline_s=10.0 + calls._clock.now_s())
    return await calls.answer(method, head, b"")


class Bench:
    """Calls whose work takes as long as the test says."""

    def __init__(self, max_concurrent_requests: int = 9) -> None:
        self.clock, self.recorder = FakeClock(), Recorder()
        self.pressure = Pressure(max_concurrent_requests, self.clock)
        self.calls = Calls(
            self.pressure, self.clock, self.recorder, lambda *_: pytest.fail("foreseen")
        )
        self.release = asyncio.Event()

    async def answered(self, rows: int, duration_s: float, queued_s: float = 0.0) -> None:
        """One request that took so long."""

        async def work(_message: bytes, call: Call) -> None:
            trace = call.trace
            trace.model, trace.version, trace.rows, trace.queued_s = "m", 1, rows, queued_s
            self.clock.advance(duration_s)

        await answer(self.calls, work)

    def crowd(self, others: int = 8) -> None:
        """So many requests are under way."""
        for _ in range(others):
            self.pressure.begin_request("others")

    def leaves_s(self, timeout_s: float, model: str = "m", ahead: int = 0) -> float:
        """Of so much time, what is left for the queue and the device."""
        now_s = self.clock.now_s()
        return self.pressure.executed_by_s(model, now_s + timeout_s, ahead) - now_s

    def refused_below(self, needed_s: float) -> None:
        """Who has less time is refused, and who has more is not."""
        self.leaves_s(0.0)  # one is tried
        with pytest.raises(QueueFull, match=f"takes {needed_s:.3f} s now, which is later"):
            self.leaves_s(needed_s * 0.9)
        self.leaves_s(needed_s * 1.1)

    def is_pressed(self) -> bool:
        """Whether the next call is looked at before it is read."""
        return self.pressure.is_pressed

    def under_way(self) -> asyncio.Task[Any]:
        """One request that is not answered yet."""

        async def work(_message: bytes, call: Call) -> None:
            del call
            await self.release.wait()

        return asyncio.create_task(answer(self.calls, work))


async def test_who_has_less_time_than_an_answer_takes_is_refused() -> None:
    bench = Bench(99)
    bench.crowd()
    await bench.answered(rows=1, duration_s=0.4)
    bench.refused_below(0.4 * 8 / 9)
    assert bench.leaves_s(0.3, "another, of which nothing is known") == pytest.approx(0.3)


async def test_what_an_answer_takes_beside_the_queue_is_not_left_for_the_queue() -> None:
    bench = Bench(99)
    bench.crowd()
    await bench.answered(rows=1, duration_s=0.9, queued_s=0.5)
    assert bench.leaves_s(2.0) == pytest.approx(2.0 - 0.4 * 8 / 9)
    bench.crowd(10)
    assert bench.leaves_s(2.0) == pytest.approx(2.0 - 0.4 * 18 / 9)


async def test_what_was_let_in_counts_as_under_way() -> None:
    bench = Bench(99)
    bench.crowd()
    await bench.answered(rows=1, duration_s=0.9)
    ahead_s = bench.leaves_s(5.0, ahead=1)
    bench.crowd(1)
    assert bench.leaves_s(5.0) == pytest.approx(ahead_s)


async def test_while_few_are_under_way_nobody_is_refused_by_what_answers_took() -> None:
    bench = Bench(99)
    bench.crowd(7)
    await bench.answered(rows=1, duration_s=0.4)
    for _ in range(5):
        assert bench.leaves_s(0.1) == pytest.approx(0.1)


async def test_ten_a_second_are_tried_all_the_same() -> None:
    bench = Bench(99)
    bench.crowd()
    await bench.answered(rows=1, duration_s=0.4)
    let_through = 0
    for _ in range(100):
        bench.clock.advance(0.01)
        try:
            bench.leaves_s(0.3)
        except QueueFull:
            continue
        let_through += 1
    assert 9 <= let_through <= 11


async def test_the_wait_in_a_queue_is_the_business_of_the_queue() -> None:
    bench = Bench(99)
    bench.crowd()
    await bench.answered(rows=1, duration_s=0.45, queued_s=0.36)
    bench.refused_below(0.08)


async def test_what_large_requests_take_refuses_no_small_one() -> None:
    bench = Bench(99)
    bench.crowd()
    for _ in range(5):
        await bench.answered(rows=256, duration_s=1.5)
    for _ in range(5):
        assert bench.leaves_s(0.1) == pytest.approx(0.1)


async def late(bench: Bench) -> None:
    """One request that was not answered in time."""

    async def work(_message: bytes, call: Call) -> None:
        trace = call.trace
        trace.model, trace.version, trace.rows = "m", 1, 1
        bench.clock.advance(0.05)
        raise DeadlineExceeded("too late")

    await answer(bench.calls, work)


async def test_what_came_too_late_makes_the_server_look_first_and_be_more_cautious() -> None:
    bench = Bench(99)
    bench.crowd()
    await bench.answered(rows=1, duration_s=0.9)
    assert not bench.is_pressed()
    await late(bench)
    assert bench.is_pressed()
    assert bench.leaves_s(3.0) == pytest.approx(3.0 / 1.5 - 0.8)
    bench.refused_below(0.8 * 1.5)


@pytest.mark.parametrize(("duration_s", "left_s"), [(6.0, 6.0), (7.0, 6.0 / 1.5)])
async def test_an_answer_that_took_most_of_its_callers_time_counts_as_late(
    duration_s: float, left_s: float
) -> None:
    bench = Bench(99)
    bench.crowd()
    await bench.answered(rows=1, duration_s=duration_s, queued_s=duration_s)
    assert bench.leaves_s(6.0) == pytest.approx(left_s)


async def test_one_too_many_counts_as_shed_and_makes_the_server_look_first() -> None:
    bench = Bench(max_concurrent_requests=1)
    assert not bench.is_pressed()
    first = bench.under_way()
    await settle_loop()
    assert bench.is_pressed()
    failure = await bench.under_way()
    assert isinstance(failure, Failure)
    assert failure.text == "1 requests are being answered already"
    assert bench.recorder.shed == [ShedRecord("", 0, "queue_full")]
    bench.release.set()
    await first
    assert bench.is_pressed()
    bench.clock.advance(2)
    assert not bench.is_pressed()


def under_way(pressure: Pressure, callers: str) -> None:
    """One request of each caller, unless it is refused."""
    for caller in callers:
        assert not pressure.is_full_for(caller)
        pressure.begin_request(caller)


def test_a_caller_that_is_alone_has_every_place() -> None:
    pressure = Pressure(16, FakeClock())
    under_way(pressure, "a" * 16)
    assert pressure.is_full
    assert pressure.is_full_for("a")


def test_who_has_fewer_requests_than_another_is_let_in_beyond_the_limit_an_eighth_more() -> None:
    pressure = Pressure(16, FakeClock())
    under_way(pressure, "a" * 16 + "bb")
    assert pressure.is_full_for("b")
    assert pressure.is_full_for("c")
    with pytest.raises(QueueFull, match="16 requests are being answered already"):
        pressure.check_room("b")


def test_what_ends_of_those_that_have_more_goes_to_who_has_less_until_they_are_even() -> None:
    pressure = Pressure(16, FakeClock())
    under_way(pressure, "a" * 16)
    for _ in range(8):
        under_way(pressure, "b")
        pressure.end_request("a")
        assert pressure.is_full_for("a")
    assert pressure.is_full_for("b")


def test_a_caller_without_requests_is_forgotten() -> None:
    pressure = Pressure(16, FakeClock())
    for number in range(1000):
        pressure.begin_request(f"peer {number}")
        pressure.end_request(f"peer {number}")
    assert pressure.is_idle
    assert not pressure._holdings._of


def test_what_is_critical_is_let_in_beyond_the_limit_an_eighth_more_at_most() -> None:
    pressure = Pressure(16, FakeClock())
    under_way(pressure, "a" * 16)
    assert pressure.is_full_for("a", "default")
    assert pressure.is_full_for("a", "best_effort")
    assert not pressure.is_full_for("a", "critical")
    pressure.check_room("a", "critical")
    for _ in range(2):
        pressure.begin_request("a")
    assert pressure.is_full_for("a", "critical")
