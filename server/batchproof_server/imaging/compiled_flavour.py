"""The resize library ``pillow`` with compiled passes: the very pixels of ``Image.resize``, sooner.

Pixels that a cut throws away are not made.
"""

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from PIL import Image

from batchproof_server.base.signature import Array
from batchproof_server.imaging.compiling import CompiledPasses, compile_passes
from batchproof_server.imaging.geometry import Region, Size, picture_size
from batchproof_server.imaging.pillow_flavour import FILTERS
from batchproof_server.imaging.resize import ResizeMethod
from batchproof_server.imaging.taps import Taps, filter_taps, nearest_places

# Up to Pillow 12 the width is filtered first. Pillow 13 begins with the height where that loses
# more than twice as many pixels as the width; each pass rounds, so the order is seen.
PassOrder: TypeAlias = Literal["width", "shrunk_height"]

# Taps of longer sides are not kept.
_KEPT_SIDE_PIXELS: Final = 8192
# What is tried against Pillow: less and more of both sides, and of one.
_TRIED: Final = (
    (Size(53, 37), Size(24, 24)),
    (Size(23, 97), Size(19, 31)),
    (Size(5, 6), Size(17, 9)),
    (Size(64, 48), Size(64, 20)),
    (Size(64, 48), Size(21, 48)),
    (Size(31, 90), Size(40, 20)),
)


@dataclass(frozen=True, slots=True, eq=False)
class QuickPasses:
    """Passes that were found to agree with the Pillow at hand.

    Attributes:
        compiled: the passes.
        order: in which Pillow does them.
    """

    compiled: CompiledPasses
    order: PassOrder


def resized(
    passes: QuickPasses, method: ResizeMethod, pixels: Array, made: Size, kept: Region
) -> Array:
    """What ``Image.resize`` makes of an array, bit for bit, and keeps of it.

    Args:
        passes: compiled.
        method: of Pillow.
        pixels: uint8 [height, width, 1 or 3].
        made: the size.
        kept: inside it.
    """
    came = picture_size(pixels)
    if came == made:
        return kept.of(pixels)
    if method == "nearest":
        return _picked(passes, np.ascontiguousarray(pixels), made, kept)
    columns = None if came.width == made.width else _taps(method, came.width, made.width, *kept.x)
    lines = None if came.height == made.height else _taps(method, came.height, made.height, *kept.y)
    return _filtered(passes, np.ascontiguousarray(pixels), columns, lines, made, kept)


def _picked(passes: QuickPasses, pixels: Array, made: Size, kept: Region) -> Array:
    height, width, channels = pixels.shape
    rows = nearest_places(height, made.height)[slice(*kept.y)]
    columns = nearest_places(width, made.width)[slice(*kept.x)]
    out = np.empty((kept.height, kept.width, channels), np.uint8)
    passes.compiled.pick(pixels, rows, columns, out)
    return out


def luma(passes: QuickPasses, pixels: Array) -> Image.Image:
    """What Pillow's ``convert("L")`` makes of uint8 [height, width, 3]."""
    levels = np.empty(pixels.shape[:2], np.uint8)
    passes.compiled.luma_of(np.ascontiguousarray(pixels).ravel(), levels.ravel())
    return Image.fromarray(levels)


def _filtered(
    passes: QuickPasses,
    pixels: Array,
    columns: Taps | None,
    lines: Taps | None,
    made: Size,
    kept: Region,
) -> Array:
    """The passes in Pillow's order; the first one makes what the second one takes, and no more."""
    if columns is None:
        assert lines is not None  # noqa: S101 - one side differs
        return _along_height(passes, pixels, lines, *kept.x)
    if lines is None:
        return _along_width(passes, pixels, columns, *kept.y)
    if width_goes_first(passes.order, picture_size(pixels), made):
        between = _along_width(passes, pixels, columns, lines.begin, lines.end)
        return _along_height(passes, between, _from_zero(lines), 0, between.shape[1])
    between = _along_height(passes, pixels, lines, columns.begin, columns.end)
    return _along_width(passes, between, _from_zero(columns), 0, between.shape[0])


def width_goes_first(order: PassOrder, came: Size, made: Size) -> bool:
    """Whether Pillow filters along the width before it does along the height."""
    lost = came.height - made.height
    return order == "width" or not (lost > 0 and lost > 2 * (came.width - made.width))


def _along_width(passes: QuickPasses, pixels: Array, taps: Taps, top: int, bottom: int) -> Array:
    out = np.empty((bottom - top, len(taps.first), pixels.shape[2]), np.uint8)
    passes.compiled.along_width(pixels, top, taps.first, taps.counts, taps.weights, out)
    return out


def _along_height(passes: QuickPasses, pixels: Array, taps: Taps, left: int, right: int) -> Array:
    height, _, channels = pixels.shape
    out = np.empty((len(taps.first), right - left, channels), np.uint8)
    flat, flat_out = pixels.reshape(height, -1), out.reshape(len(out), -1)
    passes.compiled.along_height(
        flat, left * channels, taps.first, taps.counts, taps.weights, flat_out
    )
    return out


def _from_zero(taps: Taps) -> Taps:
    return Taps(taps.first - np.int32(taps.begin), taps.counts, taps.weights)


def _taps(method: ResizeMethod, came: int, made: int, start: int, stop: int) -> Taps:
    find = filter_taps if came > _KEPT_SIDE_PIXELS else _kept_taps
    return find(method, came, made, start, stop)


@lru_cache(maxsize=64)
def _kept_taps(method: ResizeMethod, came: int, made: int, start: int, stop: int) -> Taps:
    return filter_taps(method, came, made, start, stop)


@cache
def quick_passes() -> QuickPasses | None:
    """Passes that agree with the Pillow at hand; found out once, in about two seconds.

    None without numba or where it fails, where no known order gives Pillow's pixels, and on
    processors for which compilers may fuse the multiplications and additions of Pillow's weights.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return None
    try:
        compiled = compile_passes()
    except Exception:  # noqa: BLE001 - whatever keeps numba from it, Pillow makes the same pixels
        return None
    candidates = (QuickPasses(compiled, order) for order in get_args(PassOrder))
    return next((each for each in candidates if all(_agreements(each))), None)


def _agreements(passes: QuickPasses) -> Iterator[bool]:
    noise = np.random.default_rng(0)
    for came, made in _TRIED:
        pixels = noise.integers(0, 256, (came.height, came.width, 3), np.uint8)
        image, kept = Image.fromarray(pixels), Region.whole(made)
        for method, pillow in FILTERS.items():
            expected = np.asarray(image.resize((made.width, made.height), pillow))
            yield np.array_equal(resized(passes, method, pixels, made, kept), expected)
        yield luma(passes, pixels).tobytes() == image.convert("L").tobytes()
