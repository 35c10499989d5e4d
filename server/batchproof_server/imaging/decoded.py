"""What a decode thread makes of one picture: its input row, and what to remember of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from batchproof_server.base.input_statistics import InputStatistics
from batchproof_server.base.signature import Array, tensor_mean
from batchproof_server.imaging.geometry import Picture, as_array
from batchproof_server.imaging.pixels import luma_image
from batchproof_server.imaging.recipe import Recipe

_MAX_SAMPLED_PIXELS: Final = 1024
_MAX_SIDE_PIXELS: Final = 128


class PictureStatistics(NamedTuple):
    """What is remembered of one picture.

    Attributes:
        luma: uint8 [height, width], see ``reduce_luma``.
        aspect_ratio: width divided by height.
        tensor_mean: of its row; NaN where only views of it were made, whose mean says nothing.
    """

    luma: Array
    aspect_ratio: float
    tensor_mean: float


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """One picture as the model gets it.

    Attributes:
        row: of the input's dtype and row shape.
        seen: on the way.
    """

    row: Array
    seen: PictureStatistics


def decode_image(recipe: Recipe, encoded: bytes) -> DecodedImage:
    """Decodes a picture, and looks at it before it is resized.

    Raises:
        InvalidInput: see ``Recipe.apply``, whose row this is.
    """
    picture = recipe.picture(encoded)
    row = recipe.row(picture)
    return DecodedImage(row, picture_statistics(picture, row))


def picture_statistics(picture: Picture, row: Array | None) -> PictureStatistics:
    """What is remembered of a decoded, upright picture and of its row, if that was made."""
    luma, aspect_ratio = reduce_luma(picture)
    return PictureStatistics(luma, aspect_ratio, math.nan if row is None else tensor_mean(row))


def input_statistics(seen: Sequence[PictureStatistics]) -> InputStatistics:
    """What was seen of the pictures of some rows, one or more, as observers get it."""
    lumas, aspect_ratios, tensor_means = zip(*seen, strict=True)
    return InputStatistics(lumas, np.array(aspect_ratios), np.array(tensor_means))


def reduce_luma(picture: Picture) -> tuple[Array, float]:
    """The luma of a decoded, upright picture, and the aspect ratio of the whole.

    The luma is ITU-R BT.601 in 8 bits: what Pillow calls ``L``. A picture whose longer side has
    more than 1024 pixels is first reduced to one pixel of each k x k, then one whose longer side
    has more than 128 pixels to the means of f x f pixels, with the least whole k and f that do; so
    the cost has a bound.

    Returns:
        uint8 [height, width], up to 128 pixels a side; and width divided by height.
    """
    sampled, aspect_ratio = _sampled(picture)
    image = _luma(sampled)
    factor = math.ceil(max(image.size) / _MAX_SIDE_PIXELS)
    reduced = image if factor == 1 else image.reduce(factor)
    # Twice as quick as np.asarray, which asks Pillow for more.
    luma = np.frombuffer(reduced.tobytes(), np.uint8).reshape(reduced.height, reduced.width)
    return luma, aspect_ratio


def _luma(picture: Picture) -> Image.Image:
    if isinstance(picture, Image.Image) and picture.mode in ("L", "RGB"):
        return picture if picture.mode == "L" else picture.convert("L")
    return luma_image(as_array(picture))


def _sampled(picture: Picture) -> tuple[Picture, float]:
    """One pixel of each k x k, and the aspect ratio of the whole."""
    if not isinstance(picture, Image.Image):
        height, width = picture.shape[:2]
        step = math.ceil(max(width, height) / _MAX_SAMPLED_PIXELS)
        return picture[::step, ::step], width / height
    width, height = picture.size
    step = math.ceil(max(width, height) / _MAX_SAMPLED_PIXELS)
    if step == 1:
        return picture, width / height
    size = (math.ceil(width / step), math.ceil(height / step))
    return picture.resize(size, Image.Resampling.NEAREST), width / height
