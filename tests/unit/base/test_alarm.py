"""The alarm rings in time, and moves no timer without need."""

import pytest

from batchproof_server.base.clock import Alarm
from support.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(0.0)


def test_it_rings_at_the_earliest_instant_asked_for(clock: FakeClock) -> None:
    rang: list[float] = []
    alarm = Alarm(clock, lambda: rang.append(clock.now_s()))
    for at_s in (5.0, 3.0, 4.0):
        alarm.ring_by(at_s)
    assert clock.alarms_s == (3.0,)
    clock.advance(10.0)
    assert rang == [3.0]


def test_it_rings_again_when_asked_again(clock: FakeClock) -> None:
    rang: list[float] = []
    alarm = Alarm(clock, lambda: rang.append(clock.now_s()))
    alarm.ring_by(3.0)
    clock.advance(3.0)
    alarm.ring_by(7.0)
    clock.advance(4.0)
    assert rang == [3.0, 7.0]


def test_the_callback_may_ask_for_the_next_instant(clock: FakeClock) -> None:
    rang: list[float] = []

    def ring() -> None:
        rang.append(clock.now_s())
        alarm.ring_by(9.0 if len(rang) == 1 else None)

    alarm = Alarm(clock, ring)
    alarm.ring_by(3.0)
    clock.advance(20.0)
    assert rang == [3.0, 9.0]


def test_nothing_to_wait_for_sets_nothing(clock: FakeClock) -> None:
    Alarm(clock, lambda: None).ring_by(None)
    assert clock.alarms_s == ()


def test_the_same_instant_again_does_not_move_the_timer(clock: FakeClock) -> None:
    alarm = Alarm(clock, lambda: None)
    alarm.ring_by(3.0)
    timer = clock._timers[0]
    alarm.ring_by(3.0)
    assert clock._timers == [timer]


def test_a_cancelled_alarm_is_silent_until_asked_again(clock: FakeClock) -> None:
    rang: list[float] = []
    alarm = Alarm(clock, lambda: rang.append(clock.now_s()))
    alarm.cancel()
    alarm.ring_by(3.0)
    alarm.cancel()
    clock.advance(5.0)
    assert rang == []
    alarm.ring_by(8.0)
    clock.advance(5.0)
    assert rang == [8.0]
