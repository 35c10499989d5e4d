"""What is made of one picture: its input rows, and what to remember of it."""

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from batchproof_server.base.input_statistics import InputStatistics, SeenPixels
from batchproof_server.base.signature import Array, tensor_mean
from batchproof_server.base.unguarded import unguarded
from batchproof_server.imaging.eight_bits import image_of_8_bits
from batchproof_server.imaging.geometry import Picture, Region, as_array, picture_size
from batchproof_server.imaging.header import ImageHeader
from batchproof_server.imaging.pixels import luma_image
from batchproof_server.imaging.recipe import Recipe

_MAX_SAMPLED_PIXELS: Final = 1024
_MAX_SIDE_PIXELS: Final = 128
_MIDDLE_PIXELS: Final = 64
_GRID_PIXELS: Final = 8  # of the blocks of JPEG
_COLOURED_PIXELS: Final = 32
_COLOURS: Final = 3


class PictureStatistics(NamedTuple):
    """What is remembered of one picture.

    Attributes:
        pixels: some of its pixels.
        aspect_ratio: width divided by height.
        tensor_mean: of its row; NaN where only views of it were made, whose mean says nothing.
    """

    pixels: SeenPixels
    aspect_ratio: float
    tensor_mean: float


@unguarded(eq=False)
class DecodedImage:
    """One picture as the model gets it.

    Attributes:
        row: of the input's dtype and row shape.
        seen: on the way.
    """

    row: Array
    seen: PictureStatistics


@unguarded(eq=False)
class PictureRows:
    """The rows of one picture.

    Attributes:
        rows: of its views [views, *row shape].
        seen: of it, if that is wanted.
        kept: where the picture is kept; None where it is not.
    """

    rows: Array
    seen: PictureStatistics | None
    kept: int | None = None


# Makes the rows of a picture's views.
Expand: TypeAlias = Callable[[Picture], Array]
Keep: TypeAlias = Callable[[Picture], int | None]


@unguarded(eq=False)
class RowsOfPictures:
    """Makes the rows of pictures, each of the same views.

    Attributes:
        recipe: of the model.
        expand: makes the rows of a picture; None makes the recipe's own.
        plain: the number of the row that is the recipe's own; None without one.
        is_watched: whether it is remembered what the picture is like.
        keep: keeps the picture for other views; None does not.
    """

    recipe: Recipe
    expand: Expand | None
    plain: int | None
    is_watched: bool
    keep: Keep | None = None

    def make(
        self, encoded: bytes, header: ImageHeader | None = None, out: Array | None = None
    ) -> PictureRows:
        """Decodes a picture and makes its rows.

        Args:
            encoded: the file.
            header: as ``Recipe.header`` gave it; read when it is left out.
            out: of one row, see ``Recipe.row``; the recipe's own row is made there if it fits.

        Raises:
            InvalidInput: the picture or a view of it is refused.
        """
        picture = self.recipe.picture(encoded, header)
        expand = self.expand
        rows = self.recipe.row(picture, out)[np.newaxis] if expand is None else expand(picture)
        row = None if self.plain is None else rows[self.plain]
        seen = picture_statistics(picture, row) if self.is_watched else None
        return PictureRows(rows, seen, None if self.keep is None else self.keep(picture))


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
    size = picture_size(picture)
    is_small = max(size.width, size.height) <= _MIDDLE_PIXELS  # so its luma is not reduced
    middle = luma if is_small else middle_luma(picture)
    pixels = SeenPixels(luma, middle, spread_colours(picture))
    return PictureStatistics(pixels, aspect_ratio, math.nan if row is None else tensor_mean(row))


def input_statistics(seen: Sequence[PictureStatistics]) -> InputStatistics:
    """What was seen of the pictures of some rows, one or more, as observers get it."""
    pixels, aspect_ratios, tensor_means = zip(*seen, strict=True)
    return InputStatistics(pixels, np.array(aspect_ratios), np.array(tensor_means))


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
    return _levels(reduced), aspect_ratio


def middle_luma(picture: Picture) -> Array:
    """The luma of the middle of a decoded, upright picture, at its own size.

    It begins at a multiple of 8 pixels from the upper left corner, as the blocks of a JPEG do.

    Returns:
        uint8 [height, width], up to 64 pixels a side.
    """
    size = picture_size(picture)
    width, height = min(size.width, _MIDDLE_PIXELS), min(size.height, _MIDDLE_PIXELS)
    left, top = ((size.width - width) // 2, (size.height - height) // 2)
    region = Region(left - left % _GRID_PIXELS, top - top % _GRID_PIXELS, width, height)
    if isinstance(picture, Image.Image):  # said twice, for the types: a form keeps its form
        return _levels(_luma(region.of(picture)))
    return _levels(_luma(region.of(picture)))


def spread_colours(picture: Picture) -> Array | None:
    """The colours of up to 32 x 32 pixels of a decoded picture, evenly spread.

    Returns:
        uint8 [pixels, 3]; None where the picture has one channel.
    """
    if isinstance(picture, Image.Image):
        if picture.mode != "RGB":
            return None
        size = (min(picture.width, _COLOURED_PIXELS), min(picture.height, _COLOURED_PIXELS))
        chosen = picture.resize(size, Image.Resampling.NEAREST)
        return np.frombuffer(chosen.tobytes(), np.uint8).reshape(-1, _COLOURS)
    pixels = as_array(picture)
    if pixels.shape[2] != _COLOURS:
        return None
    rows, columns = map(_evenly, pixels.shape[:2])
    chosen_pixels = pixels[rows[:, np.newaxis], columns]
    return np.asarray(image_of_8_bits(chosen_pixels)).reshape(-1, _COLOURS)


def _evenly(side: int) -> Array:
    """The middles of up to 32 equal parts of a side, as Pillow finds the nearest pixel."""
    count = min(side, _COLOURED_PIXELS)
    places: Array = (2 * np.arange(count) + 1) * side // (2 * count)
    return places


def _levels(image: Image.Image) -> Array:
    # Twice as quick as np.asarray, which asks Pillow for more.
    return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width)


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
