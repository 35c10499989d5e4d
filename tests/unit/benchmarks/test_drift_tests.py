"""The tests that benchmarks/drift.py compares: against scipy, and against what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy import stats

from drift_tests import (
    ANDERSON_DARLING,
    CHI2_ZSCORE,
    CLASS_CHI2_ZSCORE,
    Floats,
    anderson_darling,
    any_signal,
    chi2_zscore,
    is_significant,
    ks_distance,
    ks_fires,
    naive_psi,
)

KNOWN = 10**12
"""A reference so large that it is the truth."""
SHARES = np.array([0.5, 0.3, 0.2])
DECILES = np.full(10, 0.1)
RARE = np.array([*[0.001] * 19, 0.981])


def counts(*windows: tuple[float, ...]) -> Floats:
    return np.array(windows, np.float64)


def test_the_worked_example_has_the_figures_of_the_documentation() -> None:
    window = counts((300, 300, 0))
    assert chi2_zscore(window, SHARES, KNOWN)[0] == pytest.approx(11.258099834, rel=1e-8)
    assert anderson_darling(window, SHARES, KNOWN)[0] == pytest.approx(21.245421245, rel=1e-8)


def test_a_window_that_is_the_reference_in_small_is_never_significant() -> None:
    window = counts((50, 30, 20))
    assert anderson_darling(window, SHARES, 100)[0] == pytest.approx(0, abs=1e-20)
    assert not is_significant("confidence", window, SHARES, 100)[0]
    assert not is_significant("class", window, SHARES, 100)[0]


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


@pytest.mark.parametrize("observations", [50, 100, 1000])
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
    ],
)
def test_unshifted_windows_are_significant_in_at_most_one_of_a_hundred(
    signal: str, shares: Floats, observations: int
) -> None:
    rng = np.random.default_rng(7)
    reference = rng.multinomial(5_000, shares, size=40)
    fired = [
        is_significant(
            signal,
            rng.multinomial(observations, shares, size=500).astype(np.float64),
            (each + 0.5) / (5_000 + 0.5 * len(shares)),
            5_000,
        )
        for each in reference
    ]
    assert np.mean(fired) <= 0.01


def test_a_signal_without_bins_cannot_drift() -> None:
    assert not is_significant("aspect_ratio", counts((500,)), np.ones(1), 5_000)[0]


def test_the_class_has_no_order_so_only_the_other_statistic_counts() -> None:
    trend = counts(tuple(100 + np.linspace(-18, 18, 10)))
    assert chi2_zscore(trend, DECILES, KNOWN)[0] < min(CHI2_ZSCORE, CLASS_CHI2_ZSCORE)
    assert anderson_darling(trend, DECILES, KNOWN)[0] > ANDERSON_DARLING
    assert is_significant("confidence", trend, DECILES, KNOWN)[0]
    assert not is_significant("class", trend, DECILES, KNOWN)[0]


samples = st_numpy.arrays(np.float64, st.integers(2, 30), elements=st.integers(-3, 3).map(float))


@given(samples, samples)
def test_the_kolmogorov_smirnov_test_is_that_of_scipy_also_with_ties(
    window: Floats, reference: Floats
) -> None:
    ours, known = np.sort(window)[np.newaxis], np.sort(reference)
    theirs = stats.ks_2samp(window, reference, method="asymp")
    assert ks_distance(ours, known)[0] == pytest.approx(theirs.statistic, abs=1e-12)
    for level in (0.5, 0.05, 0.005):
        if abs(theirs.pvalue - level) > 1e-6:
            assert ks_fires(ours, known, level)[0] == (theirs.pvalue < level)


def test_the_naive_index_is_its_definition() -> None:
    index = naive_psi(counts((10, 10), (20, 0)), np.array([30.0, 10.0]))
    assert index[0] == pytest.approx((0.5 - 0.75) * np.log(0.5 / 0.75) + 0.25 * np.log(2))
    assert index[1] == pytest.approx(0.25 * np.log(4 / 3) + (1e-4 - 0.25) * np.log(4e-4))


def test_any_signal_is_enough() -> None:
    fired = any_signal({"a": np.array([True, False]), "b": np.array([False, False])})
    assert fired.tolist() == [True, False]
