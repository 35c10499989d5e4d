"""Last bits may differ between row counts; what rounding does not explain may not."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from batchproof_server.base.signature import Array
from batchproof_server.proof.probing.answers import Answer
from batchproof_server.proof.probing.rounding import row_size, worst_excess

ONES = [1.0] * 8


def answers(*rows: Any, dtype: str = "float32") -> list[Answer]:
    return [{"y": np.asarray(row, dtype)} for row in rows]


def moved(known: Sequence[Answer], by: float) -> list[Answer]:
    return [{"y": each["y"] + each["y"].dtype.type(by)} for each in known]


def noise(rows: int = 8, numbers: int = 10, dtype: str = "float32") -> list[Answer]:
    made = np.random.default_rng(0).normal(0, 1, (rows, numbers))
    return answers(*made, dtype=dtype)


def test_last_bits_are_explained_at_any_magnitude() -> None:
    for scale in (1e-30, 1e-3, 1.0, 1e30):
        known = [{"y": each["y"] * np.float32(scale)} for each in noise()]
        other = [{"y": each["y"] * np.float32(1 + 60 * 2.0**-23)} for each in known]
        assert worst_excess(known, other, ONES, coarse=False) is None


@pytest.mark.parametrize("share", [1.0, 0.01, 1e-3])
def test_what_is_added_to_every_answer_is_not_explained(share: float) -> None:
    excess = worst_excess(noise(), moved(noise(), share), ONES, coarse=False)
    assert excess is not None
    assert excess.difference == pytest.approx(share, rel=1e-3)
    assert excess.explained < share
    assert excess.times > 1


def test_a_small_answer_is_judged_by_those_to_rows_that_are_no_larger() -> None:
    known, other = answers([1.0], [1e-9], [-2.0]), answers([1.0], [2e-6], [-2.0])
    assert worst_excess(known, other, [1.0, 1.0, 1.0], coarse=False) is None
    excess = worst_excess(known, other, [5.0, 1.0, 5.0], coarse=False)
    assert excess is not None
    assert (excess.output, excess.row) == ("y", 1)


def test_the_size_of_a_row_is_its_greatest_magnitude_and_all_small_rows_are_alike() -> None:
    assert row_size({"a": np.array([-3.0, 2.0]), "b": np.array([1], np.int32)}) == 3.0
    assert row_size({"a": np.array([-0.1])}) == row_size({"a": np.zeros(0)}) == 1.0


def test_models_in_half_precision_may_differ_by_more() -> None:
    known = noise(dtype="float16")
    other = moved(known, 0.02)
    assert worst_excess(known, other, ONES, coarse=False) is None
    single = [{"y": each["y"].astype(np.float32)} for each in known]
    assert worst_excess(single, moved(single, 0.02), ONES, coarse=True) is None
    assert worst_excess(single, moved(single, 0.02), ONES, coarse=False) is not None
    assert worst_excess(single, moved(single, 1.0), ONES, coarse=True) is not None


def test_a_number_that_is_finite_in_one_answer_only_is_never_explained() -> None:
    excess = worst_excess(answers([1, 2]), answers([1, np.nan]), ONES[:1], coarse=False)
    assert excess is not None
    assert excess.difference == np.inf
    for same in ([1, np.nan], [1, np.inf], [1, -np.inf]):
        assert worst_excess(answers(same), answers(same), ONES[:1], coarse=False) is None


def flipped(known: Array, places: Any) -> Array:
    other = known.copy()
    other[places] += 1
    return other


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_rare_jumps_at_other_places_of_each_row_are_explained(dtype: str) -> None:
    maps = [np.zeros(1000, dtype) for _ in range(8)]
    jumped = [flipped(each, [row, 500 + row]) for row, each in enumerate(maps)]
    known, other = answers(*maps, dtype=dtype), answers(*jumped, dtype=dtype)
    assert worst_excess(known, other, ONES, coarse=False) is None


@pytest.mark.parametrize("dtype", ["float32", "int64"])
@pytest.mark.parametrize(
    "places", [lambda _row: 3, lambda row: slice(row, row + 20)], ids=["one", "many"]
)
def test_a_jump_of_the_same_number_in_most_rows_or_of_many_numbers_is_not(
    dtype: str, places: Any
) -> None:
    maps = [np.zeros(1000, dtype) for _ in range(8)]
    jumped = [flipped(each, places(row)) for row, each in enumerate(maps)]
    known, other = answers(*maps, dtype=dtype), answers(*jumped, dtype=dtype)
    excess = worst_excess(known, other, ONES, coarse=False)
    assert excess is not None
    assert excess.times == np.inf


def test_another_class_for_a_row_is_a_difference() -> None:
    known, other = answers(3, 4, 1, dtype="int64"), answers(3, 4, 2, dtype="int64")
    excess = worst_excess(known, other, ONES[:3], coarse=False)
    assert excess is not None
    assert (excess.row, excess.difference) == (2, 1.0)


def test_nothing_to_compare_is_no_difference() -> None:
    assert worst_excess([], [], [], coarse=False) is None
    assert worst_excess(answers([]), answers([]), ONES[:1], coarse=False) is None
