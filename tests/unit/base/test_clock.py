"""The clock and the heartbeat."""

import asyncio

from batchproof_server.base.clock import Heartbeat, MonotonicClock
from support.fakes import PATIENCE_S, FakeClock


def test_the_clock_never_goes_back() -> None:
    clock = MonotonicClock()
    assert clock.now_s() <= clock.now_s()


async def test_an_alarm_of_the_clock_rings_on_the_loop_also_when_it_is_overdue() -> None:
    clock, rung = MonotonicClock(), asyncio.Event()
    clock.call_at(clock.now_s() - 5, rung.set)
    await asyncio.wait_for(rung.wait(), PATIENCE_S)
    rung.clear()
    due_s = clock.now_s() + 0.01
    clock.call_at(due_s, rung.set)
    await asyncio.wait_for(rung.wait(), PATIENCE_S)
    assert clock.now_s() >= due_s - 0.001  # the loop rounds to its clock's resolution


async def test_a_cancelled_alarm_does_not_ring() -> None:
    clock, rung, later = MonotonicClock(), asyncio.Event(), asyncio.Event()
    clock.call_at(clock.now_s(), rung.set).cancel()
    clock.call_at(clock.now_s(), later.set)
    await asyncio.wait_for(later.wait(), PATIENCE_S)
    assert not rung.is_set()


def test_a_heart_beats_until_its_loop_is_stuck() -> None:
    clock = FakeClock()
    heartbeat = Heartbeat(clock, interval_s=1, patience_s=3)
    assert not heartbeat.is_alive()
    heartbeat.start()
    clock.advance(100)
    assert heartbeat.is_alive()
    clock._timers.clear()  # the loop rings no more
    clock.advance(2.5)
    assert heartbeat.is_alive()
    clock.advance(0.5)
    assert not heartbeat.is_alive()


def test_a_stopped_heart_beats_no_more() -> None:
    clock = FakeClock()
    heartbeat = Heartbeat(clock, interval_s=1, patience_s=3)
    heartbeat.stop()
    heartbeat.start()
    heartbeat.stop()
    assert clock.alarms_s == ()
    clock.advance(3)
    assert not heartbeat.is_alive()
