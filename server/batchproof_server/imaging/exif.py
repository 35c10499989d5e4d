"""The one EXIF tag that changes a picture."""

import struct

import numpy as np

from batchproof_server.base.signature import Array

_ORDERS = {b"II": "<", b"MM": ">"}
_ORIENTATION_TAG = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12
_UPRIGHT = 1


def read_orientation(tiff: bytes) -> int:
    """The orientation, 1 to 8, from the first directory of a TIFF block (EXIF 2.32, 4.6.4).

    What is missing or garbage counts as 1, upright: metadata never makes a picture unreadable.
    """
    try:
        return _orientation(tiff)
    except struct.error:
        return _UPRIGHT


def orient(pixels: Array, orientation: int) -> Array:
    """Turns ``pixels`` [height, width, ...] upright; a view where it can be.

    Args:
        pixels: as stored.
        orientation: 1 to 8; 5 to 8 exchange width and height.
    """
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
