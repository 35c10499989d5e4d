"""Likelihoods without what is only sureness: temperatures fitted on one half, used on the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.meaning import MOST_PROBABLE, AnyOfMany
from batchproof_server.base.signature import Array
from batchproof_server.offline.recipe_search.paired import log_likelihoods
from batchproof_server.offline.recipe_search.sureness import calibrated_logs

PICTURES, CLASSES = 200, 5


def answered(seed: int, sharpness: float = 1.0) -> tuple[Array, Array]:
    """Probabilities that are as sure as they are right, sharpened; and what was true."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (PICTURES, CLASSES))
    shares = softmax(logits)
    truth = np.array([[random.choice(CLASSES, p=row)] for row in shares])
    return softmax(sharpness * logits), truth


def softmax(logits: Array) -> Array:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    total: Array = shares / shares.sum(axis=1, keepdims=True)
    return total


@given(seed=st.integers(0, 50), sharpness=st.floats(0.2, 2))
def test_how_sure_a_model_is_makes_no_difference(seed: int, sharpness: float) -> None:
    plain, truth = answered(seed)
    other, _ = answered(seed, sharpness)
    logs = calibrated_logs(plain, truth, MOST_PROBABLE)
    assert calibrated_logs(other, truth, MOST_PROBABLE) == pytest.approx(logs, abs=5e-3)


@given(st.integers(0, 50))
def test_what_is_calibrated_loses_little(seed: int) -> None:
    plain, truth = answered(seed)
    own = log_likelihoods(MOST_PROBABLE.probability_of(plain, truth)).mean()
    assert calibrated_logs(plain, truth, MOST_PROBABLE).mean() == pytest.approx(own, abs=0.05)


def test_labels_that_do_not_exclude_each_other_have_a_temperature_too() -> None:
    random = np.random.default_rng(3)
    logits = random.normal(0, 2, (PICTURES, 3))
    truth = random.random((PICTURES, 3)) < 1 / (1 + np.exp(-logits))
    sure, unsure = (1 / (1 + np.exp(-factor * logits)) for factor in (1.0, 0.3))
    meaning = AnyOfMany()
    logs = calibrated_logs(sure, truth, meaning)
    assert calibrated_logs(unsure, truth, meaning) == pytest.approx(logs, abs=1e-3)
    assert logs.mean() > log_likelihoods(meaning.probability_of(unsure, truth)).mean()


def test_probabilities_of_zero_and_one_have_finite_logarithms() -> None:
    certain = np.eye(2)[[0, 1, 0, 1]]
    logs = calibrated_logs(certain, np.array([[0], [1], [1], [0]]), MOST_PROBABLE)
    assert np.isfinite(logs).all()
