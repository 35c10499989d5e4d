"""McNemar's exact test and Holm's adjustment against what the books and whole numbers say."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.offline.evaluation.augmentation.paired import Paired, holm, mcnemar, paired

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def exact(corrected: int, corrupted: int) -> Fraction:
    """The same in fractions of whole numbers."""
    count, fewer = corrected + corrupted, min(corrected, corrupted)
    tail = sum(math.comb(count, k) for k in range(fewer + 1))
    return min(Fraction(1), Fraction(2 * tail, 2**count))


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_p_value_is_twice_the_smaller_tail_of_a_fair_coin(left: int, right: int) -> None:
    assert mcnemar(left, right) == pytest.approx(float(exact(left, right)), rel=1e-9)
    assert mcnemar(left, right) == mcnemar(right, left)


@pytest.mark.parametrize(
    ("corrected", "corrupted", "p_value"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 5, 1.0), (10, 0, 2 / 1024), (1, 5, 14 / 64)],
)
def test_the_p_value_by_hand(corrected: int, corrupted: int, p_value: float) -> None:
    assert Paired(corrected, corrupted).p_value == pytest.approx(p_value)


def test_the_p_value_of_very_many_pictures_is_small_and_neither_fails_nor_is_wrong() -> None:
    assert mcnemar(20_000, 0) == 0.0
    # The normal approximation with its continuity correction, good to three digits here.
    z = (abs(101_000 - 100_000) - 1) / math.sqrt(201_000)
    assert mcnemar(101_000, 100_000) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)


def test_corrected_and_corrupted_are_told_apart() -> None:
    before = np.array([True, True, False, False, False])
    after = np.array([True, False, True, True, False])
    change = paired(before, after)
    assert change == Paired(corrected=2, corrupted=1)
    assert change.net == 1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(P_VALUES)
def test_holm_never_lowers_a_p_value_keeps_the_order_and_is_no_harsher_than_bonferroni(
    values: list[float],
) -> None:
    adjusted = holm(values)
    assert all(value <= after <= 1 for value, after in zip(values, adjusted, strict=True))
    assert all(
        after <= min(1.0, value * len(values)) + 1e-12
        for value, after in zip(values, adjusted, strict=True)
    )
    pairs = sorted(zip(values, adjusted, strict=True))
    assert all(one[1] <= other[1] for one, other in itertools.pairwise(pairs))


@given(P_VALUES, st.randoms(use_true_random=False))
def test_holm_does_not_depend_on_the_order_in_which_things_were_tried(
    values: list[float], chance: object
) -> None:
    order = list(range(len(values)))
    chance.shuffle(order)  # type: ignore[attr-defined] # a random.Random
    shuffled = holm([values[place] for place in order])
    assert shuffled == tuple(holm(values)[place] for place in order)
