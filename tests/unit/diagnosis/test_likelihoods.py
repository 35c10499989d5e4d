"""How likely figures are among others of which there are few."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.diagnosis.likelihoods import log_likelihoods, rounded_covariance

MEAN, COVARIANCE = np.array([1.0, -2.0]), np.array([[2.0, 0.5], [0.5, 1.0]])


def test_the_density_adds_up_to_one() -> None:
    freedom, step = 5.0, 0.1
    # In the plane the constant is freedom / (2 pi freedom).
    places = np.stack(np.meshgrid(*[np.arange(-60, 60, step)] * 2), axis=-1)
    found = np.exp(log_likelihoods(places, MEAN, COVARIANCE, freedom)).sum() * step**2
    assert found / (2 * math.pi) == pytest.approx(1.0, abs=0.01)


@given(st.floats(-9, 9), st.floats(-9, 9), st.floats(0.1, 10))
def test_units_move_all_likelihoods_alike(first: float, second: float, unit: float) -> None:
    value = np.array([first, second])
    plain = log_likelihoods(value, MEAN, COVARIANCE, 8.0)
    scaled = log_likelihoods(unit * value, unit * MEAN, unit**2 * COVARIANCE, 8.0)
    assert float(plain - scaled) == pytest.approx(2 * math.log(unit), abs=1e-6)


def test_the_covariance_of_several_lots_is_that_of_each() -> None:
    lots = np.random.default_rng(2).normal(0, 3, (5, 7, 2))
    each = [np.cov(lot.T) for lot in lots]
    half = [(cov + np.eye(2) * np.trace(cov) / 2) / 2 for cov in each]
    assert rounded_covariance(lots, 0.0) == pytest.approx(np.stack(half))


def test_the_covariance_of_few_values_is_positive_definite_and_keeps_their_mean_variance() -> None:
    few = np.random.default_rng(1).normal(0, 3, (4, 9))
    rounded = rounded_covariance(few, 1e-3)
    assert np.linalg.eigvalsh(rounded).min() > 0.1
    assert np.trace(rounded) == pytest.approx(few.var(axis=0, ddof=1).sum(), rel=1e-3)
    assert np.array_equal(rounded_covariance(np.ones((3, 2)), 0.5), np.eye(2) * 0.25)
