"""A decoded picture: its forms, its size, and how each policy brings it to that of a row."""

from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from PIL import Image

from batchproof_server.base.signature import Array
from batchproof_server.imaging.resize import ResizePlan

# A decoded picture on its way, converted only where a step needs the other kind: an image of
# Pillow, or an array [height, width, channels].
Picture: TypeAlias = Image.Image | Array
_Form = TypeVar("_Form", Image.Image, Array)


def as_array(picture: Picture) -> Array:
    """The picture as [height, width, channels]; may be read-only."""
    pixels = np.asarray(picture)
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]  # noqa: PLR2004 - axes


def picture_bytes(picture: Picture) -> int:
    """What its pixels take in memory at most: Pillow holds up to 4 bytes a pixel."""
    if isinstance(picture, Image.Image):
        return picture.width * picture.height * _PILLOW_PIXEL_BYTES
    return picture.nbytes


_PILLOW_PIXEL_BYTES = 4


# 16 bits hold 257 times the levels of 8 bits, so that white stays white.
_LEVEL_RATIO = 257


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    def __str__(self) -> str:
        return f"{self.width} x {self.height}"


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    @staticmethod
    def whole(size: Size) -> "Region":
        """All of a picture."""
        return Region(0, 0, size.width, size.height)

    @property
    def x(self) -> tuple[int, int]:
        """The first column, and behind the last."""
        return self.left, self.left + self.width

    @property
    def y(self) -> tuple[int, int]:
        """The first line, and behind the last."""
        return self.top, self.top + self.height

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The first column and line, and those behind the last, as Pillow wants them."""
        return self.left, self.top, self.left + self.width, self.top + self.height

    @property
    def size(self) -> Size:
        """Its width and height."""
        return Size(self.width, self.height)

    def of(self, picture: _Form) -> _Form:
        """This part of it, in the form that it has; of an array a view where all of it is there.

        What lies beyond the picture is 0.
        """
        if picture_size(picture) == self.size:
            return picture
        left, top, right, bottom = self.box
        if isinstance(picture, Image.Image):
            return picture.crop(self.box)
        inside = picture[max(0, top) : bottom, max(0, left) : right]
        if picture_size(inside) == self.size:
            return inside
        came = picture_size(picture)
        lines = max(0, -top), max(0, bottom - came.height)
        columns = max(0, -left), max(0, right - came.width)
        return np.pad(inside, (lines, columns, (0, 0)))


def picture_size(picture: Picture) -> Size:
    """Its width and height."""
    if isinstance(picture, Image.Image):
        return Size(*picture.size)
    return Size(picture.shape[1], picture.shape[0])


@dataclass(frozen=True, slots=True)
class Framing:
    """How a picture of one size is brought to the size of a row: what a policy comes to.

    Attributes:
        read: what the filter reads of the picture; what lies beyond it is 0.
        made: the size that the filter makes of that.
        kept: which part of it is kept.
        row: the size of the row.
        left: where in the row that begins; what is beside it is filled.
        top: the same.
    """

    read: Region
    made: Size
    kept: Region
    row: Size
    left: int = 0
    top: int = 0

    def placed(self, pixels: Array, color: tuple[int, ...] | None) -> Array:
        """What was kept, [height, width, channels], filled up to the row.

        Args:
            pixels: what was kept.
            color: 0..255, one level or one for each channel; None for 0.
        """
        if self.kept.size == self.row:
            return pixels
        levels = np.array(color or (0,), pixels.dtype)
        if pixels.dtype == np.uint16:
            levels *= _LEVEL_RATIO
        canvas = np.empty((self.row.height, self.row.width, pixels.shape[2]), pixels.dtype)
        canvas[...] = levels
        bottom, right = self.top + self.kept.height, self.left + self.kept.width
        canvas[self.top : bottom, self.left : right] = pixels
        return canvas


def framing(plan: ResizePlan, came: Size, row: Size) -> Framing:
    """What the policy does with a picture of the size ``came``."""
    read = Region.whole(came)
    match plan.policy:
        case "short_side_center_crop":
            made = _with_short_side(came, plan.short_side or 0)
            return Framing(read, made, _center_crop(made, row), row)
        case "pad":
            made = _fitting(came, row)
            left, top = (row.width - made.width) // 2, (row.height - made.height) // 2
            return Framing(read, made, Region.whole(made), row, left, top)
        case "resize_with_pad":
            return _resized_with_pad(came, row)
        case "crop_to_aspect_ratio":
            read = _cropped(came, row)
        case "pad_to_aspect_ratio":
            read = _padded(came, row)
        case "keep_aspect_ratio":
            read = _middle(came, _kept(came, row))
        case "stretch":
            pass
    return Framing(read, row, Region.whole(row), row)


def _center_crop(made: Size, row: Size) -> Region:
    """As torchvision's CenterCrop: half the difference, half pixels to the even side."""
    left, top = round((made.width - row.width) / 2), round((made.height - row.height) / 2)
    return Region(left, top, row.width, row.height)


def _middle(came: Size, kept: Size) -> Region:
    left, top = (came.width - kept.width) // 2, (came.height - kept.height) // 2
    return Region(left, top, kept.width, kept.height)


def _kept(came: Size, row: Size) -> Size:
    """As ``load_img(keep_aspect_ratio=True)``."""
    return Size(
        min(came.width, came.height * row.width // row.height),
        min(came.height, came.width * row.height // row.width),
    )


def _cropped(came: Size, row: Size) -> Region:
    """As ``keras.layers.Resizing(crop_to_aspect_ratio=True)`` before its filter."""
    ratio = _in_ratio(came, row)
    kept = Size(min(came.width, ratio.width), min(came.height, ratio.height))
    return _middle(came, Size(max(1, kept.width), max(1, kept.height)))


def _padded(came: Size, row: Size) -> Region:
    """As ``keras.layers.Resizing(pad_to_aspect_ratio=True)``: as much at both sides."""
    ratio = _in_ratio(came, row)
    beside = max(0, ratio.width - came.width) // 2
    above = max(0, ratio.height - came.height) // 2
    return Region(-beside, -above, came.width + 2 * beside, came.height + 2 * above)


def _in_ratio(came: Size, row: Size) -> Size:
    """Each side in float32, rounded down, as TensorFlow works out what Keras writes."""
    return Size(
        int(np.float32(came.height * row.width) / np.float32(row.height)),
        int(np.float32(came.width * row.height) / np.float32(row.width)),
    )


def _resized_with_pad(came: Size, row: Size) -> Framing:
    """As ``tf.image.resize_with_pad``, which rounds down sides and places in float32."""
    came_width, came_height = np.float32(came.width), np.float32(came.height)
    ratio = max(came_width / np.float32(row.width), came_height / np.float32(row.height))
    width, height = came_width / ratio, came_height / ratio
    left, top = max(0, int((row.width - width) / 2)), max(0, int((row.height - height) / 2))
    made = Size(int(width), int(height))
    return Framing(Region.whole(came), made, Region.whole(made), row, left, top)


def _with_short_side(came: Size, short_side: int) -> Size:
    """As torchvision's Resize with one number: the long side is cut off to whole pixels."""
    long_side = int(short_side * max(came.width, came.height) / min(came.width, came.height))
    if came.width <= came.height:
        return Size(short_side, long_side)
    return Size(long_side, short_side)


def _fitting(came: Size, wanted: Size) -> Size:
    """The largest size of the same shape inside ``wanted``, cut off to whole pixels."""
    if came.width * wanted.height >= came.height * wanted.width:
        return Size(wanted.width, max(1, came.height * wanted.width // came.width))
    return Size(max(1, came.width * wanted.height // came.height), wanted.height)
