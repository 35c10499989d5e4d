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
        case "stretch" | "crop_to_aspect_ratio" | "pad_to_aspect_ratio" | "keep_aspect_ratio":
            return wanted
        case "resize_with_pad":
            return Size(*map(int, _inside(came, wanted)))
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


def filtered_size(plan: ResizePlan, came: Size, wanted: Size) -> Size:
    """The size that the filter reads: another than came where Keras cuts or fills before it."""
    if plan.policy not in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "keep_aspect_ratio"):
        return came
    if plan.policy == "keep_aspect_ratio":
        return _kept(came, wanted)
    return _in_ratio(came, wanted, fills=plan.policy == "pad_to_aspect_ratio")


def kept_box(came: Size, wanted: Size) -> tuple[int, int, int, int]:
    """As ``load_img(keep_aspect_ratio=True)``: left, top, right and bottom of what is resized."""
    kept = _kept(came, wanted)
    left, top = (came.width - kept.width) // 2, (came.height - kept.height) // 2
    return left, top, left + kept.width, top + kept.height


def in_aspect_ratio(pixels: Array, wanted: Size, *, fills: bool) -> Array:
    """As ``keras.layers.Resizing`` before its filter, [height, width, channels].

    Args:
        pixels: of the whole picture.
        wanted: whose aspect ratio it is brought to, as far as whole pixels go.
        fills: with zeros at both sides alike; else it is cut.
    """
    height, width = pixels.shape[:2]
    target = _in_ratio(Size(width, height), wanted, fills=fills)
    if fills:
        top, left = (target.height - height) // 2, (target.width - width) // 2
        return np.pad(pixels, ((top, top), (left, left), (0, 0)))
    top, left = (height - target.height) // 2, (width - target.width) // 2
    return pixels[top : top + target.height, left : left + target.width]


def _kept(came: Size, wanted: Size) -> Size:
    return Size(
        min(came.width, came.height * wanted.width // wanted.height),
        min(came.height, came.width * wanted.height // wanted.width),
    )


def _in_ratio(came: Size, wanted: Size, *, fills: bool) -> Size:
    """Each side in float32, rounded down, as TensorFlow works out what Keras writes."""
    width = int(np.float32(came.height * wanted.width) / np.float32(wanted.height))
    height = int(np.float32(came.width * wanted.height) / np.float32(wanted.width))
    if fills:
        return Size(max(came.width, width), max(came.height, height))
    return Size(max(1, min(came.width, width)), max(1, min(came.height, height)))


def place(pixels: Array, plan: ResizePlan, came: Size, wanted: Size) -> Array:
    """Fills ``pixels`` [height, width, channels], which are resized and cut, up to ``wanted``.

    Args:
        pixels: what was kept.
        plan: whose policy fills.
        came: the size of the whole picture.
        wanted: the size of the row.
    """
    match plan.policy:
        case "pad":
            return _filled(pixels, wanted, plan.pad_color or (0,))
        case "resize_with_pad":
            width, height = _inside(came, wanted)
            left, top = (wanted.width - width) / 2, (wanted.height - height) / 2
            return _framed(pixels, wanted, max(0, int(left)), max(0, int(top)))
        case _:
            return pixels


def _inside(came: Size, wanted: Size) -> tuple[np.float32, np.float32]:
    """Width and height of ``tf.image.resize_with_pad``, not yet rounded down: float32."""
    width, height = np.float32(came.width), np.float32(came.height)
    ratio = max(width / np.float32(wanted.width), height / np.float32(wanted.height))
    return width / ratio, height / ratio


def _framed(pixels: Array, wanted: Size, left: int, top: int) -> Array:
    canvas = np.zeros((wanted.height, wanted.width, pixels.shape[2]), pixels.dtype)
    canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return canvas


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
