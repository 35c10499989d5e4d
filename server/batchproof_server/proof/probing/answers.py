"""Answers of single rows, and how they compare: bit for bit. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np

from batchproof_server.base.signature import Array, Tensors

Answer: TypeAlias = Tensors
"""All outputs of one row by name, without axis 0."""


def stack(rows: Sequence[Tensors]) -> dict[str, Array]:
    """Joins single rows into a batch."""
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def split_rows(outputs: Tensors) -> list[Answer]:
    """Parts a batch into single rows."""
    rows = next(iter(outputs.values())).shape[0]
    return [{name: array[row] for name, array in outputs.items()} for row in range(rows)]


def same_bits(left: Answer, right: Answer) -> bool:
    """Whether all outputs agree bit for bit: 0 is not -0, and NaN is NaN when its bits agree."""
    return all(left[name].tobytes() == right[name].tobytes() for name in left)


def difference(left: Answer, right: Answer) -> float:
    """The greatest absolute difference; infinite where one is finite and the other is not."""
    return max((_difference(left[name], right[name]) for name in left), default=0.0)


def _difference(left: Array, right: Array) -> float:
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        one, other = left.astype(np.float64), right.astype(np.float64)
    finite = np.isfinite(one) & np.isfinite(other)
    alike = finite | ((one == other) | (np.isnan(one) & np.isnan(other)))
    if not alike.all():
        return np.inf
    return float(np.abs(one[finite] - other[finite]).max(initial=0.0))


def answers_digest(answers: Iterable[Answer]) -> str:
    """SHA-256 over the bits of answers in their order, in hexadecimal."""
    digest = hashlib.sha256()
    for answer in answers:
        for name in sorted(answer):
            digest.update(f"{name}\0{answer[name].dtype.str}\0{answer[name].shape}\0".encode())
            digest.update(np.ascontiguousarray(answer[name]).tobytes())
    return digest.hexdigest()
