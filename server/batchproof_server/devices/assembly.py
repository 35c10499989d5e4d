"""The rows of a micro-batch put together before it is executed, and parted after it."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from batchproof_server.base.errors import BackendFailed
from batchproof_server.base.signature import Array, Tensors

# As malloc aligns, and numpy with it.
_ALIGNED_BYTES: Final = 16


def assemble(parts: Sequence[Tensors], bucket_rows: int) -> Tensors:
    """Concatenates the rows of ``parts`` in order and pads them up to ``bucket_rows``.

    The padding repeats the last real row: a row that the model is known to accept, which zeros or
    noise are not. The arrays of a single part that fills the bucket are passed on as they are, if
    they begin where an allocation may: those of a message begin at any byte, and what a kernel
    rounds must not depend on it.

    Args:
        parts: one or more, each with the same names, dtypes and row shapes, and with 1 or more
            rows on axis 0; never changed.
        bucket_rows: at least the rows of all parts.

    Returns:
        For each name an array of ``bucket_rows`` rows.

    Raises:
        ValueError: the parts hold more rows than the bucket, or differ in row shape.
        TypeError: the parts differ in dtype.
    """
    return {name: _joined([part[name] for part in parts], bucket_rows) for name in parts[0]}


def _joined(arrays: list[Array], bucket_rows: int) -> Array:
    first = arrays[0]
    if len(arrays) == 1 and first.shape[0] == bucket_rows and _begins_aligned(first):
        return first
    joined = np.empty((bucket_rows, *first.shape[1:]), first.dtype)
    fill(joined, arrays)
    return joined


def _begins_aligned(array: Array) -> bool:
    address: int = array.__array_interface__["data"][0]
    return address % _ALIGNED_BYTES == 0


def fill(target: Array, arrays: Sequence[Array]) -> None:
    """Writes the rows of ``arrays`` in order into ``target`` and pads them as ``assemble`` does.

    Args:
        target: of one bucket; every row of it is written.
        arrays: one or more, each with 1 or more rows.

    Raises:
        ValueError: they hold more rows than the target, or differ from it in row shape.
        TypeError: they differ from it in dtype.
    """
    rows = sum(array.shape[0] for array in arrays)
    if rows > target.shape[0]:
        raise ValueError(f"{rows} rows do not fit a bucket of {target.shape[0]}")
    _check_alike(target, arrays)
    start = 0
    for array in arrays:
        target[start : start + array.shape[0]] = array
        start += array.shape[0]
    target[start:] = arrays[-1][-1]


def _check_alike(first: Array, arrays: Sequence[Array]) -> None:
    # An assignment would cast and broadcast without a word.
    for array in arrays:
        if array.dtype != first.dtype:
            raise TypeError(f"the parts are {first.dtype.name} and {array.dtype.name}")
        if array.shape[1:] != first.shape[1:]:
            raise ValueError(f"rows of {first.shape[1:]} and {array.shape[1:]} do not join")


def split(outputs: Tensors, rows_of_parts: Sequence[int], bucket_rows: int) -> tuple[Tensors, ...]:
    """Gives each part its rows of the outputs, in order, and drops the padding.

    The rows are copied. A view would keep the answers of all neighbours and the padding alive as
    long as any member keeps its own, and would let one member change another's through an output
    whose rows share memory; a row of class scores costs well under a microsecond to copy.

    Args:
        outputs: what the backend returned for ``bucket_rows`` rows.
        rows_of_parts: rows of each part, together at most ``bucket_rows``.
        bucket_rows: rows that were executed.

    Raises:
        BackendFailed: an output does not have ``bucket_rows`` rows.
    """
    for name, array in outputs.items():
        if array.shape[:1] != (bucket_rows,):
            raise BackendFailed(
                f'output "{name}" has shape {list(array.shape)}, expected {bucket_rows} rows'
            )
    parts: list[Tensors] = []
    start = 0
    for rows in rows_of_parts:
        stop = start + rows
        parts.append({name: array[start:stop].copy() for name, array in outputs.items()})
        start = stop
    return tuple(parts)
