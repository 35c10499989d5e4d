"""The signals of what rows were made of, many rows at a time."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from batchproof_server.base.input_statistics import InputStatistics
from batchproof_server.base.signature import Array

PICTURE_SIGNALS: Final = ("brightness", "contrast", "sharpness")

_UNIT: Final = 255.0
_LEAST_SIDE_PIXELS: Final = 3
_MAX_PIXELS_AT_ONCE: Final = 1 << 15  # they stay in the processor's cache


def input_values(inputs: Sequence[InputStatistics]) -> dict[str, Array]:
    """The signals of the rows of one or more requests, by name: float64 [rows].

    The three of ``picture_properties``, ``aspect_ratio`` and ``tensor_mean``; NaN where a row came
    as a tensor.
    """
    lumas = [luma for each in inputs for luma in each.lumas]
    places = [place for place, luma in enumerate(lumas) if luma is not None]
    properties = np.full((len(lumas), len(PICTURE_SIGNALS)), np.nan)
    properties[places] = picture_properties([luma for luma in lumas if luma is not None])
    return {
        **dict(zip(PICTURE_SIGNALS, properties.T, strict=True)),
        "aspect_ratio": np.concatenate([each.aspect_ratios for each in inputs]),
        "tensor_mean": np.concatenate([each.tensor_means for each in inputs]),
    }


def picture_properties(lumas: Sequence[Array]) -> Array:
    """The three properties of each picture: float64 [pictures, 3].

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
    properties = np.zeros((len(lumas), len(PICTURE_SIGNALS)))
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for place, luma in enumerate(lumas):
        by_shape.setdefault(luma.shape, []).append(place)
    for (height, width), places in by_shape.items():
        size = max(1, _MAX_PIXELS_AT_ONCE // (height * width))
        for start in range(0, len(places), size):
            chosen = places[start : start + size]
            levels = np.stack([lumas[place] for place in chosen]).astype(np.int16)
            properties[chosen] = _properties(levels.reshape(len(chosen), -1), height, width)
    return properties


def _properties(levels: Array, height: int, width: int) -> Array:
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
