"""A picture turned by any angle, with its edge beyond its edge."""

import math
from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
from PIL import Image

from batchproof_server.base.signature import Array
from batchproof_server.imaging.geometry import as_array
from batchproof_server.tta.original import Original

# The output pixel (x, y) shows the picture at (a x + b y + c, d x + e y + f).
_Matrix: TypeAlias = tuple[float, float, float, float, float, float]

# Output rows that are looked at together hold about so many pixels.
_BLOCK_PIXELS: Final = 1 << 18
_NEAR_EDGE_PIXELS: Final = 1e-6


def rotate(original: Original, degrees: float) -> Array:
    """Turned counter-clockwise about (width/2, height/2), bilinear, in the same frame.

    Levels of 8 bits are cut down to whole ones, as Pillow does.

    The output pixel (x, y) shows the picture at (u, v) where, with X = x + 1/2 - width/2 and
    Y = y + 1/2 - height/2, u = X cos d - Y sin d + width/2 and v = X sin d + Y cos d + height/2;
    outside 0..width and 0..height it shows the pixel nearest to (u, v).
    """
    height, width = original.height, original.width
    cos, sin = _cosine(degrees), _cosine(degrees - 90)
    left = width / 2 - cos * width / 2 + sin * height / 2
    top = height / 2 - sin * width / 2 - cos * height / 2
    matrix = (cos, -sin, left, sin, cos, top)
    turned = original.filterable.transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    result = np.array(as_array(original.as_deep(turned)))
    to, source = _whole(result), _whole(np.ascontiguousarray(original.pixels))
    for places, shown in _outside(matrix, width, height):
        to[places] = source[shown]
    return result


def _whole(pixels: Array) -> Array:
    """One element for each pixel, whatever its channels: those are moved at once."""
    width_bytes = pixels.shape[2] * pixels.itemsize
    return pixels.reshape(-1).view(np.dtype((np.void, width_bytes)))


def _cosine(degrees: float) -> float:
    # Of a right angle the cosine in radians is not quite 0, and Pillow cuts levels down.
    return 0.0 if degrees % 180 == 90 else math.cos(math.radians(degrees))  # noqa: PLR2004 - degrees


def _outside(matrix: _Matrix, width: int, height: int) -> Iterator[tuple[Array, Array]]:
    """The pixels that show what is outside, and their nearest pixels, numbered row by row."""
    a, b, c, d, e, f = matrix
    near = _NEAR_EDGE_PIXELS
    for top in range(0, height, max(1, _BLOCK_PIXELS // width)):
        all_y = np.arange(top, min(height, top + max(1, _BLOCK_PIXELS // width))) + 0.5
        rows, columns = _not_surely_inside(all_y, matrix, width, height)
        x, y = columns + 0.5, all_y[rows]
        u, v = a * x + b * y + c, d * x + e * y + f
        outside = (u < near) | (u > width - near) | (v < near) | (v > height - near)
        nearest_x = np.clip(np.floor(u[outside]), 0, width - 1).astype(np.intp)
        nearest_y = np.clip(np.floor(v[outside]), 0, height - 1).astype(np.intp)
        places = (top + rows[outside]) * width + columns[outside]
        yield places, nearest_y * width + nearest_x


def _not_surely_inside(y: Array, matrix: _Matrix, width: int, height: int) -> tuple[Array, Array]:
    """Rows, counted from 0, and columns of few pixels, where most of them are inside.

    A row of the output shows a line of the picture, of which one piece is inside; so in each row
    the first pixels are looked at, and the last ones.
    """
    first, stop = _surely_inside(y, matrix, width, height)
    starts = np.concatenate((np.zeros_like(first), stop))
    counts = np.concatenate((first, width - stop))
    rows = np.tile(np.arange(len(y)), 2).repeat(counts)
    before = np.cumsum(counts) - counts
    columns = np.arange(len(rows)) + (starts - before).repeat(counts)
    return rows, columns


def _surely_inside(y: Array, matrix: _Matrix, width: int, height: int) -> tuple[Array, Array]:
    """The first column of each row that is surely inside, and the first after it that is not."""
    a, b, c, d, e, f = matrix
    with np.errstate(divide="ignore", invalid="ignore"):
        across, down = _between(a, b * y + c, width), _between(d, e * y + f, height)
    first = np.ceil(np.maximum(across[0], down[0]) - 0.5)
    stop = np.floor(np.minimum(across[1], down[1]) - 0.5) + 1
    # The bounds of a line that runs along an edge are no numbers; it is looked at whole.
    first = np.clip(np.nan_to_num(first, nan=width), 0, width).astype(np.intp)
    stop = np.clip(np.nan_to_num(stop, nan=width), 0, width).astype(np.intp)
    return first, np.maximum(first, stop)


def _between(slope: float, start: Array, side: int) -> tuple[Array, Array]:
    """From where to where start + slope x is surely between 0 and ``side``."""
    margin = 2 * _NEAR_EDGE_PIXELS
    ends = (margin - start) / slope, (side - margin - start) / slope
    return np.minimum(*ends), np.maximum(*ends)
