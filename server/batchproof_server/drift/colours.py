"""The signals of a picture's colours: how much colour there is, and which the light has."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.drift.by_shape import measured

COLOUR_SIGNALS: Final = ("saturation", "warmth", "tint")


def colour_properties(colours: Sequence[Array]) -> Array:
    """The three properties of each picture: float64 [pictures, 3].

    Of the sums R, G and B of the channels over the pixels, and the sum of the highest and of the
    lowest channel of each pixel:

    - saturation: ``(highest - lowest) / highest``, 0 (grey) to 1: that of HSV (Smith 1978, "Color
      Gamut Transform Pairs"), where bright pixels weigh more, whose colour is seen;
    - warmth: ``(R - B) / (R + B)``, -1 (blue) to 1 (red): the tangens hyperbolicus of half of
      ``ln R / B``;
    - tint: ``(2 G - R - B) / (2 G + R + B)``, -1 (magenta) to 1 (green).

    None of them depends on the exposure. Another light multiplies each channel by a figure of its
    own (von Kries 1902), and so moves warmth or tint of every picture the same way. All are 0 of a
    black picture. The sums are whole numbers, so that every machine finds the same bits.

    Args:
        colours: uint8 [pixels, 3], one or more pixels, red first.
    """
    return measured(colours, len(COLOUR_SIGNALS), _properties)


def _properties(levels: Array) -> Array:
    red, green, blue = (levels[:, :, channel] for channel in range(3))
    highest = np.maximum(np.maximum(red, green), blue).sum(axis=1, dtype=np.int64)
    lowest = np.minimum(np.minimum(red, green), blue).sum(axis=1, dtype=np.int64)
    r, g, b = (each.sum(axis=1, dtype=np.int64) for each in (red, green, blue))
    return np.stack(
        [
            (highest - lowest) / np.maximum(highest, 1),
            (r - b) / np.maximum(r + b, 1),
            (2 * g - r - b) / np.maximum(2 * g + r + b, 1),
        ],
        axis=1,
    )
