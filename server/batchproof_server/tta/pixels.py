"""What each view does to the pixels [height, width, channels], uint8 or 16 bits of grey.

Width and height are in pixels and meant of the decoded, upright picture. Where a view would look
beyond the picture's edge it sees the nearest pixel of the edge, never a black wedge. Filtering is
Pillow's C code; everything else is whole numbers.
"""

import io
import math
from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image

from batchproof_server.errors import InvalidInput
from batchproof_server.signature import Array
from batchproof_server.tta.noise import with_noise
from batchproof_server.tta.views import View

# Output rows of a rotation that are looked at together hold about so many pixels.
_BLOCK_PIXELS: Final = 1 << 18
_NEAR_EDGE_PIXELS: Final = 1e-6
_JPEG_SIDE_PIXELS: Final = 65_500  # libjpeg's limit


def seen(pixels: Array, view: View, key: int, deviates: Array) -> Array:
    """The picture as the view sees it, of the same dtype; may share memory with ``pixels``.

    Args:
        pixels: [height, width, channels].
        view: not ``five_crop``, which stands for five views.
        key: of the view's random numbers; of no effect on a view that draws none.
        deviates: see ``noise.normal_deviates``.

    Raises:
        InvalidInput: ``jpeg`` of a picture with 16 bits a pixel, or with too long a side.
    """
    if view.name == "noise":
        return with_noise(pixels, view.numbers[0], highest_level(pixels), key, deviates)
    return _WAYS[view.name](pixels, *view.numbers)


def highest_level(pixels: Array) -> int:
    """White: 255, or 65535 of a picture with 16 bits a pixel."""
    return 255 if pixels.dtype == np.uint8 else 65535


def _identity(pixels: Array) -> Array:
    return pixels


def _hflip(pixels: Array) -> Array:
    """Left becomes right."""
    return pixels[:, ::-1]


def _vflip(pixels: Array) -> Array:
    """Top becomes bottom."""
    return pixels[::-1]


def _rot90(pixels: Array) -> Array:
    """A quarter turn counter-clockwise."""
    return np.rot90(pixels, 1)


def _rot180(pixels: Array) -> Array:
    """A half turn."""
    return np.rot90(pixels, 2)


def _rot270(pixels: Array) -> Array:
    """A quarter turn clockwise."""
    return np.rot90(pixels, 3)


def _transpose(pixels: Array) -> Array:
    """Mirrored at the diagonal from top left to bottom right."""
    return pixels.swapaxes(0, 1)


def _transverse(pixels: Array) -> Array:
    """Mirrored at the diagonal from top right to bottom left."""
    return pixels[::-1, ::-1].swapaxes(0, 1)


def _rotate(pixels: Array, degrees: float) -> Array:
    """Turned counter-clockwise about (width/2, height/2), bilinear, in the same frame.

    Levels of 8 bits are cut down to whole ones, as Pillow does.

    The output pixel (x, y) shows the picture at (u, v) where, with X = x + 1/2 - width/2 and
    Y = y + 1/2 - height/2, u = X cos d - Y sin d + width/2 and v = X sin d + Y cos d + height/2;
    outside 0..width and 0..height it shows the pixel nearest to (u, v).
    """
    height, width = pixels.shape[:2]
    cos, sin = _cosine(degrees), _cosine(degrees - 90)
    left = width / 2 - cos * width / 2 + sin * height / 2
    top = height / 2 - sin * width / 2 - cos * height / 2
    matrix = (cos, -sin, left, sin, cos, top)
    turned = _image(pixels).transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    result = np.array(_levels(turned, pixels))
    _fill_outside(result, pixels, matrix)
    return result


def _cosine(degrees: float) -> float:
    # Of a right angle the cosine in radians is not quite 0, and Pillow cuts levels down.
    return 0.0 if degrees % 180 == 90 else math.cos(math.radians(degrees))  # noqa: PLR2004 - degrees


def _fill_outside(
    result: Array, pixels: Array, matrix: tuple[float, float, float, float, float, float]
) -> None:
    height, width = pixels.shape[:2]
    a, b, c, d, e, f = matrix
    x = np.arange(width) + 0.5
    for top in range(0, height, max(1, _BLOCK_PIXELS // width)):
        y = (np.arange(top, min(height, top + max(1, _BLOCK_PIXELS // width))) + 0.5)[:, np.newaxis]
        u, v = a * x + b * y + c, d * x + e * y + f
        near = _NEAR_EDGE_PIXELS
        rows, columns = np.nonzero(
            (u < near) | (u > width - near) | (v < near) | (v > height - near)
        )
        nearest_x = np.clip(np.floor(u[rows, columns]), 0, width - 1).astype(np.intp)
        nearest_y = np.clip(np.floor(v[rows, columns]), 0, height - 1).astype(np.intp)
        result[top + rows, columns] = pixels[nearest_y, nearest_x]


def _crop(pixels: Array, share: float) -> Array:
    """The middle max(1, round(f width)) x max(1, round(f height)); odd margins: less top left."""
    height, width = _part(pixels, share)
    return _cut(pixels, (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2, share)


def _crop_top_left(pixels: Array, share: float) -> Array:
    """A part of the size of ``crop(f)`` from the top left corner."""
    return _cut(pixels, 0, 0, share)


def _crop_top_right(pixels: Array, share: float) -> Array:
    """A part of the size of ``crop(f)`` from the top right corner."""
    return _cut(pixels, 0, pixels.shape[1] - _part(pixels, share)[1], share)


def _crop_bottom_left(pixels: Array, share: float) -> Array:
    """A part of the size of ``crop(f)`` from the bottom left corner."""
    return _cut(pixels, pixels.shape[0] - _part(pixels, share)[0], 0, share)


def _crop_bottom_right(pixels: Array, share: float) -> Array:
    """A part of the size of ``crop(f)`` from the bottom right corner."""
    height, width = _part(pixels, share)
    return _cut(pixels, pixels.shape[0] - height, pixels.shape[1] - width, share)


def _part(pixels: Array, share: float) -> tuple[int, int]:
    height, width = pixels.shape[:2]
    return max(1, round(share * height)), max(1, round(share * width))


def _cut(pixels: Array, top: int, left: int, share: float) -> Array:
    height, width = _part(pixels, share)
    return pixels[top : top + height, left : left + width]


def _scale(pixels: Array, factor: float) -> Array:
    """What the picture shows becomes f times as large, in the same frame.

    Above 1, the middle box of width/f x height/f is resized to the frame; below 1, the picture is
    resized to max(1, round(f width)) x max(1, round(f height)) and set into the middle, odd
    margins smaller at the top left. Both with Pillow's bilinear filter, antialiased.
    """
    height, width = pixels.shape[:2]
    if factor >= 1:
        beyond_x, beyond_y = (width - width / factor) / 2, (height - height / factor) / 2
        box = (beyond_x, beyond_y, width - beyond_x, height - beyond_y)
        larger = _image(pixels).resize((width, height), Image.Resampling.BILINEAR, box)
        return _levels(larger, pixels)
    rows, columns = _part(pixels, factor)
    small = _levels(_image(pixels).resize((columns, rows), Image.Resampling.BILINEAR), pixels)
    top, left = (height - rows) // 2, (width - columns) // 2
    margins = ((top, height - rows - top), (left, width - columns - left), (0, 0))
    return np.pad(small, margins, mode="edge")


def _shift(pixels: Array, right: float, down: float) -> Array:
    """What the picture shows moves round(dx width) pixels right and round(dy height) down."""
    height, width = pixels.shape[:2]
    rows = np.clip(np.arange(height) - round(down * height), 0, height - 1)
    columns = np.clip(np.arange(width) - round(right * width), 0, width - 1)
    shifted: Array = pixels.take(rows, axis=0).take(columns, axis=1)
    return shifted


def _brightness(pixels: Array, factor: float) -> Array:
    """Each level times f, half a level up, cut off at white."""
    return _mapped(pixels, np.arange(highest_level(pixels) + 1) * factor)


def _contrast(pixels: Array, factor: float) -> Array:
    """Each level moved to m + f (level - m), m the mean of all levels; half a level up, cut off."""
    mean = int(pixels.sum(dtype=np.int64)) / pixels.size
    return _mapped(pixels, mean + factor * (np.arange(highest_level(pixels) + 1) - mean))


def _mapped(pixels: Array, targets: Array) -> Array:
    table = np.clip(np.floor(targets + 0.5), 0, highest_level(pixels)).astype(pixels.dtype)
    mapped: Array = table[pixels]
    return mapped


def _jpeg(pixels: Array, quality: float) -> Array:
    """Written as baseline JPEG of quality q with 4:2:0 chroma by libjpeg and read again."""
    if pixels.dtype != np.uint8:
        raise InvalidInput('the picture has 16 bits a pixel, the view "jpeg" needs 8')
    if max(pixels.shape) > _JPEG_SIDE_PIXELS:
        raise InvalidInput(
            f'a side of the picture has {max(pixels.shape)} pixels, the view "jpeg" takes at most '
            f"{_JPEG_SIDE_PIXELS}"
        )
    stream = io.BytesIO()
    _image(pixels).save(stream, "JPEG", quality=int(quality), subsampling="4:2:0")
    with Image.open(stream, formats=("JPEG",)) as image:
        return _levels(image, pixels)


def _image(pixels: Array) -> Image.Image:
    bare = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    # Pillow filters 16 bits as floats only; those hold every level exactly.
    kind = np.uint8 if pixels.dtype == np.uint8 else np.float32
    return Image.fromarray(np.ascontiguousarray(bare, kind))


def _levels(image: Image.Image, like: Array) -> Array:
    levels = np.asarray(image)
    if levels.dtype != like.dtype:
        levels = np.clip(np.floor(levels + 0.5), 0, highest_level(like)).astype(like.dtype)
    return levels if levels.ndim == like.ndim else levels[:, :, np.newaxis]


_WAYS: Final[dict[str, Callable[..., Array]]] = {
    "identity": _identity,
    "hflip": _hflip,
    "vflip": _vflip,
    "rot90": _rot90,
    "rot180": _rot180,
    "rot270": _rot270,
    "transpose": _transpose,
    "transverse": _transverse,
    "rotate": _rotate,
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
