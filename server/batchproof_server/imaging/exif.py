"""The one EXIF tag that changes a picture."""

import struct
from typing import Final

import numpy as np
from PIL import Image

from batchproof_server.base.signature import Array
from batchproof_server.imaging.geometry import Picture

_ORDERS = {b"II": "<", b"MM": ">"}
_ORIENTATION_TAG = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12
_UPRIGHT = 1
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_orientation(tiff: bytes) -> int:
    """The orientation, 1 to 8, from the first directory of a TIFF block (EXIF 2.32, 4.6.4).

    What is missing or garbage counts as 1, upright: metadata never makes a picture unreadable.
    """
    try:
        return _orientation(tiff)
    except struct.error:
        return _UPRIGHT


def upright(picture: Picture, orientation: int) -> Picture:
    """Turns a picture upright, in the form that it has; an array is C-contiguous then.

    Args:
        picture: as stored.
        orientation: 2 to 8; 5 to 8 exchange width and height.
    """
    if isinstance(picture, Image.Image):
        return picture.transpose(_TURNS[orientation])
    return np.ascontiguousarray(_orient(picture, orientation))


def _orient(pixels: Array, orientation: int) -> Array:
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    flips = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}
    return np.flip(pixels, flips.get(orientation, ()))


def _orientation(tiff: bytes) -> int:
    order = _ORDERS.get(tiff[:2])
    if order is None:
        return _UPRIGHT
    directory = struct.unpack_from(order + "I", tiff, 4)[0]
    count = struct.unpack_from(order + "H", tiff, directory)[0]
    for index in range(count):
        start = directory + 2 + index * _ENTRY_BYTES
        tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, start)
        if tag == _ORIENTATION_TAG:
            valid = kind == _SHORT and 1 <= value <= 8  # noqa: PLR2004 - the eight orientations
            return int(value) if valid else _UPRIGHT
    return _UPRIGHT
