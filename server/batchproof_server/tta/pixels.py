"""What each view does to a picture of 8 bits a channel, or of 16 bits of grey.

Width and height are in pixels and meant of the decoded, upright picture. Where a view would look
beyond the picture's edge it sees the nearest pixel of the edge, never a black wedge. Filtering is
Pillow's C code; everything else is whole numbers.
"""

import io
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
from PIL import Image

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array
from batchproof_server.imaging.geometry import Picture, as_array
from batchproof_server.tta.noise import with_noise
from batchproof_server.tta.original import Original
from batchproof_server.tta.rotation import rotate
from batchproof_server.tta.views import View

_JPEG_SIDE_PIXELS: Final = 65_500  # libjpeg's limit


def seen(original: Original, view: View, key: int, deviates: Array) -> Picture:
    """The picture as the view sees it, of the same depth and channels; may share memory with it.

    Args:
        original: the picture.
        view: not ``five_crop``, which stands for five views.
        key: of the view's random numbers; of no effect on a view that draws none.
        deviates: see ``noise.normal_deviates``.

    Raises:
        InvalidInput: ``jpeg`` of a picture with 16 bits a pixel, or with too long a side.
    """
    if view.name == "noise":
        share, highest = view.numbers[0], original.highest_level
        return with_noise(original.pixels, share, highest, key, deviates)
    return _WAYS[view.name](original, *view.numbers)


def _identity(original: Original) -> Picture:
    return original.image


def _symmetric(transpose: Image.Transpose, original: Original) -> Picture:
    return original.image.transpose(transpose)


def _crop(original: Original, share: float) -> Picture:
    """The middle max(1, round(f width)) x max(1, round(f height)); odd margins: less top left."""
    height, width = _part(original, share)
    top, left = (original.height - height) // 2, (original.width - width) // 2
    return _cut(original, top, left, share)


def _crop_top_left(original: Original, share: float) -> Picture:
    """A part of the size of ``crop(f)`` from the top left corner."""
    return _cut(original, 0, 0, share)


def _crop_top_right(original: Original, share: float) -> Picture:
    """A part of the size of ``crop(f)`` from the top right corner."""
    return _cut(original, 0, original.width - _part(original, share)[1], share)


def _crop_bottom_left(original: Original, share: float) -> Picture:
    """A part of the size of ``crop(f)`` from the bottom left corner."""
    return _cut(original, original.height - _part(original, share)[0], 0, share)


def _crop_bottom_right(original: Original, share: float) -> Picture:
    """A part of the size of ``crop(f)`` from the bottom right corner."""
    height, width = _part(original, share)
    return _cut(original, original.height - height, original.width - width, share)


def _part(original: Original, share: float) -> tuple[int, int]:
    return max(1, round(share * original.height)), max(1, round(share * original.width))


def _cut(original: Original, top: int, left: int, share: float) -> Picture:
    height, width = _part(original, share)
    return original.image.crop((left, top, left + width, top + height))


def _scale(original: Original, factor: float) -> Picture:
    """What the picture shows becomes f times as large, in the same frame.

    Above 1, the middle box of width/f x height/f is resized to the frame; below 1, the picture is
    resized to max(1, round(f width)) x max(1, round(f height)) and set into the middle, odd
    margins smaller at the top left. Both with Pillow's bilinear filter, antialiased.
    """
    height, width = original.height, original.width
    image = original.filterable
    if factor >= 1:
        beyond_x, beyond_y = (width - width / factor) / 2, (height - height / factor) / 2
        box = (beyond_x, beyond_y, width - beyond_x, height - beyond_y)
        return original.as_deep(image.resize((width, height), Image.Resampling.BILINEAR, box))
    rows, columns = _part(original, factor)
    small = original.as_deep(image.resize((columns, rows), Image.Resampling.BILINEAR))
    return _framed(as_array(small), (height - rows) // 2, (width - columns) // 2, original)


def _shift(original: Original, right: float, down: float) -> Picture:
    """What the picture shows moves round(dx width) pixels right and round(dy height) down."""
    x, y = round(right * original.width), round(down * original.height)
    top, left = max(0, y), max(0, x)
    rows = slice(top - y, original.height - top)
    columns = slice(left - x, original.width - left)
    return _framed(original.pixels[rows, columns], top, left, original)


def _framed(part: Array, top: int, left: int, original: Original) -> Array:
    """The part in a frame of the original's size, with its edge around it."""
    bottom, right = top + part.shape[0], left + part.shape[1]
    frame = np.empty_like(original.pixels, order="C")
    frame[top:bottom, left:right] = part
    frame[top:bottom, :left] = part[:, :1]
    frame[top:bottom, right:] = part[:, -1:]
    frame[:top] = frame[top : top + 1]
    frame[bottom:] = frame[bottom - 1 : bottom]
    return frame


def _brightness(original: Original, factor: float) -> Picture:
    """Each level times f, half a level up, cut off at white."""
    return _mapped(original, np.arange(original.highest_level + 1) * factor)


def _contrast(original: Original, factor: float) -> Picture:
    """Each level moved to m + f (level - m), m the mean of all levels; half a level up, cut off."""
    mean = int(original.pixels.sum(dtype=np.int64)) / original.pixels.size
    levels = np.arange(original.highest_level + 1)
    return _mapped(original, mean + factor * (levels - mean))


def _mapped(original: Original, targets: Array) -> Picture:
    table = np.clip(np.floor(targets + 0.5), 0, original.highest_level)
    if original.has_8_bits:
        return original.image.point(table.astype(int).tolist() * original.pixels.shape[2])
    mapped: Array = table.astype(original.pixels.dtype)[original.pixels]
    return mapped


def _jpeg(original: Original, quality: float) -> Picture:
    """Written as baseline JPEG of quality q with 4:2:0 chroma by libjpeg and read again."""
    if not original.has_8_bits:
        raise InvalidInput('the picture has 16 bits a pixel, the view "jpeg" needs 8')
    longest = max(original.height, original.width)
    if longest > _JPEG_SIDE_PIXELS:
        raise InvalidInput(
            f'a side of the picture has {longest} pixels, the view "jpeg" takes at most '
            f"{_JPEG_SIDE_PIXELS}"
        )
    stream = io.BytesIO()
    original.image.save(stream, "JPEG", quality=int(quality), subsampling="4:2:0")
    with Image.open(stream, formats=("JPEG",)) as image:
        image.load()
        return image


_WAYS: Final[dict[str, Callable[..., Picture]]] = {
    "identity": _identity,
    "hflip": partial(_symmetric, Image.Transpose.FLIP_LEFT_RIGHT),
    "vflip": partial(_symmetric, Image.Transpose.FLIP_TOP_BOTTOM),
    "rot90": partial(_symmetric, Image.Transpose.ROTATE_90),  # counter-clockwise
    "rot180": partial(_symmetric, Image.Transpose.ROTATE_180),
    "rot270": partial(_symmetric, Image.Transpose.ROTATE_270),
    "transpose": partial(_symmetric, Image.Transpose.TRANSPOSE),
    "transverse": partial(_symmetric, Image.Transpose.TRANSVERSE),
    "rotate": rotate,
    "crop": _crop,
    "crop_top_left": _crop_top_left,
    "crop_top_right": _crop_top_right,
    "crop_bottom_left": _crop_bottom_left,
    "crop_bottom_right": _crop_bottom_right,
    "scale": _scale,
    "shift": _shift,
    "brightness": _brightness,
    "contrast": _contrast,
    "jpeg": _jpeg,
}
