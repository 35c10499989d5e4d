"""The most memory that work on one picture takes, known from its header.

Every figure is a bound of what was measured, picture by picture in processes of their own:
docs/measurements/decoding.md, made by benchmarks/decode_memory.py.
"""

from typing import Final

from batchproof_server.imaging.formats.table import FORMATS
from batchproof_server.imaging.geometry import Framing, Size, framing
from batchproof_server.imaging.header import ImageHeader
from batchproof_server.imaging.resize import ResizePlan
from batchproof_server.imaging.settings import RecipePlan

# Of a decoded picture in Pillow's form: colours, and 16 bits of grey where they are kept.
_PICTURE_PIXEL_BYTES: Final = 4
# The greatest block of any decoder, a JPEG's with 4 x 4 sampling.
_BLOCK_PIXELS: Final = 32
# Code tables, filters, the sampled copy that statistics are made of.
_ANY_PICTURE_BYTES: Final = 4_000_000
# The file in the call's message, without its metadata, and in TensorFlow's tensor and its copy.
_FILES: Final = {"accurate": 2, "tensorflow-fast": 4}
# The pixels as an array, and the pieces that Pillow makes it of.
_ARRAY_PIXEL_BYTES: Final = 6
_FLOAT_PIXEL_BYTES: Final = 12
# The resized picture, the array of it, the row of floats.
_PILLOW_TARGET_BYTES: Final = 24
# The resized floats, the array of them, rounding, the row.
_TENSORFLOW_TARGET_BYTES: Final = 36
# An array of TensorFlow's as a picture of Pillow's, with the contiguous one between them.
_PILLOW_OF_ARRAY_BYTES: Final = 8
# The picture as an array, and what a view of it is made in: most for "scale" of 16 bits.
_VIEW_PIXEL_BYTES: Final = 24


def decoding_bytes(plan: RecipePlan, encoded: bytes, header: ImageHeader, views: int) -> int:
    """What a picture takes from its file to the rows of its views.

    Args:
        plan: of the recipe.
        encoded: the file, whose header has passed the limits.
        header: its header.
        views: rows that are made of it besides its own.

    Raises:
        InvalidInput: the file is corrupt.
    """
    pixels = _in_blocks(header.width) * _in_blocks(header.height)
    cost = FORMATS[header.format].cost(encoded)
    pixel_bytes = cost.accurate if plan.decoder == "accurate" else cost.tensorflow_fast
    if plan.orientation == "apply":
        pixel_bytes = max(pixel_bytes, 2 * _PICTURE_PIXEL_BYTES)
    came = Size(header.width, header.height)
    rows = _PICTURE_PIXEL_BYTES * came.pixels + rows_bytes(plan, came, views)
    files = _FILES[plan.decoder] * len(encoded)
    return files + max(pixel_bytes * pixels, rows) + _ANY_PICTURE_BYTES


def rows_bytes(plan: RecipePlan, came: Size, views: int) -> int:
    """What the rows of a decoded picture take beside it.

    Args:
        plan: of the recipe.
        came: the size of the picture, before it is turned upright.
        views: rows that are made of it besides its own.
    """
    # Turned upright it may be the other way round, and so may a view.
    is_turned = views or plan.orientation == "apply"
    ways = (came, Size(came.height, came.width)) if is_turned else (came,)
    a_row = most_pixels = 0
    for way in ways:
        framed = None if plan.resize is None else framing(plan.resize, way, _row(plan.resize, way))
        target = way if framed is None else _target(framed)
        pixels = target.pixels
        a_row = max(a_row, _row_bytes(plan, way, target, pixels, framed))
        most_pixels = max(most_pixels, pixels)
    if not views:
        return a_row
    return a_row + views * most_pixels * _FLOAT_PIXEL_BYTES + _VIEW_PIXEL_BYTES * came.pixels


def _row_bytes(
    plan: RecipePlan, came: Size, target: Size, target_pixels: int, framed: Framing | None
) -> int:
    """What one row takes beside a picture that lies this way."""
    # Channels first: the row is turned from another one.
    turned = target_pixels * _FLOAT_PIXEL_BYTES if plan.layout == "channels_first" else 0
    if plan.resize is None or framed is None:
        return turned + (_ARRAY_PIXEL_BYTES + _FLOAT_PIXEL_BYTES) * came.pixels
    if plan.resize.library == "pillow":
        source = 0 if plan.decoder == "accurate" else _PILLOW_OF_ARRAY_BYTES * came.pixels
        # The filter goes along the width first.
        between = _PICTURE_PIXEL_BYTES * target.width * came.height
        return turned + source + between + _PILLOW_TARGET_BYTES * target_pixels
    read = framed.read
    read_pixels, width = max(came.pixels, read.width * read.height), max(came.width, read.width)
    # The filter goes along the height first, in floats.
    between = _FLOAT_PIXEL_BYTES * target.height * width
    source = 2 * _ARRAY_PIXEL_BYTES * read_pixels
    return turned + source + between + _TENSORFLOW_TARGET_BYTES * target_pixels


def _target(framed: Framing) -> Size:
    """What the filter makes or, where it makes less, the row."""
    made, row = framed.made, framed.row
    return made if made != row and made.pixels > row.pixels else row


def _row(resize: ResizePlan, came: Size) -> Size:
    return Size(resize.width or came.width, resize.height or came.height)


def _in_blocks(side: int) -> int:
    return -(-side // _BLOCK_PIXELS) * _BLOCK_PIXELS
