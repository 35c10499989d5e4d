"""Joining and parting tensors, case by case; the laws are in properties/test_assembly.py."""

import numpy as np
import pytest

from batchproof_server.base.errors import BackendFailed
from batchproof_server.base.signature import Array
from batchproof_server.batching.admission import bucket_for
from batchproof_server.devices.assembly import assemble, split


def rows(*values: float) -> Array:
    return np.array(values, dtype=np.float32).reshape(-1, 1)


@pytest.mark.parametrize(("count", "bucket"), [(1, 2), (2, 2), (3, 8), (8, 8)])
def test_rows_get_the_smallest_bucket_that_holds_them(count: int, bucket: int) -> None:
    assert bucket_for(count, (2, 8)) == bucket


@pytest.mark.parametrize("count", [-1, 0, 9])
def test_rows_that_fit_no_bucket_are_a_programming_error(count: int) -> None:
    with pytest.raises(ValueError, match=rf"{count} rows fit no bucket of \[2, 8\]"):
        bucket_for(count, (2, 8))


def test_a_single_part_that_fills_the_bucket_is_not_copied() -> None:
    array = rows(1, 2)
    assert assemble([{"x": array}], 2)["x"] is array


@pytest.mark.parametrize("offset", [1, 2, 3, 4, 8])
def test_one_that_begins_at_any_byte_is_copied_to_where_an_array_may(offset: int) -> None:
    given = np.empty(256, np.uint8)  # begins at a multiple of 16 bytes
    given[offset : offset + 8] = rows(1, 2).view(np.uint8).reshape(-1)
    array = np.ndarray((2, 1), np.float32, buffer=given, offset=offset)
    alone = assemble([{"x": array}], 2)["x"]
    assert not np.shares_memory(alone, given)
    assert alone.flags.aligned
    assert alone.tolist() == [[1], [2]]


def test_parts_of_mixed_sizes_follow_each_other() -> None:
    joined = assemble([{"x": rows(1)}, {"x": rows(2, 3, 4)}, {"x": rows(5, 6)}], 8)
    assert joined["x"][:, 0].tolist() == [1, 2, 3, 4, 5, 6, 6, 6]


def test_padding_does_not_change_the_memory_layout() -> None:
    assert assemble([{"x": rows(1)}], 2)["x"].flags.c_contiguous


def test_more_rows_than_the_bucket_are_a_programming_error() -> None:
    with pytest.raises(ValueError, match="3 rows do not fit a bucket of 2"):
        assemble([{"x": rows(1, 2)}, {"x": rows(3)}], 2)


def test_a_neighbour_of_another_dtype_is_refused_and_not_promoted() -> None:
    with pytest.raises(TypeError):
        assemble([{"x": rows(1)}, {"x": rows(2).astype(np.float64)}], 2)


def test_a_neighbour_of_another_row_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="do not join"):
        assemble([{"x": rows(1)}, {"x": np.zeros((1, 2), np.float32)}], 2)


@pytest.mark.parametrize(
    ("output", "shape"),
    [(rows(1, 2, 3), r"\[3, 1\]"), (rows(1), r"\[1, 1\]"), (np.array(1.0), r"\[\]")],
)
def test_an_output_without_a_row_for_each_executed_row_is_the_backends_fault(
    output: Array, shape: str
) -> None:
    with pytest.raises(BackendFailed, match=rf'output "y" has shape {shape}, expected 2 rows'):
        split({"x": rows(1, 2), "y": output}, [1, 1], 2)


def test_rows_that_share_memory_are_parted_into_their_own() -> None:
    outputs = {"y": np.broadcast_to(np.float32(1), (2, 1))}
    first, second = split(outputs, [1, 1], 2)
    first["y"][0, 0] = 9
    assert second["y"].tolist() == [[1]]
