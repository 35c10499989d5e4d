"""The laws of fitted weights."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from batchproof_server.offline.evaluation.augmentation.mixture import (
    TOLERANCE,
    fit_weights,
    mixture_nll,
)

LIKELIHOODS = npst.arrays(
    np.float64,
    st.tuples(st.integers(1, 30), st.integers(1, 6)),
    elements=st.floats(0, 1, width=32),
)
FEW_STEPS = 300


@given(LIKELIHOODS)
def test_no_step_raises_the_loss(likelihoods: Any) -> None:
    nlls = np.array(fit_weights(likelihoods, FEW_STEPS).nlls)
    assert (np.diff(nlls) <= 1e-12 * np.maximum(1, np.abs(nlls[1:]))).all()


@given(LIKELIHOODS)
def test_the_weights_are_shares(likelihoods: Any) -> None:
    weights = fit_weights(likelihoods, FEW_STEPS).weights
    assert weights.shape == (likelihoods.shape[1],)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-12)


@given(LIKELIHOODS.filter(lambda array: array.shape[1] == 1))
def test_one_view_has_all_the_weight(likelihoods: Any) -> None:
    fitted = fit_weights(likelihoods)
    assert fitted.weights.tolist() == [1.0]
    assert (fitted.steps, fitted.is_converged) == (0, True)


@given(LIKELIHOODS, st.randoms(use_true_random=False))
def test_weights_follow_their_views_and_the_order_of_pictures_does_not_matter(
    likelihoods: Any, chance: Any
) -> None:
    views, pictures = list(range(likelihoods.shape[1])), list(range(len(likelihoods)))
    chance.shuffle(views)
    chance.shuffle(pictures)
    plain = fit_weights(likelihoods, 50)
    shuffled = fit_weights(likelihoods[pictures][:, views], 50)
    if plain.steps == shuffled.steps:  # rounding may decide whether a last step is taken
        assert shuffled.weights == pytest.approx(plain.weights[views], abs=1e-9)
    assert shuffled.nlls[-1] == pytest.approx(plain.nlls[-1], rel=1e-9, abs=TOLERANCE)


@given(LIKELIHOODS, st.integers(0, 2**32 - 1))
def test_no_other_weights_are_better_by_more_than_the_gap(likelihoods: Any, seed: int) -> None:
    fitted = fit_weights(likelihoods, FEW_STEPS)
    others = np.random.default_rng(seed).dirichlet(np.full(likelihoods.shape[1], 0.5), 50)
    corners = np.eye(likelihoods.shape[1])
    floored = np.maximum(likelihoods, np.finfo(np.float32).smallest_normal)
    best = min(mixture_nll(floored, weights) for weights in (*others, *corners))
    assert fitted.nlls[-1] <= best + fitted.gap + 1e-9


def test_the_weights_of_a_mixture_are_found_again() -> None:
    """Pictures whose class was drawn from 0.7 of one view and 0.3 of the other."""
    numbers = np.random.default_rng(3)
    views = numbers.dirichlet(np.full(5, 0.3), size=(40_000, 2))
    source = (numbers.random(40_000) < 0.3).astype(int)
    chosen = views[np.arange(40_000), source]
    classes = (chosen.cumsum(axis=1) > numbers.random((40_000, 1))).argmax(axis=1)
    fitted = fit_weights(views[np.arange(40_000), :, classes])
    assert fitted.is_converged
    assert fitted.weights == pytest.approx([0.7, 0.3], abs=0.01)


def test_a_view_that_is_never_better_gets_no_weight() -> None:
    fitted = fit_weights(np.array([[0.9, 0.1], [0.8, 0.7], [0.6, 0.5]]))
    assert fitted.is_converged
    assert fitted.weights[0] > 0.9999
    assert fitted.nlls[0] > fitted.nlls[-1]


def test_a_fit_that_is_cut_short_says_so() -> None:
    fitted = fit_weights(np.array([[0.9, 0.1], [0.1, 0.8], [0.6, 0.5]]), max_steps=1)
    assert fitted.steps == 1
    assert not fitted.is_converged
