"""What answers take of late, for as many as are under way, and how far it is relied on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.rpc.pressure import FORGETS_S, Pace

durations = st.lists(st.floats(1e-4, 100), min_size=1, max_size=40)


def answered(pace: Pace, *durations_s: float, under_way: int = 1, now_s: float = 1.0) -> Pace:
    for duration_s in durations_s:
        pace.learn(duration_s, under_way, now_s)
    return pace


def test_nothing_is_known_before_the_first_answer() -> None:
    assert Pace().likely_s(9, 5.0) == 0
    assert Pace().caution(5.0) == 1


def test_a_server_that_answers_nothing_forgets() -> None:
    pace = answered(Pace(), 0.4, now_s=10.0)
    assert pace.likely_s(1, 10.9) == pytest.approx(0.4)
    assert pace.likely_s(1, 10.0 + FORGETS_S) == 0
    assert answered(pace, 0.1, now_s=20.0).likely_s(1, 20.0) == pytest.approx(0.1)


def test_one_whose_answers_are_all_late_does_not_forget() -> None:
    pace = answered(Pace(), 0.4)
    for moment in range(10):
        pace.learn_late(1.0, 1.0 + moment)
    assert pace.likely_s(1, 10.0) == pytest.approx(0.4)


def test_half_as_many_under_way_take_half_as_long() -> None:
    pace = answered(Pace(), *[0.2] * 9, under_way=100)
    assert pace.likely_s(100, 1.0) == pytest.approx(0.2)
    assert pace.likely_s(50, 1.0) == pytest.approx(0.1)
    assert pace.likely_s(150, 1.0) == pytest.approx(0.3)


def test_a_model_that_does_not_wait_for_the_others_is_not_judged_by_their_number_for_long() -> None:
    pace = answered(Pace(), 0.01)
    answered(pace, *[0.01] * 10, under_way=100)
    assert pace.likely_s(100, 1.0) < 0.05


def test_it_follows_the_latest_answers() -> None:
    pace = answered(Pace(), *[0.5] * 50)
    for moment in range(50):
        answered(pace, 0.01, now_s=1.5 + moment / 50)
    assert pace.likely_s(1, 2.5) < 0.15
    for moment in range(50):
        answered(pace, 0.01, now_s=2.5 + moment / 50)
    assert pace.likely_s(1, 3.5) < 0.03


def test_of_answers_that_come_together_none_counts_more_than_another() -> None:
    assert answered(Pace(), *[0.1] * 32, *[0.3] * 32).likely_s(1, 1.0) == pytest.approx(0.2)
    assert answered(Pace(), *[0.3] * 32, *[0.1] * 32).likely_s(1, 1.0) == pytest.approx(0.2)


def test_late_answers_make_it_cautious_and_time_makes_it_trusting_again() -> None:
    pace = Pace()
    pace.learn_late(0.3, 1.0)
    pace.learn_late(0.3, 1.5)
    after_two = pace.caution(1.5)
    assert 1.5 < after_two <= 1.5**2
    assert 1 < pace.caution(6.5) < 1 + (after_two - 1) / 2
    assert pace.caution(100.0) == pytest.approx(1, abs=1e-6)


def test_what_was_let_in_before_it_grew_says_nothing_of_it() -> None:
    pace = Pace()
    pace.learn_late(0.5, 1.0)
    for _ in range(100):
        pace.learn_late(0.5, 1.4)
    assert pace.caution(1.0) == pytest.approx(1.5)
    pace.learn_late(0.5, 1.5)
    assert pace.caution(1.5) > 2


def test_however_many_are_late_the_caution_has_an_end() -> None:
    pace = Pace()
    for moment in range(100):
        pace.learn_late(0.1, float(moment))
    assert pace.caution(99.0) == 4


def test_ten_a_second_are_tried() -> None:
    pace = Pace()
    assert sum(pace.is_tried(1.0 + moment / 64) for moment in range(64)) in (9, 10)


@given(took=durations, under_way=st.integers(1, 500), now=st.integers(1, 500))
def test_it_lies_between_the_shortest_and_the_longest_for_each_that_is_under_way(
    took: list[float], under_way: int, now: int
) -> None:
    likely_s = answered(Pace(), *took, under_way=under_way).likely_s(now, 1.0)
    assert likely_s <= max(took) * now / under_way * (1 + 1e-9)
    assert likely_s >= min(took) * now / under_way * (1 - 1e-9)
