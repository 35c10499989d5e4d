"""The two passes of a filter over a picture, and its luma: plain loops, for a compiler.

Whole numbers as in Pillow's ``Resample.c`` and ``Convert.c``: weights of 22 bits, and each pass
rounded to 8.
"""

from typing import Final

import numpy as np

from batchproof_server.base.signature import Array

FRACTION_BITS: Final = 22
_HALF: Final = 1 << (FRACTION_BITS - 1)
_WHITE: Final = 255
COLOURS: Final = 3
# Values that are filtered side by side: a multiple of 1 and of 3 channels, and of vectors of 16.
_LANES: Final = 48


# Contract of both passes: nothing is checked. ``first`` and ``first + counts`` do not decrease, and
# every index lies in ``pixels``; ``out`` is another array.
def along_width(  # noqa: C901 - a compiler wants its loops in one place
    pixels: Array, top: int, first: Array, counts: Array, weights: Array, out: Array
) -> None:
    """Filters lines of a picture along the width.

    Args:
        pixels: uint8 [height, width, channels], C-contiguous.
        top: the first line that is filtered; as many as ``out`` has.
        first: int32 [columns of ``out``], the first pixel that each takes.
        counts: int32 [columns of ``out``], how many it takes.
        weights: int32 [columns of ``out``, most pixels], with ``FRACTION_BITS`` after the point.
        out: uint8 [lines, columns, channels], C-contiguous, written.
    """
    lines, columns, channels = out.shape
    together = _LANES // channels
    left = first[0]
    right = first[columns - 1] + counts[columns - 1]
    # Lines lie side by side, so that one weight meets many values.
    turned = np.zeros((right - left, _LANES), np.uint8)
    filtered = np.empty((columns, _LANES), np.uint8)
    sums = np.empty(_LANES, np.int32)
    for begin in range(0, lines, together):
        some = min(together, lines - begin)
        for line in range(some):
            y, lane = top + begin + line, line * channels
            for x in range(left, right):
                turned[x - left, lane] = pixels[y, x, 0]
                if channels == COLOURS:
                    turned[x - left, lane + 1] = pixels[y, x, 1]
                    turned[x - left, lane + 2] = pixels[y, x, 2]
        for column in range(columns):
            start = first[column] - left
            sums[:] = _HALF
            for tap in range(counts[column]):
                weight = weights[column, tap]
                for lane in range(_LANES):
                    sums[lane] += turned[start + tap, lane] * weight
            for lane in range(_LANES):
                filtered[column, lane] = min(max(sums[lane] >> FRACTION_BITS, 0), _WHITE)
        for line in range(some):
            y, lane = begin + line, line * channels
            for column in range(columns):
                out[y, column, 0] = filtered[column, lane]
                if channels == COLOURS:
                    out[y, column, 1] = filtered[column, lane + 1]
                    out[y, column, 2] = filtered[column, lane + 2]


def along_height(
    pixels: Array, left: int, first: Array, counts: Array, weights: Array, out: Array
) -> None:
    """Filters a picture along the height.

    Args:
        pixels: uint8 [height, values of a line], C-contiguous.
        left: the first value of a line that is filtered; as many as ``out`` has.
        first: int32 [lines of ``out``], the first line that each takes.
        counts: int32 [lines of ``out``], how many it takes.
        weights: int32 [lines of ``out``, most lines], with ``FRACTION_BITS`` after the point.
        out: uint8 [lines, values], C-contiguous, written.
    """
    lines, values = out.shape
    sums = np.empty(values, np.int32)
    for line in range(lines):
        sums[:] = _HALF
        for tap in range(counts[line]):
            weight = weights[line, tap]
            taken = pixels[first[line] + tap, left : left + values]
            for x in range(values):
                sums[x] += taken[x] * weight
        for x in range(values):
            out[line, x] = min(max(sums[x] >> FRACTION_BITS, 0), _WHITE)


def pick(pixels: Array, rows: Array, columns: Array, out: Array) -> None:
    """Copies some pixels of a picture.

    Args:
        pixels: uint8 [height, width, channels], C-contiguous.
        rows: int64 [height of ``out``], which lines.
        columns: int64 [width of ``out``], which pixels of them.
        out: uint8 [height, width, channels], C-contiguous, written.
    """
    height, width, channels = out.shape
    for y in range(height):
        line = pixels[rows[y]]
        for x in range(width):
            out[y, x, 0] = line[columns[x], 0]
            if channels == COLOURS:
                out[y, x, 1] = line[columns[x], 1]
                out[y, x, 2] = line[columns[x], 2]


def luma_of(pixels: Array, out: Array) -> None:
    """ITU-R BT.601 in whole numbers, as Pillow's ``convert("L")``.

    Args:
        pixels: uint8 [3 * values], red, green, blue and so on.
        out: uint8 [values], written.
    """
    for place in range(len(out)):
        red, green = np.uint32(pixels[3 * place]), np.uint32(pixels[3 * place + 1])
        blue = np.uint32(pixels[3 * place + 2])
        weighted = red * np.uint32(19595) + green * np.uint32(38470) + blue * np.uint32(7471)
        out[place] = (weighted + np.uint32(0x8000)) >> np.uint32(16)
