"""What answers take of late, against a plain list of all of them."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.rpc.pressure import WINDOW_S, Pace

# Sixteenths of a second are exact, as is the window.
gaps = st.integers(0, 40).map(lambda ticks: ticks / 16)


def test_nothing_is_known_before_the_first_answer() -> None:
    assert Pace().likely_s(5.0) == 0


def test_a_server_that_answers_nothing_forgets() -> None:
    pace = Pace()
    pace.learn(0.4, 10.0)
    assert pace.likely_s(10.9) == pytest.approx(0.4)
    assert pace.likely_s(10.0 + 2 * WINDOW_S) == 0


def test_a_few_large_requests_say_nothing_about_the_small_ones_beside_them() -> None:
    pace = Pace()
    for duration_s in (0.02, 5.0, 5.0, 5.0):
        pace.learn(duration_s, 1.0)
    assert pace.likely_s(1.0) == pytest.approx(0.2)


def test_late_answers_ask_for_more_time_and_answers_in_time_for_less_again() -> None:
    pace = Pace()
    for _ in range(20):
        pace.learn(0.01, 1.0)
    for _ in range(5):
        pace.learn_late(0.01, 1.0)
    assert pace.likely_s(1.0) == pytest.approx(0.03)
    for _ in range(400):
        pace.learn(0.01, 1.0)
    assert pace.likely_s(1.0) == pytest.approx(0.01, rel=0.3)


def test_however_many_are_late_no_more_is_asked_for_than_three_usual_answers() -> None:
    pace = Pace()
    pace.learn(0.01, 1.0)
    for _ in range(100):
        pace.learn_late(30.0, 1.0)
    assert pace.likely_s(1.0) == pytest.approx(0.03)


def test_what_was_late_is_forgotten_too() -> None:
    pace = Pace()
    pace.learn_late(0.05, 1.0)
    assert pace.likely_s(1.5) == 0.05
    assert pace.likely_s(1.0 + 2 * WINDOW_S) == 0


@given(durations=st.lists(st.floats(1e-4, 100), min_size=1, max_size=40))
def test_it_is_never_less_than_the_shortest_nor_the_mean_of_one_kind(
    durations: list[float],
) -> None:
    pace = Pace()
    for duration_s in durations:
        pace.learn(duration_s, 1.0)
    mean_s, deviation_s = statistics.fmean(durations), statistics.pstdev(durations)
    expected_s = min(mean_s + 2 * deviation_s, 10 * min(durations))
    assert pace.likely_s(1.0) == pytest.approx(expected_s, rel=1e-5)
    assert pace.likely_s(1.0) >= min(durations) * (1 - 1e-9)


@given(answers=st.lists(st.tuples(gaps, st.floats(0.001, 9)), max_size=30), later=gaps)
def test_it_knows_one_to_three_windows(answers: list[tuple[float, float]], later: float) -> None:
    pace, now_s, learned = Pace(), 0.0, list[tuple[float, float]]()
    for gap_s, duration_s in answers:
        now_s += gap_s
        pace.learn(duration_s, now_s)
        learned.append((now_s, duration_s))
    now_s += later
    likely_s = pace.likely_s(now_s)
    sure = [took_s for at_s, took_s in learned if now_s - at_s < WINDOW_S]
    possible = [took_s for at_s, took_s in learned if now_s - at_s < 3 * WINDOW_S]
    assert likely_s <= 10 * min(sure, default=9.0)
    assert likely_s <= 10 * max(possible, default=0.0)
    assert not sure or likely_s >= min(possible) * (1 - 1e-9)
