"""The usual ways from levels to the values of a tensor."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.imaging.mistakes import name_in
from batchproof_server.imaging.normalize import NormalizeSettings, normalize_in_place
from batchproof_server.imaging.scalings import UsualScaling, known_scalings, scaling_ends
from batchproof_server.imaging.settings import RecipePlan

_AXES: Final = 3


@dataclass(frozen=True, slots=True)
class ScalingMistake:
    """Another way from levels to the values of the tensor.

    Attributes:
        cause: such as ``scaling:unit``; empty for the declared recipe.
        title: in words.
        normalize: the arithmetic.
        change: done to the tensor afterwards.
    """

    cause: str
    title: str
    normalize: NormalizeSettings
    change: Callable[[Array], Array] | None = None

    def row(self, levels: Array) -> Array:
        """The tensor of levels, float32."""
        row = np.array(levels, np.float32)
        if row.size:
            normalize_in_place(row if row.ndim == _AXES else row[..., np.newaxis], self.normalize)
        return row if self.change is None else self.change(row)


_UNIT: Final = NormalizeSettings(divisor=255.0)
TOLD_APART: Final = 0.02
"""Of the span of a scaling: black and white that are no farther away are taken for its own."""


def usual_scalings(plan: RecipePlan) -> Iterator[ScalingMistake]:
    """The declared one first, then what is usually done instead, as far as it can be told apart."""
    declared = plan.normalize or NormalizeSettings()
    yield ScalingMistake("", "as declared", declared)
    if plan.dtype == "uint8":
        return
    seen = [scaling_ends(declared, plan.channels)]
    for scaling in (*known_scalings(plan), *_without_statistics(declared)):
        normalize = scaling.normalize or NormalizeSettings()
        ends = scaling_ends(normalize, plan.channels)
        if all(_apart(ends, each) > TOLD_APART for each in seen):
            seen.append(ends)
            title = f"{scaling.name} instead of {name_in('scaling', plan)}"
            yield ScalingMistake(f"scaling:{scaling.key}", title, normalize)
    black, white = seen[0]
    yield ScalingMistake(
        "scaling:inverted", "black and white exchanged", declared, _Mirror(black + white)
    )
    yield ScalingMistake(
        "scaling:per_image", "each picture brought to mean 0 and deviation 1", _UNIT, _standardised
    )


def _without_statistics(declared: NormalizeSettings) -> Iterator[UsualScaling]:
    if declared.mean or declared.std:
        rest = replace(declared, mean=None, std=None)
        yield UsualScaling("no_statistics", "no mean and std", rest)


def _apart(one: tuple[Array, Array], other: tuple[Array, Array]) -> float:
    """In parts of the span of the other."""
    black, white = (np.abs(a - b).max() for a, b in zip(one, other, strict=True))
    return float(max(black, white)) / max(float(np.abs(other[1] - other[0]).max()), 1e-12)


@dataclass(frozen=True, slots=True, eq=False)
class _Mirror:
    """Black becomes white and white black."""

    total: Array

    def __call__(self, row: Array) -> Array:
        mirrored: Array = (self.total - row.astype(np.float64)).astype(np.float32)
        return mirrored


def _standardised(row: Array) -> Array:
    """As ``tf.image.per_image_standardization``: the deviation is at least 1 / sqrt(values)."""
    exact = row.astype(np.float64)
    deviation = max(float(exact.std()), exact.size**-0.5)
    result: Array = ((exact - exact.mean()) / deviation).astype(np.float32)
    return result
