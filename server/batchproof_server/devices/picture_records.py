"""What the front and a device process say to each other of one picture, and where it lies.

A slot holds the file from its first byte on, then the rows, then what is remembered of the picture,
each at a multiple of 64 bytes. Pure, but for the slots that it is given.
"""

import math
import struct
from typing import Any, Final, Self

import numpy as np

from batchproof_server.base.input_statistics import SeenPixels
from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.base.unguarded import unguarded
from batchproof_server.devices.arena import Arena
from batchproof_server.devices.records import Slot, aligned
from batchproof_server.imaging.decoded import PictureRows, PictureStatistics

_ASKED: Final = struct.Struct("<Q??")
# Seconds, aspect ratio, mean of the row; what was seen: its sides, and the colours, -1 for none.
_MADE: Final = struct.Struct("<ddd?HHHHi")
_NOT_SEEN: Final = (0.0, 0.0, False, 0, 0, 0, 0, 0)
_SIZE: Final = struct.Struct("<Q")
_COLOURS: Final = 3


@unguarded()
class PictureAsked:
    """What a device is to make of a file.

    Attributes:
        file_bytes: how long the file is.
        is_watched: whether somebody wants to know what the picture is like.
        is_large: whether what the work has freed is to be given back to the system at once.
        views: what rows are to be made, as the composition root writes a plan.
    """

    file_bytes: int
    is_watched: bool
    is_large: bool
    views: bytes

    def pack(self) -> bytes:
        """For the way to the device."""
        return _ASKED.pack(self.file_bytes, self.is_watched, self.is_large) + self.views

    @classmethod
    def unpack(cls, rest: bytes) -> Self:
        """Reads what ``pack`` wrote."""
        file_bytes, is_watched, is_large = _ASKED.unpack_from(rest)
        return cls(file_bytes, is_watched, is_large, rest[_ASKED.size :])


@unguarded()
class PictureMade:
    """What a device has made of a file.

    Attributes:
        made: the rows, and what was seen.
        took_s: the work.
    """

    made: PictureRows
    took_s: float


def row_place(row: TensorSpec, file_bytes: int) -> Slot | None:
    """Where a single row lies behind its file; None where the model takes rows of any size."""
    shape = tuple(size for size in row.row_shape if size is not None)
    if len(shape) < len(row.row_shape):
        return None
    return Slot(row.name, row.dtype, shape, aligned(file_bytes))


def write_made(slot: Arena, file_bytes: int, came: PictureMade) -> bytes:
    """Puts behind the file what does not lie there already.

    Returns:
        What else there is to say.
    """
    rows, seen = came.made.rows, came.made.seen
    parts = [rows, *(_pixels_of(seen) if seen is not None else ())]
    places = _places([(each.dtype, each.shape) for each in parts], file_bytes)
    slot.reserve(places[-1].end)
    for place, part in zip(places, parts, strict=True):
        there = slot.array(place)
        if not np.may_share_memory(there, part):
            there[...] = part
    shape = b"".join(map(_SIZE.pack, rows.shape))
    if seen is None:
        return _MADE.pack(came.took_s, *_NOT_SEEN) + shape
    colours = -1 if seen.pixels.colours is None else len(seen.pixels.colours)
    sides = (*seen.pixels.luma.shape, *seen.pixels.middle.shape)
    numbers = (came.took_s, seen.aspect_ratio, seen.tensor_mean, True, *sides, colours)
    return _MADE.pack(*numbers) + shape


def read_made(slot: Arena, file_bytes: int, rest: bytes, row: TensorSpec) -> PictureMade:
    """Copies the rows out of the slot.

    Args:
        slot: where they lie, behind the file.
        file_bytes: how long the file is.
        rest: what ``write_made`` returned.
        row: of the model's input.

    Raises:
        ValueError: it says what cannot be.
    """
    if len(rest) != _MADE.size + _SIZE.size * (1 + len(row.row_shape)):
        raise ValueError(f"a picture made in {len(rest)} bytes")
    took_s, ratio, mean, is_seen, height, width, high, wide, colours = _MADE.unpack_from(rest)
    shape = tuple(size for (size,) in _SIZE.iter_unpack(rest[_MADE.size :]))
    level = np.dtype(np.uint8)
    forms: list[tuple[np.dtype[Any], tuple[int, ...]]] = [(row.dtype, shape)]
    if is_seen:
        forms += [(level, (height, width)), (level, (high, wide)), (level, (colours, _COLOURS))]
    places = _places(forms[:-1] if is_seen and colours < 0 else forms, file_bytes)
    parts = [slot.array(place).copy() for place in places]
    if not row.admits(parts[0]):
        raise ValueError(f"rows of {list(shape)}, expected {row}")
    seen = None
    if is_seen:
        pixels = SeenPixels(parts[1], parts[2], parts[3] if colours >= 0 else None)
        seen = PictureStatistics(pixels, ratio, mean)
    return PictureMade(PictureRows(parts[0], seen), took_s)


def _pixels_of(seen: PictureStatistics) -> tuple[Array, ...]:
    pixels = seen.pixels
    colours = () if pixels.colours is None else (pixels.colours,)
    return (pixels.luma, pixels.middle, *colours)


def _places(forms: list[tuple[np.dtype[Any], tuple[int, ...]]], start: int) -> list[Slot]:
    places: list[Slot] = []
    for dtype, shape in forms:
        if math.prod(shape) < 0:
            raise ValueError(f"an array of {list(shape)}")
        places.append(Slot("", dtype, shape, aligned(start)))
        start = places[-1].end
    return places
