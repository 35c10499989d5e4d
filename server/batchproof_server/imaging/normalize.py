"""The ``[recipe.normalize]`` table, and its arithmetic in float32."""

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS

Levels: TypeAlias = npt.NDArray[np.float32]

# Beyond what any filter makes of the levels 0..255, and the greatest level of 16 bits.
_EXTREME_LEVELS = (-1024.0, 0.0, 255.0, 131072.0)


@dataclass(frozen=True, slots=True)
class NormalizeSettings:
    """Float32 steps in this order, those that are given.

    ``y = (x / divisor * scale + offset - mean) / std``. Every step rounds to float32 once, and a
    step that is not given is not performed. ``x / 255`` and ``x * (1 / 255)`` differ in the last
    bit; that is why ``divisor`` and ``scale`` both exist, and only one of them may be given.

    Attributes:
        divisor: divides every value.
        scale: multiplies every value.
        offset: is added to every value.
        mean: is subtracted, one value or one for each channel in the order of ``color``.
        std: divides, one value or one for each channel in the order of ``color``.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    divisor: float | None = None
    scale: float | None = None
    offset: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.divisor is not None and self.scale is not None:
            raise ValueError("divisor and scale exclude each other")
        for name in ("divisor", "scale", "offset"):
            _check(name, getattr(self, name))
        for name in ("mean", "std"):
            self._check_channels(name, getattr(self, name))
        self._check_extremes()

    def _check_extremes(self) -> None:
        with np.errstate(all="ignore"):
            extremes = normalize_in_place(
                np.array([[[level] * 3] for level in _EXTREME_LEVELS], np.float32), self
            )
        if not np.isfinite(extremes).all():
            raise ValueError("normalize gives values that float32 cannot hold")

    def _check_channels(self, name: str, values: tuple[float, ...] | None) -> None:
        if values is None:
            return
        if len(values) not in (1, 3):
            raise ValueError(f"{name} has {len(values)} values, expected 1 or 3")
        for value in values:
            _check(name, value)

    def with_floats(self) -> "NormalizeSettings":
        """The same with every number a float, so that 1 and 1.0 give one digest."""
        return NormalizeSettings(
            divisor=_float(self.divisor),
            scale=_float(self.scale),
            offset=_float(self.offset),
            mean=_floats(self.mean),
            std=_floats(self.std),
        )

    @property
    def changes_nothing(self) -> bool:
        """Whether no step is given."""
        return self == NormalizeSettings()


def normalize_in_place(levels: Levels, settings: NormalizeSettings) -> Levels:
    """Applies the steps to ``levels`` [height, width, channels] in place, and returns them."""
    lines = levels.reshape(levels.shape[0], -1)
    if settings.divisor is not None:
        lines /= np.float32(settings.divisor)
    if settings.scale is not None:
        lines *= np.float32(settings.scale)
    if settings.offset is not None:
        lines += np.float32(settings.offset)
    if settings.mean is not None:
        lines -= _along(lines, settings.mean)
    if settings.std is not None:
        lines /= _along(lines, settings.std)
    return levels


def _along(lines: Levels, values: tuple[float, ...]) -> Levels:
    """The values over and over: one long inner loop is ten times faster than loops of three."""
    return np.resize(np.array(values, np.float32), lines.shape[1])


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _floats(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(float(value) for value in values)


def _check(name: str, value: float | None) -> None:
    if value is None:
        return
    if not isfinite(value):
        raise ValueError(f"{name} is {value}, expected a finite number")
    if value == 0 and name in ("divisor", "scale", "std"):
        raise ValueError(f"{name} is 0, expected another number")
