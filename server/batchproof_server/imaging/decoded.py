"""What a decode thread makes of one picture: its input row, and the properties of both."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from batchproof_server.imaging.eight_bits import image_of_8_bits
from batchproof_server.imaging.plugs import Picture
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.signature import Array

_MAX_SAMPLED_PIXELS: Final = 1024
_MAX_SIDE_PIXELS: Final = 128
_MAX_8_BITS: Final = 255
_LEAST_SIDE_PIXELS: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """One picture as the model gets it, and what was seen on the way.

    Attributes:
        row: of the input's dtype and row shape.
        properties: brightness, contrast, sharpness and aspect ratio of the picture, and the mean of
            the row: the order of ``telemetry.INPUT_SIGNALS``.
    """

    row: Array
    properties: tuple[float, ...]


def decoded_image(recipe: Recipe, encoded: bytes) -> DecodedImage:
    """Decodes a picture, and looks at it before it is resized.

    Raises:
        InvalidInput: see ``Recipe.apply``, whose row this is.
    """
    picture = recipe.picture(encoded)
    row = recipe.row(picture)
    return DecodedImage(row, input_signals(picture, row))


def input_signals(picture: Picture, row: Array | None) -> tuple[float, ...]:
    """The ``telemetry.INPUT_SIGNALS`` of a decoded, upright picture and of its row.

    Args:
        picture: not resized.
        row: of the picture itself; None where only views of it were made, whose mean says nothing.
    """
    return *picture_properties(picture), math.nan if row is None else tensor_mean(row)


def tensor_mean(row: Array) -> float:
    """The mean of all elements, in float64."""
    return float(row.mean(dtype=np.float64))


def picture_properties(picture: Picture) -> tuple[float, float, float, float]:
    """Brightness, contrast, sharpness and aspect ratio of a decoded, upright picture.

    All but the last are of the luma (ITU-R BT.601, in 8 bits: what Pillow calls ``L``) divided by
    255. A picture whose longer side has more than 1024 pixels is first reduced to one pixel of each
    k x k, then one whose longer side has more than 128 pixels to the means of f x f pixels, with
    the least whole k and f that do; so the cost has a bound.

    - brightness: the mean, 0 to 1;
    - contrast: the standard deviation, 0 to 0.5;
    - sharpness: the variance of the Laplacian ``4 c - up - down - left - right`` over the pixels
      that have four neighbours; 0 where there are none (Pech-Pacheco et al. 2000, "Diatom
      autofocusing in brightfield microscopy");
    - aspect ratio: width divided by height, of the whole picture.
    """
    luma, aspect_ratio = _luma(picture)
    width, height = luma.size
    levels = np.asarray(luma).astype(np.float64).ravel()
    mean, variance = _moments(levels)
    sharpness = _sharpness(levels, width) if min(width, height) >= _LEAST_SIDE_PIXELS else 0.0
    unit = _MAX_8_BITS
    return mean / unit, math.sqrt(variance) / unit, sharpness / unit**2, aspect_ratio


def _moments(numbers: Array) -> tuple[float, float]:
    """Mean and variance of whole numbers: the same bits in whatever order a machine adds them.

    The sums stay below 2^53, where a float64 holds every whole number.
    """
    count = numbers.size
    total, squares = float(numbers.sum()), float(np.square(numbers).sum())
    return total / count, max(0.0, count * squares - total * total) / count**2


def _sharpness(levels: Array, width: int) -> float:
    """The variance of the Laplacian of rows that lie one after the other."""
    laplacian = 4 * levels[width:-width]
    laplacian -= levels[: -2 * width]
    laplacian -= levels[2 * width :]
    laplacian -= levels[width - 1 : -width - 1]
    laplacian -= levels[width + 1 : levels.size - width + 1]
    # At both ends of a row the neighbour is of another row.
    return _moments(laplacian.reshape(-1, width)[:, 1:-1].ravel())[1]


def _luma(picture: Picture) -> tuple[Image.Image, float]:
    """The reduced luma, and the aspect ratio of the whole."""
    image, aspect_ratio = _sampled(picture)
    if image.mode not in ("L", "RGB"):  # 16 bits a pixel
        image = image_of_8_bits(np.asarray(image))
    if image.mode == "RGB":
        image = image.convert("L")
    factor = math.ceil(max(image.size) / _MAX_SIDE_PIXELS)
    return image if factor == 1 else image.reduce(factor), aspect_ratio


def _sampled(picture: Picture) -> tuple[Image.Image, float]:
    """One pixel of each k x k, and the aspect ratio of the whole."""
    if not isinstance(picture, Image.Image):
        height, width = picture.shape[:2]
        step = math.ceil(max(width, height) / _MAX_SAMPLED_PIXELS)
        return image_of_8_bits(picture[::step, ::step]), width / height
    width, height = picture.size
    step = math.ceil(max(width, height) / _MAX_SAMPLED_PIXELS)
    if step == 1:
        return picture, width / height
    size = (math.ceil(width / step), math.ceil(height / step))
    return picture.resize(size, Image.Resampling.NEAREST), width / height
