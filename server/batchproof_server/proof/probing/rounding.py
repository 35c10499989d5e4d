"""What rounding explains of a difference between answers to the same rows, and what it does not.

Engines add up in another order for another row count, and a sum of floating numbers depends on its
order. How far it moves grows with the magnitude of what is added and, slowly, with the depth of the
model. So a difference is judged as a share of a scale: the greatest number in the answers to this
row and to all rows that are no larger. An answer of its own may be small by accident, where what
was added up to make it was not.

Good models that compute in float32 differ by up to 60 units of its last place, 2**-23 of the scale.
The bound is 1024 units, 1.2e-4 of the scale, which leaves room for models that are much deeper than
those that were measured; ``docs/proof.md`` lists them. Models that compute in float16 or bfloat16
differ by up to 3.8e-3; their bound is 16 units of the last place of bfloat16, an eighth.

A rounding may also carry a number across a line: a pixel of a map gets another class, or two boxes
change places. Such jumps are rare, and each row has them elsewhere. They are excused in at most one
of a hundred numbers of an answer, and never where the same number jumps in most rows. Integers and
truths have no last bits: each difference between two of them is a jump.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array, Tensors
from batchproof_server.proof.probing.answers import Answer

_FINE: Final = 1024 * 2.0**-23
_COARSE: Final = 16 * 2.0**-7
_RARE: Final = 0.01
_MOST: Final = 0.5


@dataclass(frozen=True, slots=True)
class Excess:
    """A difference that rounding does not explain.

    Attributes:
        output: its name.
        row: the number of the row.
        difference: the greatest absolute one; infinite where one is finite and the other is not.
        explained: what rounding would explain.
        share: of the numbers of the answer, those that differ by more than that.
    """

    output: str
    row: int
    difference: float
    explained: float
    share: float

    @property
    def times(self) -> float:
        """How many times the bound the difference is."""
        return self.difference / self.explained if self.explained else math.inf


def worst_excess(
    left: Sequence[Answer], right: Sequence[Answer], sizes: Sequence[float], *, coarse: bool
) -> Excess | None:
    """The difference that is most times its bound; None where rounding explains all of them.

    Args:
        left: answers to rows of ordinary content, the only ones whose scale says something.
        right: other answers to the same rows.
        sizes: the greatest magnitude in each row.
        coarse: the model computes in float16 or bfloat16.
    """
    found = [
        excess
        for output in (left[0] if left else ())
        for excess in _excesses(
            output,
            [each[output] for each in left],
            [each[output] for each in right],
            _explained([each[output] for each in left], sizes, coarse=coarse),
        )
    ]
    return max(found, key=lambda each: each.times, default=None)


def as_far_as_rounded(
    known: Sequence[Array], other: Sequence[Array], sizes: Sequence[float], *, coarse: bool
) -> list[Array]:
    """The other answers of one output, with every number that rounding explains as it is known.

    Args:
        known: answers to rows of ordinary content.
        other: answers to the same rows.
        sizes: the greatest magnitude in each row.
        coarse: the model computes in float16 or bfloat16.
    """
    explained = _explained(known, sizes, coarse=coarse) if known else ()
    return [
        np.where(_distances(one, another) > bound, another, one)
        for one, another, bound in zip(known, other, explained, strict=True)
    ]


def _excesses(
    output: str, left: Sequence[Array], right: Sequence[Array], explained: Sequence[float]
) -> Iterator[Excess]:
    """For each row with differences beyond the bound, unless all are rare jumps."""
    found: list[Excess] = []
    rows_by_number = np.zeros(left[0].shape, np.int64)
    for row, bound in enumerate(explained):
        distances = _distances(left[row], right[row])
        beyond = distances > bound
        rows_by_number += beyond
        if beyond.any():
            share = float(beyond.mean())
            found.append(Excess(output, row, float(distances.max()), bound, share))
    steady = rows_by_number.max(initial=0) > _MOST * len(left)
    yield from (excess for excess in found if steady or excess.share > _RARE)


def _explained(answers: Sequence[Array], sizes: Sequence[float], *, coarse: bool) -> list[float]:
    """The greatest difference that rounding explains, for each row."""
    dtype = answers[0].dtype
    if dtype.kind != "f":
        return [0.0] * len(answers)
    bound = _COARSE if coarse or dtype.itemsize < np.dtype(np.float32).itemsize else _FINE
    scales = [_magnitude(answer) for answer in answers]
    return [
        bound * max(scale for scale, other in zip(scales, sizes, strict=True) if other <= size)
        for size in sizes
    ]


def _magnitude(array: Array) -> float:
    return float(np.abs(array[np.isfinite(array)].astype(np.float64)).max(initial=0.0))


def row_size(row: Tensors) -> float:
    """The greatest magnitude in a row, and 1 for all rows of smaller numbers."""
    return max(1.0, *(_magnitude(array) for array in row.values()))


def _distances(left: Array, right: Array) -> Array:
    """Absolute differences, number by number; infinite where only one is finite."""
    one, other = left.astype(np.float64), right.astype(np.float64)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        apart = np.abs(one - other)
    return np.where(same, 0.0, np.where(np.isfinite(apart), apart, np.inf))
