"""Whether chance can explain a difference: against scipy, and against what the tests promise."""

import numpy as np
import pytest
from scipy import stats

from batchproof_server.base.signature import Array
from batchproof_server.drift.binning import reference_shares
from batchproof_server.drift.significance import (
    ANDERSON_DARLING,
    CHI2_Z,
    UNORDERED_CHI2_Z,
    anderson_darling,
    chi2_zscore,
    significance,
)

KNOWN = 10**12
"""A reference so large that it is the truth."""
SHARES = np.array([0.5, 0.3, 0.2])
DECILES = np.full(10, 0.1)
RARE = np.array([*[0.001] * 19, 0.981])


def counts(*windows: tuple[float, ...]) -> Array:
    return np.array(windows, np.float64)


def significant(signal: str, window: Array, shares: Array, reference: int) -> Array:
    flags: Array = significance(signal, window, shares, reference) > 1
    return flags


def test_the_worked_example_has_the_figures_of_the_documentation() -> None:
    window = counts((300, 300, 0))
    assert chi2_zscore(window, SHARES, KNOWN)[0] == pytest.approx(11.258099834, rel=1e-8)
    assert anderson_darling(window, SHARES, KNOWN)[0] == pytest.approx(21.245421245, rel=1e-8)


def test_a_window_that_is_the_reference_in_small_is_never_significant() -> None:
    window = counts((50, 30, 20))
    assert anderson_darling(window, SHARES, 100)[0] == pytest.approx(0, abs=1e-20)
    assert not significant("confidence", window, SHARES, 100)[0]
    assert not significant("class", window, SHARES, 100)[0]


def test_a_small_reference_makes_both_statistics_more_careful() -> None:
    window = counts((60, 30, 10))
    assert anderson_darling(window, SHARES, 100)[0] == pytest.approx(
        anderson_darling(window, SHARES, KNOWN)[0] / 2
    )
    assert chi2_zscore(window, SHARES, 100)[0] < chi2_zscore(window, SHARES, KNOWN)[0]


@pytest.mark.parametrize("freedom", [2, 4, 9, 19])
@pytest.mark.parametrize("level", [0.01, 0.001])
def test_the_standard_score_is_that_of_the_exact_tail(freedom: int, level: float) -> None:
    bins = freedom + 1
    shares = np.full(bins, 1 / bins)
    exact = stats.chi2.isf(level, freedom)
    # Two bins off by d each, the others as expected: chi-square is 2 d^2 / (N p).
    off = np.sqrt(exact * 1000 * shares[0] / 2)
    window = counts(tuple(1000 * shares + np.array([off, -off, *[0] * (bins - 2)])))
    assert chi2_zscore(window, shares, KNOWN)[0] == pytest.approx(stats.norm.isf(level), abs=0.07)


@pytest.mark.parametrize("observations", [50, 100, 1000, 20_000])
@pytest.mark.parametrize("known", [200, 5_000])
@pytest.mark.parametrize(
    ("signal", "shares"),
    [
        ("confidence", DECILES),
        ("class", DECILES),
        ("margin", SHARES),
        ("entropy", np.full(20, 0.05)),
        ("energy", RARE),
        ("class", RARE),
        ("class", np.array([0.999, 0.001])),
        ("class", 1 / np.arange(1, 21) / (1 / np.arange(1, 21)).sum()),
    ],
)
def test_unshifted_windows_are_significant_in_at_most_one_of_a_hundred(
    signal: str, shares: Array, known: int, observations: int
) -> None:
    rng = np.random.default_rng(7)
    reference = rng.multinomial(known, shares, size=400)
    fired = [
        significant(
            signal,
            rng.multinomial(observations, shares, size=50).astype(np.float64),
            reference_shares(each),
            known,
        )
        for each in reference
    ]
    # Windows of 20,000 are all but the same for one reference: 400 references tell 0.5 % apart.
    assert np.mean(fired) <= 0.015


def test_a_signal_without_bins_cannot_drift() -> None:
    assert not significant("aspect_ratio", counts((500,)), np.ones(1), 5_000)[0]


def test_the_class_has_no_order_so_only_the_other_statistic_counts() -> None:
    trend = counts(tuple(100 + np.linspace(-18, 18, 10)))
    assert chi2_zscore(trend, DECILES, KNOWN)[0] < min(CHI2_Z, UNORDERED_CHI2_Z)
    assert anderson_darling(trend, DECILES, KNOWN)[0] > ANDERSON_DARLING
    assert significant("confidence", trend, DECILES, KNOWN)[0]
    assert not significant("class", trend, DECILES, KNOWN)[0]
