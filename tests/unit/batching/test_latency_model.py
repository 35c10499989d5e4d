"""What is foretold of a queue: from measured buckets, and from how much longer they take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.batching.admission import LatencyModel

BUCKETS = (2, 4, 8)
EXECUTION_S = (0.2, 0.3, 0.8)
"""A row is cheapest among four: 0.075 s."""


def outlook() -> LatencyModel:
    return LatencyModel(BUCKETS, EXECUTION_S)


def test_rows_are_expected_to_take_what_the_cheapest_bucket_takes() -> None:
    assert outlook().wait_s(8, 0.0) == pytest.approx(0.6)


def test_what_runs_already_comes_first_and_less_and_less_of_it() -> None:
    known = outlook()
    known.start(1, 8, 10.0)
    assert known.wait_s(4, 10.0) == pytest.approx(0.8 + 0.3)
    assert known.wait_s(4, 10.5) == pytest.approx(0.3 + 0.3)
    assert known.wait_s(4, 99.0) == pytest.approx(0.3)


def test_two_at_a_time_are_twice_as_quick_and_one_place_is_enough_to_begin() -> None:
    known = LatencyModel(BUCKETS, EXECUTION_S, width=2)
    known.start(1, 8, 10.0)
    assert known.wait_s(4, 10.0) == pytest.approx(0.3 / 2)
    known.start(2, 4, 10.0)
    assert known.wait_s(4, 10.0) == pytest.approx(0.3 + 0.3 / 2)
    known.finish(1, 8, 0.8)
    assert known.wait_s(4, 10.8) == pytest.approx(0.3 / 2)


def test_a_device_that_became_slower_is_foretold_to_stay_so() -> None:
    known = outlook()
    for _ in range(100):
        known.learn(4, 0.6)
    assert known.execution_s(4) == pytest.approx(0.6, rel=1e-3)
    assert known.wait_s(4, 0.0) == pytest.approx(0.6, rel=1e-3)


def test_a_machine_that_slept_is_not_taken_for_a_slow_model() -> None:
    known = outlook()
    known.learn(4, 3_600.0)
    assert known.wait_s(4, 0.0) < 2 * 0.3


def test_nothing_is_foretold_of_a_model_that_was_not_measured() -> None:
    unknown = LatencyModel(BUCKETS, ())
    unknown.start(1, 4, 0.0)
    unknown.finish(1, 4, 5.0)
    assert unknown.wait_s(1_000, 0.0) == 0
    assert unknown.execution_s(4) is None


measured = st.lists(st.floats(1e-4, 10), min_size=3, max_size=3)
durations = st.lists(st.tuples(st.sampled_from(BUCKETS), st.floats(0, 100)), max_size=20)


@given(seconds=measured, history=durations, rows=st.integers(0, 500), more=st.integers(0, 500))
def test_more_rows_never_wait_less_and_nobody_waits_less_than_nothing(
    seconds: list[float], history: list[tuple[int, float]], rows: int, more: int
) -> None:
    known = LatencyModel(BUCKETS, seconds)
    for number, (bucket_rows, duration_s) in enumerate(history):
        known.start(number, bucket_rows, 0.0)
        known.finish(number, bucket_rows, duration_s)
    assert 0 <= known.wait_s(rows, 1.0) <= known.wait_s(rows + more, 1.0)
