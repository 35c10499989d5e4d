"""Where the model looks: the picture with one part after the other covered.

As section 4.2 of Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV
2014.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array

PLACES: Final = 8
"""Covers along each axis; they overlap."""
_COVER_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class OcclusionMap:
    """What covering one part of the model's view does.

    Attributes:
        seen: the model's view, PNG.
        left: the probability of the plain class with the part covered, float64 [places, places],
            from the top and from the left.
        kept: whether the class stays, bool of the same shape.
    """

    seen: bytes
    left: Array
    kept: Array

    @property
    def most(self) -> tuple[int, int]:
        """Where covering costs most: the place from the top and from the left."""
        top, left = divmod(int(self.left.argmin()), self.left.shape[1])
        return top, left


def covered_rows(row: Array) -> Array:
    """A row with each of its parts covered by its own mean colour.

    Args:
        row: [height, width (, channels)].

    Returns:
        Of the same dtype, [places x places, height, width (, channels)], line by line.
    """
    colour = row.mean(axis=(0, 1), dtype=np.float64).astype(row.dtype)
    rows = np.repeat(row[np.newaxis], PLACES * PLACES, axis=0)
    spans = [(down, right) for down in _spans(row.shape[0]) for right in _spans(row.shape[1])]
    for each, (down, right) in zip(rows, spans, strict=True):
        each[down, right] = colour
    return rows


def _spans(side: int) -> Iterator[slice]:
    """Covers from one edge to the other."""
    cover = max(1, round(side * _COVER_SHARE))
    for place in range(PLACES):
        start = round((side - cover) * place / (PLACES - 1))
        yield slice(start, start + cover)
