"""Which pixels each pixel of a resized picture is made of, and with which weights, as in Pillow."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from batchproof_server.base.signature import Array
from batchproof_server.imaging.passes import FRACTION_BITS
from batchproof_server.imaging.resize import ResizeMethod

_Doubles: TypeAlias = npt.NDArray[np.float64]

# Weights that are worked out at the same time, so that a long side takes no memory to speak of.
_TOGETHER: Final = 1 << 14


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """One axis of a filter.

    Attributes:
        first: int32 [made], the first pixel that each takes.
        counts: int32 [made], how many it takes.
        weights: int32 [made, most pixels], with ``FRACTION_BITS`` after the point; 0 beyond.
    """

    first: Array
    counts: Array
    weights: Array

    @property
    def begin(self) -> int:
        """The first pixel that is taken at all."""
        return int(self.first[0])

    @property
    def end(self) -> int:
        """Behind the last pixel that is taken at all."""
        return int(self.first[-1] + self.counts[-1])


def filter_taps(method: ResizeMethod, came: int, made: int, start: int, stop: int) -> Taps:
    """The taps of the pixels ``start`` to ``stop`` of an axis.

    The operations on doubles and their order are those of ``precompute_coeffs`` in Pillow's
    ``Resample.c``; sine and cosine are the C library's.

    Args:
        method: a filter of Pillow's, not ``nearest``.
        came: pixels of the axis before.
        made: pixels of the whole axis after.
        start: the first that is wanted.
        stop: behind the last that is wanted.
    """
    reach, weigh = _FILTERS[method]
    most = math.ceil(reach * max(came / made, 1.0)) * 2 + 1
    step = max(1, _TOGETHER // most)
    parts = [
        _some(reach, weigh, came, made, range(begin, min(begin + step, stop)))
        for begin in range(start, stop, step)
    ]
    return Taps(
        first=np.concatenate([part.first for part in parts]),
        counts=np.concatenate([part.counts for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
    )


def nearest_places(came: int, made: int) -> Array:
    """The pixel that each of ``made`` is a copy of: ``ImagingScaleAffine`` in ``Geometry.c``."""
    step = came / made
    steps = np.full(made, step)
    steps[0] = step * 0.5
    return np.cumsum(steps).astype(np.int64)


def _some(
    reach: float, weigh: Callable[[_Doubles], _Doubles], came: int, made: int, wanted: range
) -> Taps:
    scale = came / made
    stretch = max(scale, 1.0)
    support = reach * stretch
    center = (np.arange(wanted.start, wanted.stop) + 0.5) * scale
    first = np.maximum((center - support + 0.5).astype(np.int32), 0)
    counts = np.minimum((center + support + 0.5).astype(np.int32), came) - first
    taps = np.arange(math.ceil(support) * 2 + 1)
    distance = (taps + first[:, np.newaxis] - center[:, np.newaxis] + 0.5) * (1.0 / stretch)
    weights = weigh(distance)
    weights[taps >= counts[:, np.newaxis]] = 0.0
    # One after the other, from the left: np.sum adds in another order.
    total = np.cumsum(weights, axis=1)[:, -1:]
    weights /= np.where(total == 0.0, 1.0, total)
    fixed = weights * (1 << FRACTION_BITS) + np.where(weights < 0, -0.5, 0.5)
    return Taps(first, counts, fixed.astype(np.int32))


def _box(x: _Doubles) -> _Doubles:
    return np.where((x > -0.5) & (x <= 0.5), 1.0, 0.0)  # noqa: PLR2004 - half a pixel


def _bilinear(x: _Doubles) -> _Doubles:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _hamming(x: _Doubles) -> _Doubles:
    x = np.abs(x)
    wave = _sinc(x) * (_HAMMING_MEAN + _HAMMING_SWING * _cosine(x * math.pi))
    return np.where(x == 0.0, 1.0, np.where(x >= 1.0, 0.0, wave))


def _bicubic(x: _Doubles) -> _Doubles:
    x = np.abs(x)
    near = ((_SHARPNESS + 2.0) * x - (_SHARPNESS + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _SHARPNESS
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))  # noqa: PLR2004 - of the formula


def _lanczos(x: _Doubles) -> _Doubles:
    inside = (x >= -_LOBES) & (x < _LOBES)
    return np.where(inside, _sinc(x) * _sinc(x / _LOBES), 0.0)


def _sinc(x: _Doubles) -> _Doubles:
    turned = x * math.pi
    return np.divide(_sine(turned), turned, out=np.ones_like(x), where=x != 0.0)


def _sine(x: _Doubles) -> _Doubles:
    return _by_c_library(math.sin, x)


def _cosine(x: _Doubles) -> _Doubles:
    return _by_c_library(math.cos, x)


def _by_c_library(function: Callable[[float], float], x: _Doubles) -> _Doubles:
    """Numpy's own sine differs in last bits."""
    return np.fromiter(map(function, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


_SHARPNESS: Final = -0.5
_LOBES: Final = 3.0
# Floats of 32 bits in Pillow's source.
_HAMMING_MEAN: Final = float(np.float32(0.54))
_HAMMING_SWING: Final = float(np.float32(0.46))
_FILTERS: Final[dict[ResizeMethod, tuple[float, Callable[[_Doubles], _Doubles]]]] = {
    "box": (0.5, _box),
    "bilinear": (1.0, _bilinear),
    "hamming": (1.0, _hamming),
    "bicubic": (2.0, _bicubic),
    "lanczos": (3.0, _lanczos),
}
