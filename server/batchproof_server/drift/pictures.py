"""The signals of what rows were made of, many rows at a time."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from batchproof_server.base.input_statistics import InputStatistics, SeenPixels
from batchproof_server.base.signature import Array
from batchproof_server.drift.blocks import BLOCK_SIGNALS, blockiness
from batchproof_server.drift.by_shape import measured
from batchproof_server.drift.colours import COLOUR_SIGNALS, colour_properties

PICTURE_SIGNALS: Final = ("brightness", "contrast", "sharpness")

_UNIT: Final = 255.0
_LEAST_SIDE_PIXELS: Final = 3


def input_values(inputs: Sequence[InputStatistics]) -> dict[str, Array]:
    """The signals of the rows of one or more requests, by name: float64 [rows].

    The three of ``picture_properties``, ``blockiness``, the three of ``colour_properties``,
    ``aspect_ratio`` and ``tensor_mean``; NaN where a row came as a tensor, or has no colours.
    """
    return {
        **_pixel_values([each for some in inputs for each in some.pixels]),
        "aspect_ratio": np.concatenate([each.aspect_ratios for each in inputs]),
        "tensor_mean": np.concatenate([each.tensor_means for each in inputs]),
    }


def _pixel_values(pixels: Sequence[SeenPixels | None]) -> dict[str, Array]:
    there = [(place, each) for place, each in enumerate(pixels) if each is not None]
    coloured = [(place, each.colours) for place, each in there if each.colours is not None]
    places, rows = [place for place, _ in there], len(pixels)
    lumas = picture_properties([each.luma for _, each in there])
    blocks = blockiness([each.middle for _, each in there])
    colours = colour_properties([each for _, each in coloured])
    columns = [
        *_columns(lumas, places, rows),
        *_columns(blocks, places, rows),
        *_columns(colours, [place for place, _ in coloured], rows),
    ]
    return dict(zip((*PICTURE_SIGNALS, *BLOCK_SIGNALS, *COLOUR_SIGNALS), columns, strict=True))


def _columns(figures: Array, places: Sequence[int], rows: int) -> Array:
    """The figures of all rows, one after the other: [figures, rows], NaN for the other rows."""
    if len(places) == rows:
        return figures.T
    columns = np.full((figures.shape[1], rows), np.nan)
    columns[:, places] = figures.T
    return columns


def picture_properties(lumas: Sequence[Array]) -> Array:
    """The three properties of the luma of each picture: float64 [pictures, 3].

    Of the luma divided by 255:

    - brightness: the mean, 0 to 1;
    - contrast: the standard deviation, 0 to 0.5;
    - sharpness: the variance of the Laplacian ``4 c - up - down - left - right`` over the pixels
      that have four neighbours; 0 where there are none (Pech-Pacheco et al. 2000, "Diatom
      autofocusing in brightfield microscopy").

    A picture's figures do not depend on the others.

    Args:
        lumas: uint8 [height, width], up to 128 pixels a side, each of its own size.
    """
    return measured(lumas, len(PICTURE_SIGNALS), _properties)


def _properties(pictures: Array) -> Array:
    height, width = pictures.shape[1:]
    levels = pictures.reshape(len(pictures), -1)
    mean, variance = _moments(levels)
    sharpness = np.zeros(len(levels))
    if min(height, width) >= _LEAST_SIDE_PIXELS:
        sharpness = _moments(_laplacian(levels, width))[1]
    return np.stack([mean / _UNIT, np.sqrt(variance) / _UNIT, sharpness / _UNIT**2], axis=1)


def _laplacian(levels: Array, width: int) -> Array:
    """Of pictures whose rows lie one after the other: [pictures, inner pixels]."""
    laplacian = 4 * levels[:, width:-width]
    laplacian -= levels[:, : -2 * width]
    laplacian -= levels[:, 2 * width :]
    laplacian -= levels[:, width - 1 : -width - 1]
    laplacian -= levels[:, width + 1 : levels.shape[1] - width + 1]
    # At both ends of a row the neighbour is of another row.
    inner = laplacian.reshape(len(levels), -1, width)[:, :, 1:-1]
    return inner.reshape(len(levels), -1)


def _moments(numbers: Array) -> tuple[Array, Array]:
    """Mean and variance of whole numbers: the same bits in whatever order a machine adds them.

    The sums stay below 2^53, where a float64 holds every whole number.
    """
    count = numbers.shape[1]
    exact = numbers.astype(np.float64)
    total, squares = exact.sum(axis=1), np.einsum("ij,ij->i", exact, exact)
    return total / count, np.maximum(0.0, count * squares - total * total) / count**2
