"""The arithmetic of the benchmarks."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measuring import difference, interleaved, medians, ratio


def test_every_side_is_measured_once_in_each_round_and_comes_first_in_its_turn() -> None:
    asked: list[str] = []

    def measure(side: str) -> dict[str, float]:
        asked.append(side)
        return {"n": len(asked)}

    rounds = interleaved(("a", "b", "c"), 3, measure)

    assert asked == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert rounds["a"] == [{"n": 1}, {"n": 6}, {"n": 8}]


@given(sides=st.integers(1, 5), repeats=st.integers(1, 6))
def test_no_side_is_measured_more_often_than_another(sides: int, repeats: int) -> None:
    asked: Counter[int] = Counter()

    def measure(side: int) -> dict[str, float]:
        asked[side] += 1
        return {}

    interleaved(range(sides), repeats, measure)

    assert set(asked.values()) == {repeats}


def test_a_ratio_is_of_neighbours_not_of_medians() -> None:
    slow_then_quick = [{"x": 1.0}, {"x": 10.0}, {"x": 100.0}]
    twice = [{"x": 2.0}, {"x": 20.0}, {"x": 150.0}]

    assert ratio(twice, slow_then_quick, "x") == 2
    assert difference(twice, slow_then_quick, "x") == 10
    assert medians(twice) == {"x": 20}


def test_rounds_that_were_not_side_by_side_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        ratio([{"x": 1.0}], [{"x": 1.0}, {"x": 2.0}], "x")
    with pytest.raises(ValueError, match="no rounds"):
        medians([])
