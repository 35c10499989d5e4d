"""Laws of the bucket classes."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.proof.probing.answers import Answer, same_bits
from batchproof_server.proof.probing.buckets import (
    bucket_classes,
    greatest_difference,
    served_buckets,
)
from batchproof_server.proof.probing.rows import ProbeRow

Answers = Mapping[int, list[Answer]]

_values = st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf")])


@st.composite
def answers(draw: Any) -> Answers:
    """Two rows in one to six buckets, with few different answers."""
    buckets = draw(st.sets(st.integers(1, 64), min_size=1, max_size=6))
    return {
        bucket: [{"y": np.array([draw(_values)])}, {"y": np.array([draw(_values)])}]
        for bucket in sorted(buckets)
    }


def identical(one: list[Answer], other: list[Answer]) -> bool:
    return all(map(same_bits, one, other))


@given(answers())
def test_every_bucket_is_in_one_class_and_a_class_is_bit_identical(known: Answers) -> None:
    classes = bucket_classes(known)
    assert sorted(itertools.chain.from_iterable(classes)) == sorted(known)
    for members in classes:
        assert list(members) == sorted(members)
        assert all(identical(known[members[0]], known[bucket]) for bucket in members)
    for one, other in itertools.combinations(classes, 2):
        assert not identical(known[one[0]], known[other[0]])


@given(answers())
def test_strict_serves_the_class_that_reaches_furthest_and_tolerant_all(known: Answers) -> None:
    classes = bucket_classes(known)
    strict = served_buckets(classes, "strict")
    assert strict in classes
    for other in classes:
        assert max(other) * min(strict) <= max(strict) * min(other)
        if max(other) * min(strict) == max(strict) * min(other):
            assert min(strict) <= min(other)
    assert served_buckets(classes, "tolerant") == tuple(sorted(known))


@given(answers())
def test_the_greatest_difference_is_zero_when_there_is_one_class(known: Answers) -> None:
    rows = [ProbeRow("a", "noise", {}), ProbeRow("b", "sample", {})]
    classes = bucket_classes(known)
    greatest = greatest_difference(classes, known, rows)
    if len(classes) == 1:
        assert greatest == 0
    assert greatest is None or greatest in (0, 1)


def test_extreme_rows_decide_classes_but_not_the_greatest_difference() -> None:
    known = {1: [{"y": np.array([1e30])}], 2: [{"y": np.array([2e30])}]}
    rows = [ProbeRow("largest", "extreme", {})]
    assert bucket_classes(known) == ((1,), (2,))
    assert greatest_difference(((1,), (2,)), known, rows) == 0
    assert greatest_difference(((1,), (2,)), known, [ProbeRow("n", "noise", {})]) == 1e30
