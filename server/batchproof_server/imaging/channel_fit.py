"""Which scaling of each channel makes one array of another. Pure values."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.imaging.normalize import NormalizeSettings

_WHITE: Final = 255.0
_NO_SLOPE: Final = 1e-12
_AXES: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class ChannelFit:
    """An array as levels times a slope plus an offset, channel by channel.

    Attributes:
        residual_ratio: the share of the array's variance that is left. Of an array without any it
            is 1, or 0 where the levels have none either.
        slope: float64 [channels]; 0 where the levels have no variance.
        offset: float64 [channels].
        level: the mean of the levels, float64 [channels].
        varies: whether the levels have variance, bool [channels]; where they have none, nothing is
            known of other levels than that one.
    """

    residual_ratio: float
    slope: Array
    offset: Array
    level: Array
    varies: Array

    @property
    def black(self) -> Array:
        """What level 0 becomes, [channels]."""
        return self.offset

    @property
    def white(self) -> Array:
        """What level 255 becomes, [channels]."""
        white: Array = self.offset + _WHITE * self.slope
        return white

    @property
    def mean_and_std(self) -> NormalizeSettings | None:
        """The scaling as a recipe writes it; None where a channel keeps nothing of its levels."""
        if (np.abs(self.slope) < _NO_SLOPE).any():
            return None
        return NormalizeSettings(
            mean=tuple((-self.offset / self.slope).tolist()), std=tuple((1 / self.slope).tolist())
        )


def channel_fit(levels: Array, other: Array) -> ChannelFit:
    """Least squares of ``other = slope x levels + offset`` for each channel.

    What scalings do is linear in the levels, so geometry and colour show in what is left, whatever
    the scaling was.

    Args:
        levels: [height, width (, channels)].
        other: of the same shape.
    """
    given = _by_channel(levels), _by_channel(other)
    means = tuple(each.mean(axis=0) for each in given)
    x, y = (each - mean for each, mean in zip(given, means, strict=True))
    spread = (x * x).sum(axis=0)
    slope = np.divide((x * y).sum(axis=0), spread, out=np.zeros_like(spread), where=spread > 0)
    total = float((y * y).sum())
    left = float(((y - slope * x) ** 2).sum())
    ratio = left / total if total > 0 else float((spread > 0).any())
    return ChannelFit(ratio, slope, means[1] - slope * means[0], means[0], spread > 0)


def _by_channel(values: Array) -> Array:
    flat: Array = values.reshape(-1, values.shape[-1] if values.ndim == _AXES else 1)
    return flat.astype(np.float64)
