"""Following rows through a change of shape agrees with marking every element by its row."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.proof.rows.layout import FREE, Rows, Value, fits, reshaped, sliced

sizes = st.lists(st.integers(1, 4), max_size=3)
layouts = st.builds(Rows, axis=st.integers(0, 2), outer=st.integers(1, 3), inner=st.integers(1, 3))


def marked(rows: Rows, count: int, before: list[int], after: list[int]) -> np.ndarray[Any, Any]:
    """A tensor in which each element is the number of its row."""
    along = np.arange(rows.outer * count * (rows.inner or 1)) // (rows.inner or 1) % count
    shape = (*before, along.size, *after)
    return np.broadcast_to(along.reshape(-1, *[1] * len(after)), shape)


def carries(rows: Rows, count: int, tensor: np.ndarray[Any, Any]) -> bool:
    """Whether a marked tensor has its rows where ``rows`` says."""
    if not fits(rows, count, tensor.shape):
        return False
    before, after = tensor.shape[: rows.axis], tensor.shape[rows.axis + 1 :]
    return bool((tensor == marked(rows, count, list(before), list(after))).all())


def foldings(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Other shapes of the same elements: axes merged, split and added."""
    merged = [
        (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])
        for axis in range(len(shape) - 1)
    ]
    split = [
        (*shape[:axis], size // part, part, *shape[axis + 1 :])
        for axis, size in enumerate(shape)
        for part in (2, 3, 4)
        if size % part == 0
    ]
    added = [(*shape[:axis], 1, *shape[axis:]) for axis in range(len(shape) + 1)]
    return [shape, (int(np.prod(shape)),), *merged, *split, *added]


@given(rows=layouts, count=st.integers(2, 5), after=sizes, data=st.data())
def test_reshaping_is_followed_or_given_up_but_never_wrong(
    rows: Rows, count: int, after: list[int], data: st.DataObject
) -> None:
    before = data.draw(st.lists(st.integers(1, 4), min_size=rows.axis, max_size=rows.axis))
    tensor = marked(rows, count, before, after)
    shape = tensor.shape
    for _ in range(data.draw(st.integers(1, 3))):
        shape = data.draw(st.sampled_from(foldings(shape)))
    found = reshaped(rows, count, tensor.shape, shape)
    if found is not None:
        assert carries(found, count, tensor.reshape(shape))


@given(count=st.integers(2, 9), rest=sizes)
def test_flattening_a_plain_batch_keeps_its_rows(count: int, rest: list[int]) -> None:
    width = int(np.prod(rest))
    assert reshaped(Rows(0), count, (count, *rest), (count, width)) == Rows(0)


@given(rows=layouts, count=st.integers(2, 5), after=sizes)
def test_there_and_back_is_where_it_was(rows: Rows, count: int, after: list[int]) -> None:
    rows = rows.at(0)
    tensor = marked(rows, count, [], after)
    single = (int(np.prod(tensor.shape)),)
    there = reshaped(rows, count, tensor.shape, single)
    assert there is not None
    back = reshaped(there, count, single, tensor.shape)
    assert back is None or carries(back, count, tensor)


def test_unknown_sizes_behind_the_rows_do_no_harm() -> None:
    assert reshaped(Rows(0), 4, (4, None, None, 3), (4, None, 3)) == Rows(0)
    assert reshaped(Rows(0), 4, (4, None, 3), (None, 3)) == Rows(0, 1, None)
    assert reshaped(Rows(0, 1, None), 4, (None, 3), (4, None, 3)) == Rows(0)


def test_a_single_unknown_size_follows_from_the_number_of_elements() -> None:
    assert reshaped(Rows(0), 4, (None, 1, 2, 3), (None, 6)) == Rows(0)
    assert reshaped(Rows(1), 4, (5, None, 3), (None, 3)) == Rows(0, 5)
    assert reshaped(Rows(1), 4, (5, None, 3), (5, None, 3)) == Rows(1)


def test_rows_behind_a_size_that_is_not_known_are_lost() -> None:
    assert reshaped(Rows(1), 4, (None, 4, 3), (None, 12)) is None


@pytest.mark.parametrize(
    ("old", "new"), [(None, (4, 3)), ((4, 3), None), ((None, 4, None), (None, None))]
)
def test_what_cannot_be_known_is_given_up(
    old: tuple[int | None, ...] | None, new: tuple[int | None, ...] | None
) -> None:
    rows = Rows(1) if old is not None and len(old) == 3 else Rows(0)
    assert reshaped(rows, 4, old, new) is None


@given(count=st.integers(2, 4), outer=st.integers(1, 4), data=st.data())
def test_a_slice_of_whole_batches_keeps_its_rows(
    count: int, outer: int, data: st.DataObject
) -> None:
    rows = Rows(0, outer)
    tensor = marked(rows, count, [], [2])
    start = data.draw(st.integers(0, len(tensor) - 1))
    size = data.draw(st.integers(0, len(tensor) - start))
    found = sliced(rows, count, start, size)
    whole = size > 0 and start % count == 0 and size % count == 0
    assert (found is not None) == whole
    if found is not None:
        assert carries(found, count, tensor[start : start + size])


def test_a_value_that_met_rows_is_not_free() -> None:
    assert FREE.free
    assert not Value(Rows(0)).free
    assert not fits(Rows(2), 4, (4, 3))
    assert not fits(Rows(0), 4, (5, 3))
    assert fits(Rows(0), 4, (None, 3))
    assert fits(Rows(7), 4, None)
