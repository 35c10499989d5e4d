"""The classical tests that benchmarks/drift.py compares with: against scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy import stats

from drift_tests import (
    Floats,
    any_signal,
    ks_distance,
    ks_fires,
    naive_psi,
)

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
    index = naive_psi(np.array([[10.0, 10.0], [20.0, 0.0]]), np.array([30.0, 10.0]))
    assert index[0] == pytest.approx((0.5 - 0.75) * np.log(0.5 / 0.75) + 0.25 * np.log(2))
    assert index[1] == pytest.approx(0.25 * np.log(4 / 3) + (1e-4 - 0.25) * np.log(4e-4))


def test_any_signal_is_enough() -> None:
    fired = any_signal({"a": np.array([True, False]), "b": np.array([False, False])})
    assert fired.tolist() == [True, False]
