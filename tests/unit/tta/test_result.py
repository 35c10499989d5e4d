import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.tta.plan import Plan
from batchproof_server.tta.result import early_result, is_sure, row_result
from batchproof_server.tta.views import IDENTITY, parse_views

if TYPE_CHECKING:
    from batchproof_server.base.signature import Array

FLIP = parse_views(["identity", "hflip"])
FOUR = parse_views(["identity", "hflip", "vflip", "rot180"])


def test_views_that_agree_have_nothing_to_disagree_about() -> None:
    result = row_result(Plan("flip", FLIP), np.array([[0.7, 0.3], [0.7, 0.3]]))
    assert (result.flip_rate, result.mutual_information) == (0, 0)
    assert result.confidence_stddev == 0
    assert result.views == FLIP
    assert result.weights == (0.5, 0.5)
    assert not result.exited_early


def test_views_that_are_sure_of_different_classes_disagree_by_a_whole_bit() -> None:
    result = row_result(Plan("flip", FLIP), np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert result.flip_rate == 0.5
    assert result.mutual_information == pytest.approx(math.log(2))
    assert result.confidence_stddev == 0.5


def test_the_flip_rate_is_the_share_of_views_with_another_best_class() -> None:
    views = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3]])
    assert row_result(Plan("x", FOUR), views).flip_rate == 0.25


def test_a_row_that_stopped_early_is_its_plain_view() -> None:
    result = early_result(np.array([0.9, 0.1]))
    assert result.probabilities.tolist() == [0.9, 0.1]
    assert (result.views, result.weights, result.exited_early) == ((IDENTITY,), (1.0,), True)
    assert (result.flip_rate, result.mutual_information, result.confidence_stddev) == (0, 0, 0)


@pytest.mark.parametrize(("early_exit", "sure"), [(None, False), (0.9, True), (0.91, False)])
def test_a_row_is_sure_when_its_best_probability_reaches_the_threshold(
    early_exit: float | None, *, sure: bool
) -> None:
    plan = Plan("flip", FLIP, early_exit=early_exit)
    assert is_sure(plan, np.array([0.9, 0.1])) is sure


@given(st.integers(0, 2**32), st.floats(0, 50), st.permutations(range(4)))
def test_agreement_is_in_its_range_and_no_bit_of_it_depends_on_the_order(
    seed: int, sharpness: float, order: list[int]
) -> None:
    logits = np.random.default_rng(seed).normal(size=(4, 5)) * sharpness
    views: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
    views /= views.sum(axis=1, keepdims=True)
    result = row_result(Plan("x", FOUR), views)
    shuffled = row_result(Plan("x", tuple(FOUR[place] for place in order)), views[list(order)])
    assert 0 <= result.flip_rate <= 1
    assert 0 <= result.mutual_information <= math.log(4) + 1e-9
    assert 0 <= result.confidence_stddev <= 0.5
    for name in ("flip_rate", "mutual_information", "confidence_stddev"):
        assert getattr(result, name) == getattr(shuffled, name)
    assert result.probabilities.tobytes() == shuffled.probabilities.tobytes()
