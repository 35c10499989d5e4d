"""The same answer is the same bits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from batchproof_server.base.signature import Array, Tensors
from batchproof_server.selfcheck.judging import Check, Verdict, judge

NAN_WITH_ANOTHER_PAYLOAD = np.array([[0x7FC00001]], np.uint32).view(np.float32)


def check(**expected: Array) -> Check:
    return Check("id", (), 2, 1, expected, 4)


def one(*values: float, dtype: str = "float32") -> Array:
    return np.array([values], dtype)


@pytest.mark.parametrize(
    ("expected", "got", "verdict"),
    [
        (one(1, 2), one(1, 2), Verdict(identical=True, greatest_difference=0.0)),
        (one(1, 2), one(1, 2.5), Verdict(identical=False, greatest_difference=0.5)),
        (one(0.0), one(-0.0), Verdict(identical=False, greatest_difference=0.0)),
        (one(np.nan), one(np.nan), Verdict(identical=True, greatest_difference=0.0)),
        (
            one(np.nan, 1),
            np.append(NAN_WITH_ANOTHER_PAYLOAD, one(1), axis=1),
            Verdict(identical=True, greatest_difference=0.0),
        ),
        (one(np.nan, 0.0), one(np.nan, -0.0), Verdict(identical=False, greatest_difference=0.0)),
        (one(1), one(np.nan), Verdict(identical=False, greatest_difference=None)),
        (one(np.inf), one(-np.inf), Verdict(identical=False, greatest_difference=None)),
        (one(1, 2), one(1), Verdict(identical=False, greatest_difference=None)),
        (one(1), one(1, dtype="float64"), Verdict(identical=False, greatest_difference=None)),
        (one(0), one(0, dtype="int32"), Verdict(identical=False, greatest_difference=None)),
    ],
)
def test_answers_are_compared_bit_for_bit(expected: Array, got: Array, verdict: Verdict) -> None:
    assert judge(check(y=expected), {"y": got}) == verdict


def test_one_of_several_outputs_that_differs_is_a_difference() -> None:
    got: Tensors = {"a": one(1), "b": one(2)}
    assert not judge(check(a=one(1), b=one(3)), got).identical
    assert judge(check(a=one(1), b=one(2)), got).identical


bits: Any = hnp.arrays(np.uint32, (1, 3), elements=st.integers(0, 2**32 - 1))


@given(bits, bits)
def test_identical_means_that_every_bit_is_but_those_of_nan(left: Array, right: Array) -> None:
    one_answer, other = left.view(np.float32), right.view(np.float32)
    verdict = judge(check(y=one_answer), {"y": other})
    is_nan = np.isnan(one_answer) & np.isnan(other)
    assert verdict.identical is bool(((left == right) | is_nan).all())
