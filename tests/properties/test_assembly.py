"""Joining and parting tensors loses, mixes and leaks nothing (P1 and P2, exactly)."""

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from batchproof_server.base.signature import Array, Tensors
from batchproof_server.batching.admission import bucket_for
from batchproof_server.devices.assembly import assemble, split

DTYPES = (np.float32, np.float64, np.float16, np.uint8, np.int64, np.bool_)


@st.composite
def parts_and_bucket(draw: st.DrawFn) -> tuple[list[Tensors], int]:
    """Parts with the same names, dtypes and row shapes, and a bucket that holds them."""
    names = draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True))
    specs = {
        name: (
            draw(st.sampled_from(DTYPES)),
            draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3)),
        )
        for name in names
    }
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    parts: list[Tensors] = []
    for rows in sizes:
        order = draw(st.permutations(names))
        parts.append({n: draw(hnp.arrays(specs[n][0], (rows, *specs[n][1]))) for n in order})
    return parts, sum(sizes) + draw(st.integers(0, 4))


def rows_of(parts: list[Tensors]) -> list[int]:
    return [next(iter(part.values())).shape[0] for part in parts]


def bits(array: Array) -> tuple[Any, ...]:
    return array.dtype, array.shape, array.tobytes()


def all_bits(tensors: Tensors) -> dict[str, tuple[Any, ...]]:
    return {name: bits(array) for name, array in tensors.items()}


@given(drawn=parts_and_bucket())
def test_parting_what_was_joined_gives_back_the_same_bits(drawn: tuple[list[Tensors], int]) -> None:
    parts, bucket_rows = drawn
    joined = assemble(parts, bucket_rows)
    again = split(joined, rows_of(parts), bucket_rows)
    assert [all_bits(part) for part in again] == [all_bits(part) for part in parts]


@given(drawn=parts_and_bucket())
def test_padding_repeats_the_last_real_row(drawn: tuple[list[Tensors], int]) -> None:
    parts, bucket_rows = drawn
    rows = sum(rows_of(parts))
    for name, array in assemble(parts, bucket_rows).items():
        assert array.shape[0] == bucket_rows
        for padding in array[rows:]:
            assert bits(padding) == bits(parts[-1][name][-1])


@given(drawn=parts_and_bucket())
def test_joining_changes_no_input(drawn: tuple[list[Tensors], int]) -> None:
    parts, bucket_rows = drawn
    before = [all_bits(part) for part in parts]
    for part in parts:
        for array in part.values():
            array.setflags(write=False)
    assemble(parts, bucket_rows)
    assert [all_bits(part) for part in parts] == before


@given(drawn=parts_and_bucket())
def test_poison_in_the_padding_reaches_nobody(drawn: tuple[list[Tensors], int]) -> None:
    parts, bucket_rows = drawn
    sizes = rows_of(parts)
    outputs = {
        name: array.astype(np.float64) for name, array in assemble(parts, bucket_rows).items()
    }
    clean = split(outputs, sizes, bucket_rows)
    for array in outputs.values():
        array[sum(sizes) :] = np.nan
    poisoned = split(outputs, sizes, bucket_rows)
    assert [all_bits(part) for part in poisoned] == [all_bits(part) for part in clean]


@given(drawn=parts_and_bucket())
def test_a_part_shares_memory_with_nobody(drawn: tuple[list[Tensors], int]) -> None:
    parts, bucket_rows = drawn
    outputs = assemble(parts, bucket_rows)
    answers = split(outputs, rows_of(parts), bucket_rows)
    for index, answer in enumerate(answers):
        others = [*parts, outputs, *answers[:index], *answers[index + 1 :]]
        for array in answer.values():
            assert array.base is None
            assert array.flags.writeable
            assert not any(np.shares_memory(array, o) for other in others for o in other.values())


@given(
    parts=st.lists(
        hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.just(3))), min_size=1, max_size=6
    ),
    spare=st.integers(0, 4),
    position=st.integers(0, 5),
)
def test_elementwise_arithmetic_answers_a_part_alike_alone_and_in_any_company(
    parts: list[Array], spare: int, position: int
) -> None:
    bucket_rows = sum(len(part) for part in parts) + spare
    index = position % len(parts)

    def answer(together: list[Array], wanted: int) -> Array:
        with np.errstate(all="ignore"):
            outputs = assemble([{"x": part} for part in together], bucket_rows)["x"] * 3 + 1
        return split({"y": outputs}, [len(part) for part in together], bucket_rows)[wanted]["y"]

    assert bits(answer(parts, index)) == bits(answer([parts[index]], 0))


ascending = st.sets(st.integers(1, 64), min_size=1).map(lambda buckets: tuple(sorted(buckets)))


@given(buckets_rows=ascending, data=st.data())
def test_the_bucket_is_the_smallest_that_holds_the_rows(
    buckets_rows: tuple[int, ...], data: st.DataObject
) -> None:
    rows = data.draw(st.integers(1, buckets_rows[-1]))
    bucket_rows = bucket_for(rows, buckets_rows)
    assert bucket_rows == min(bucket for bucket in buckets_rows if bucket >= rows)
    assert not any(low < rows <= high < bucket_rows for low, high in pairwise((0, *buckets_rows)))
