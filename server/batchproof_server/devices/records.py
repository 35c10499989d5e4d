"""What the front and a device process say to each other: short records, and where tensors lie.

One record is one message of a socket that keeps messages apart. Its first byte is a ``Tag``, the
next four a number: of the execution, or the bytes of a text that lies in the shared memory. Pure.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np

from batchproof_server.base.signature import TensorSpec

MOST_RECORD_BYTES: Final = 1 << 16
# What engines read fastest, and cache lines.
_ALIGNMENT_BYTES: Final = 64
_HEAD: Final = struct.Struct("<BI")


class Tag(IntEnum):
    """What a record says.

    EXECUTE (to the device) the inputs of an execution lie in their slots; their shapes follow.
    DONE its outputs do; their shapes follow. RAISED the model raised, FAILED something else did; a
    sentence follows. PROGRESS of loading; a JSON object follows. LOADED, REFUSED and BROKE: loading
    is over; a JSON object lies in the shared memory. DECODE (to the device) a file lies in a slot
    for pictures, whose number this is. MADE its rows lie behind it. UNFIT it is refused; a sentence
    follows.
    """

    EXECUTE = 1
    DONE = 2
    RAISED = 3
    FAILED = 4
    PROGRESS = 5
    LOADED = 6
    REFUSED = 7
    BROKE = 8
    DECODE = 9
    MADE = 10
    UNFIT = 11


class Record(NamedTuple):
    """A record that was read."""

    tag: Tag
    number: int
    rest: bytes


def pack(tag: Tag, number: int, rest: bytes = b"") -> bytes:
    """Writes a record; what is too long of the rest is cut off."""
    return _HEAD.pack(tag, number) + rest[: MOST_RECORD_BYTES - _HEAD.size]


def unpack(record: bytes) -> Record:
    """Reads a record.

    Raises:
        ValueError: it is none.
    """
    if len(record) < _HEAD.size:
        raise ValueError(f"a record of {len(record)} bytes, expected {_HEAD.size} or more")
    tag, number = _HEAD.unpack_from(record)
    return Record(Tag(tag), number, record[_HEAD.size :])


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a tensor lies.

    Attributes:
        start: its first byte.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int

    @property
    def size_bytes(self) -> int:
        """How long it is."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def end(self) -> int:
        """The byte behind it."""
        return self.start + self.size_bytes


def slots_of(
    specs: Sequence[TensorSpec], shapes: Sequence[tuple[int, ...]], start: int = 0
) -> tuple[Slot, ...]:
    """Where tensors of these shapes lie, one behind the other from ``start`` on."""
    slots: list[Slot] = []
    for spec, shape in zip(specs, shapes, strict=True):
        slots.append(Slot(spec.name, spec.dtype, shape, start))
        start = aligned(slots[-1].end)
    return tuple(slots)


def aligned(start: int) -> int:
    """The first byte from there on at which a tensor may begin."""
    return -(-start // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES


class Shapes:
    """Writes and reads the shapes of one side of a signature.

    Args:
        specs: of the side.
    """

    def __init__(self, specs: tuple[TensorSpec, ...]) -> None:
        self._specs = specs
        self._sizes = struct.Struct(f"<{sum(len(spec.row_shape) + 1 for spec in specs)}q")

    def pack(self, shapes: Sequence[tuple[int, ...]]) -> bytes:
        """Writes the shapes, with their rows."""
        return self._sizes.pack(*(size for shape in shapes for size in shape))

    def unpack(self, rest: bytes, rows: int | None = None) -> list[tuple[int, ...]]:
        """Reads the shapes.

        Args:
            rest: of a record.
            rows: that each of them must have; None takes any.

        Raises:
            ValueError: they are not of this side, or have other rows.
        """
        if len(rest) != self._sizes.size:
            raise ValueError(f"shapes in {len(rest)} bytes, expected {self._sizes.size}")
        sizes = iter(self._sizes.unpack(rest))
        shapes = [(next(sizes), *(next(sizes) for _ in spec.row_shape)) for spec in self._specs]
        for spec, shape in zip(self._specs, shapes, strict=True):
            if not _fits(spec, shape) or rows not in (None, shape[0]):
                raise ValueError(f'"{spec.name}" has shape {list(shape)}, expected {spec}')
        return shapes


def _fits(spec: TensorSpec, shape: tuple[int, ...]) -> bool:
    pairs = zip((None, *spec.row_shape), shape, strict=True)
    return all(size >= 1 if want is None else size == want for want, size in pairs)
