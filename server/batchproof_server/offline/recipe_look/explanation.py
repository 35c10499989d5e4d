"""The user's array in the form of a row, and what explains how it differs. Pure values."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array

_BATCHED_AXES: Final = 4


@dataclass(frozen=True, slots=True)
class Distance:
    """How far two arrays are from each other.

    Attributes:
        greatest: absolute.
        root_mean_square: of the differences.
    """

    greatest: float
    root_mean_square: float


def distance(one: Array, other: Array) -> Distance:
    """Of two arrays of one shape."""
    differences = one.astype(np.float64) - other.astype(np.float64)
    return Distance(
        float(np.abs(differences).max()), float(np.sqrt(np.mean(differences * differences)))
    )


@dataclass(frozen=True, slots=True)
class OtherArray:
    """The user's array in the form of a row.

    Attributes:
        row: float64 [height, width, channels].
        rounding: the greatest difference that its own dtype may make.
        forms: how its form differed, in words.
    """

    row: Array
    rounding: float
    forms: tuple[str, ...]


def other_array(mine: Array, shape: tuple[int, ...], *, channels_first: bool) -> OtherArray:
    """Brings an array to the form of the row.

    Args:
        mine: whole or floating numbers.
        shape: of the row, [height, width, channels].
        channels_first: whether the model wants them first, so that it is no difference.

    Raises:
        ValueError: it holds something else, or has no such shape.
    """
    if mine.dtype.kind not in "uif" or not mine.size or not np.isfinite(mine).all():
        raise ValueError(f"it is {mine.dtype.name} {list(mine.shape)}, expected finite numbers")
    forms: list[str] = []
    row = mine
    if row.ndim == _BATCHED_AXES and len(row) == 1:
        row, forms = row[0], [*forms, "an axis of rows, of one row"]
    if row.shape != shape and row.ndim == len(shape) - 1 and shape[-1] == 1:
        row = row[..., np.newaxis]
    if row.ndim == len(shape) and row.shape == (shape[-1], *shape[:-1]):
        row, forms = (
            row.transpose(1, 2, 0),
            [*forms, *([] if channels_first else ["channels first"])],
        )
    if row.shape != shape:
        came = f"{mine.dtype.name} {list(mine.shape)}"
        raise ValueError(f"it is {came}, expected {list(shape)}, or with an axis of one row before")
    is_float = mine.dtype.kind == "f"
    precision = float(np.finfo(mine.dtype).eps) if is_float else 0.0
    row = row.astype(np.float64)
    return OtherArray(row, 8 * max(precision, 1.2e-7) * float(np.abs(row).max()), tuple(forms))


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the other program did otherwise.

    Attributes:
        before: how far its array is from the model's row.
        after: how far from what the explanation comes to.
        rounding: a difference that says nothing.
        differences: what the other program did, and what the manifest says, in words.
        forms: how the form of its array differed.
    """

    before: Distance
    after: Distance
    rounding: float
    differences: tuple[tuple[str, str], ...]
    forms: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Whether the arrays are the same but for rounding before anything is explained."""
        return self.before.greatest <= self.rounding

    @property
    def is_whole(self) -> bool:
        """Whether nothing but rounding is left."""
        return self.after.greatest <= self.rounding

    @property
    def explained(self) -> float:
        """The share of the squared difference that is explained."""
        if self.before.root_mean_square == 0:
            return 1.0
        left = self.after.root_mean_square / self.before.root_mean_square
        return max(0.0, 1 - left * left)
