"""Confidence intervals: what is known of them from their papers, and what they cover."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.intervals import (
    FEWEST,
    difference_interval,
    mean_interval,
    share_interval,
)

COUNTS = st.integers(0, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS)
def test_a_share_lies_in_its_interval(counts: tuple[int, int]) -> None:
    found = share_interval(*counts)
    assert 0 <= found.low <= found.estimate <= found.high <= 1


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_that_of_the_paper(
    count: int, total: int, low: float, high: float
) -> None:
    found = share_interval(count, total)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    # Newcombe, "Interval estimation for the difference between independent proportions", 1998,
    # table II, method 10.
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((10, 10, 0, 20), 0.6791, 1.0),
    ],
)
def test_newcombes_interval_is_that_of_the_paper(
    counts: tuple[int, int, int, int], low: float, high: float
) -> None:
    found = difference_interval(*counts)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(COUNTS, COUNTS)
def test_a_difference_turned_round_is_the_same_interval(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    there, back = difference_interval(*one, *other), difference_interval(*other, *one)
    assert math.isclose(there.low, -back.high, abs_tol=1e-12)
    assert math.isclose(there.high, -back.low, abs_tol=1e-12)
    assert there.low <= there.estimate <= there.high


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5])
def test_an_interval_covers_the_share_in_about_95_of_100_samples(share: float) -> None:
    chance, total, samples = np.random.default_rng(1), 200, 1_000
    covered = 0
    for _ in range(samples):
        count = int(chance.binomial(total, share))
        found = share_interval(count, total)
        covered += found.low <= share <= found.high
    assert covered / samples > 0.92


@given(st.lists(st.floats(-1e3, 1e3), min_size=FEWEST, max_size=200))
def test_a_mean_lies_in_its_interval(values: list[float]) -> None:
    found = mean_interval(len(values), sum(values), sum(v * v for v in values))
    assert found is not None
    assert found.low <= found.estimate <= found.high
    assert found.estimate == pytest.approx(sum(values) / len(values), abs=1e-9)


def test_of_few_values_nothing_is_said() -> None:
    assert mean_interval(FEWEST - 1, 1.0, 1.0) is None
    assert share_interval(0, 0).high == 1
