"""A decoded picture: its forms, its size, what it is resized to, and what is cut or filled."""

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

    def of(self, picture: _Form) -> _Form:
        """This part of it, in the form that it has; of an array a view."""
        if picture_size(picture) == Size(self.width, self.height):
            return picture
        if isinstance(picture, Image.Image):
            return picture.crop((self.left, self.top, self.x[1], self.y[1]))
        return picture[slice(*self.y), slice(*self.x)]


def picture_size(picture: Picture) -> Size:
    """Its width and height."""
    if isinstance(picture, Image.Image):
        return Size(*picture.size)
    return Size(picture.shape[1], picture.shape[0])


def resized_size(plan: ResizePlan, came: Size, wanted: Size) -> Size:
    """The size that the filter has to make, before cutting or filling to ``wanted``."""
    match plan.policy:
        case "stretch":
            return wanted
        case "short_side_center_crop":
            return _with_short_side(came, plan.short_side or 0)
        case "pad":
            return _fitting(came, wanted)


def kept_region(plan: ResizePlan, made: Size, wanted: Size) -> Region:
    """What is kept of a picture that is resized to ``made``.

    A cut is torchvision's CenterCrop: half the difference, half pixels to the even side.
    """
    if plan.policy != "short_side_center_crop":
        return Region.whole(made)
    left = round((made.width - wanted.width) / 2)
    top = round((made.height - wanted.height) / 2)
    return Region(left, top, wanted.width, wanted.height)


def place(pixels: Array, plan: ResizePlan, wanted: Size) -> Array:
    """Fills ``pixels`` [height, width, channels], which are resized and cut, up to ``wanted``."""
    return _filled(pixels, wanted, plan.pad_color or (0,)) if plan.policy == "pad" else pixels


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


def _filled(pixels: Array, wanted: Size, color: tuple[int, ...]) -> Array:
    height, width, channels = pixels.shape
    levels = np.array(color, pixels.dtype)
    if pixels.dtype == np.uint16:
        levels *= _LEVEL_RATIO
    canvas = np.empty((wanted.height, wanted.width, channels), pixels.dtype)
    canvas[...] = levels
    top, left = (wanted.height - height) // 2, (wanted.width - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas
