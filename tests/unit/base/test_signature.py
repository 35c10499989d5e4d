"""Signatures: which tensors fit, and the sentence for those that do not."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import (
    _MANY,
    Array,
    Signature,
    Tensors,
    check_finite,
    tensor_mean,
    tensor_means,
)
from support.fakes import spec

TWO = Signature((spec("a", 2), spec("b", None, 3)), (spec("y"),))


def good() -> dict[str, Array]:
    return {"a": np.zeros((4, 2)), "b": np.zeros((4, 7, 3))}


def test_tensors_that_fit_give_their_row_count() -> None:
    assert TWO.check(good()) == 4


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"a": np.zeros((4, 3))}, 'input "a" is float64 [4, 3], expected float64 [rows, 2]'),
        ({"a": np.zeros(4)}, 'input "a" is float64 [4], expected float64 [rows, 2]'),
        ({"a": np.float64(1)}, 'input "a" is float64 [], expected float64 [rows, 2]'),
        (
            {"a": np.zeros((4, 2), np.float32)},
            'input "a" is float32 [4, 2], expected float64 [rows, 2]',
        ),
        (
            {"b": np.zeros((4, 0, 3))},
            'input "b" is float64 [4, 0, 3], expected float64 [rows, any, 3]',
        ),
        (
            {"a": np.zeros((5, 2))},
            "inputs have different row counts {'a': 5, 'b': 4}, expected the same",
        ),
        (
            {"a": np.zeros((0, 2)), "b": np.zeros((0, 1, 3))},
            "the request has 0 rows, expected 1 or more",
        ),
        ({"c": np.zeros(1)}, 'inputs are "a", "b", "c", expected exactly "a", "b"'),
    ],
)
def test_tensors_that_do_not_fit_are_refused_with_both_sides(
    change: Tensors, sentence: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        TWO.check({**good(), **change})
    assert str(refused.value) == sentence


def test_a_missing_input_is_named() -> None:
    with pytest.raises(InvalidInput, match='inputs are none, expected exactly "a", "b"'):
        TWO.check({})


@given(st.lists(st.integers(1, 4), max_size=3), st.data())
def test_a_spec_admits_exactly_its_dtype_and_shape(sizes: list[int], data: st.DataObject) -> None:
    wanted = [data.draw(st.sampled_from((size, None))) for size in sizes]
    shape = tuple(data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4)))
    dtype = data.draw(st.sampled_from(("float64", "float32")))
    fits = len(shape) == len(wanted) + 1 and all(
        want in (None, size) for want, size in zip(wanted, shape[1:], strict=True)
    )
    assert spec("x", *wanted).admits(np.zeros(shape, dtype)) == (fits and dtype == "float64")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(
    size=st.integers(1, 3) | st.integers(_MANY - 1, _MANY + 1),
    bad=st.sampled_from((None, np.nan, np.inf, -np.inf)),
    data=st.data(),
)
def test_one_number_that_is_not_finite_is_found_among_few_and_many(
    dtype: type[np.floating[Any]], size: int, bad: float | None, data: st.DataObject
) -> None:
    # The sum of so many of the largest numbers is infinite, though each is finite.
    array = np.full((3, size), np.finfo(dtype).max, dtype)
    if bad is None:
        check_finite({"x": array})
        return
    row, column = data.draw(st.integers(0, 2)), data.draw(st.integers(0, size - 1))
    array[row, column] = bad
    with pytest.raises(InvalidInput, match=f'input "x" holds NaN or infinity in row {row}, '):
        check_finite({"x": array})


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=4)))
def test_the_means_of_rows_of_bytes_are_those_of_each_row_alone(rows: Array) -> None:
    assert tensor_means(rows).tolist() == [tensor_mean(row) for row in rows]


@pytest.mark.parametrize("size", [(1 << 24) - 1, 1 << 24, (1 << 24) + 1])
def test_the_mean_of_many_white_bytes_is_that_of_one(size: int) -> None:
    assert tensor_means(np.full((1, size), 255, np.uint8)).tolist() == [255]
