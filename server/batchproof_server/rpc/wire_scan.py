"""Reads how many things are in the bytes of a message, before the message is made of them."""

import secrets
from typing import Final, NoReturn

import numpy as np
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

from batchproof_server.base.errors import InvalidInput
from batchproof_server.rpc.contents import LARGE_BYTES, NO_CONTENTS, TOKEN_BYTES, Contents, Cuts
from batchproof_server.rpc.wire_limits import WireLimits
from batchproof_server.rpc.wire_tables import (
    EIGHT_BYTES,
    FOUR_BYTES,
    LENGTH,
    MOST_VARINT_BYTES,
    VARINT,
    KnownField,
    WireTable,
    WireTables,
)

_MORE: Final = 0x80
_WIRE: Final = 7
_SKIPPED_BYTES: Final = 1 << 10
_COUNTED_BYTES: Final = 1 << 20
# Who is near a limit gets to the checks behind it, which know the model and how many came.
_SLACK: Final = 2


# Contract
#
# An entry of two bytes becomes an object of hundreds, so entries are counted before there is any
# object. The cost is that of the parts that are read, of which there are never more than the limit
# and one: pictures, tensors and packed numbers are passed over in one step, whatever their size.
# Of packed integers, which may take one byte each, numpy counts the last bytes.
# What passes may still be no message; the parser says so. What is refused as no message, the parser
# would refuse too, but for groups, which no field of these protocols is.
#
# A message in which nothing repeats, at any depth, and which is short is passed over too: it
# becomes one object, and reading it costs less than counting it.
#
# Large contents of the fields that the limits name stay where they came (rpc/contents.py): the
# message that is given to the parser has tickets in their places, and is otherwise the same.
class WireScan:
    """Reads the messages of one type before they are parsed.

    Args:
        descriptor: of the type.
        limits: what a message may hold.
    """

    def __init__(self, descriptor: Descriptor, limits: WireLimits) -> None:
        self._root = WireTables(limits).of(descriptor)
        self._limits = limits
        self._token = secrets.token_bytes(TOKEN_BYTES)
        # Of a type without fields nothing is kept.
        self._unknown_bytes = limits.unknown_bytes if descriptor.fields else None

    def read(self, content: bytes) -> tuple[bytes, Contents]:
        """A message that holds no more than the limits allow, and what it leaves where it came.

        Returns:
            What is to be parsed, and the contents that it has tickets for.

        Raises:
            InvalidInput: the bytes hold more; says of what.
            DecodeError: they are no message.
        """
        most_bytes = self._limits.message_bytes
        if most_bytes is not None and len(content) > most_bytes:
            raise InvalidInput(
                f"the message has {len(content)} bytes, expected {most_bytes} at most"
            )
        cuts = _NO_CUTS if len(content) < LARGE_BYTES else Cuts(content, self._token)
        try:
            count = _PartCount(content, self._limits, self._unknown_bytes, cuts)
            count.read(self._root, 0, len(content), 0)
        except IndexError:
            raise DecodeError(_NO_MESSAGE) from None
        return (content, NO_CONTENTS) if cuts is _NO_CUTS else cuts.parted()


# Of a message that has no room for large contents.
_NO_CUTS: Final = Cuts(b"", b"")
_NO_MESSAGE: Final = "the bytes are no message"


class _PartCount:
    """One reading of one message."""

    __slots__ = ("_content", "_cuts", "_limits", "_numbers_left", "_parts_left", "_unknown_left")

    def __init__(
        self, content: bytes, limits: WireLimits, unknown_bytes: int | None, cuts: Cuts
    ) -> None:
        self._content, self._cuts = content, cuts
        self._limits = limits
        self._parts_left = limits.parts
        self._numbers_left = limits.packed_numbers
        self._unknown_left = len(content) if unknown_bytes is None else unknown_bytes

    def read(  # noqa: C901, PLR0912 - a call for each kind of part would double the cost
        self, table: WireTable, at: int, end: int, depth: int
    ) -> int:
        """Counts the parts of the message that lies between two places.

        Returns:
            How many bytes it is shorter without its large contents.
        """
        if depth > self._limits.depth:
            self._refuse_depth()
        content, fields, counts, shorter = self._content, table.fields, [0] * table.counted, 0
        while at < end:
            self._parts_left -= 1
            begin, tag, at = at, content[at], at + 1
            if tag >= _MORE:
                tag, at = _varint(content, begin)
            size_at = at
            if tag & _WIRE == LENGTH:
                length, at = content[at], at + 1
                if length >= _MORE:
                    length, at = _varint(content, size_at)
                stop = at + length
            else:
                stop = _end_of_number(content, at, tag)
            if stop > end or self._parts_left < 0:
                self._refuse(is_cut=stop > end)
            if (known := fields.get(tag)) is None:
                self._pass_over(stop - begin)
            else:
                if known.limit.entries:
                    self._count(known, counts, at, stop)
                inner = known.inner
                if inner is not None and (inner.repeats or stop - at > _SKIPPED_BYTES):
                    left_out = self.read(inner, at, stop, depth + 1)
                    if left_out:
                        shorter += left_out
                        shorter += self._cuts.shorten(size_at, at, stop - at - left_out)
                elif known.stays and stop - at >= LARGE_BYTES:
                    shorter += self._cuts.take(size_at, at, stop)
            at = stop
        return shorter

    def _count(self, known: KnownField, counts: list[int], at: int, stop: int) -> None:
        """Adds what came of a field that repeats, of packed numbers the fewest that take so much.

        Raises:
            InvalidInput: there are too many.
        """
        packed_bytes, place, most = known.packed_bytes, known.place, known.limit.entries * _SLACK
        counts[place] += max(1, -((at - stop) // packed_bytes)) if packed_bytes else 1
        if counts[place] > most:
            packed = "" if known.limit.counts_packed else ", or packed ones"
            raise InvalidInput(
                f"{known.name} has more than {most} entries, expected "
                f"{known.limit.entries} at most{packed}"
            )
        if known.is_varints:
            self._count_numbers(at, stop)

    def _count_numbers(self, at: int, end: int) -> None:
        """Counts packed numbers by their last bytes, whose high bit is clear."""
        while at < end:
            size_bytes = min(_COUNTED_BYTES, end - at)
            signed = np.frombuffer(self._content, np.int8, size_bytes, at)
            self._numbers_left -= int(np.count_nonzero(signed >= 0))
            at += size_bytes
            if self._numbers_left < 0:
                most = self._limits.packed_numbers
                came = f"the tensors have more than {most} typed integers or booleans"
                raise InvalidInput(f"{came}, expected {most} at most; send the bytes of a tensor")

    def _pass_over(self, unknown_bytes: int) -> None:
        self._unknown_left -= unknown_bytes
        if self._unknown_left < 0:
            most = self._limits.unknown_bytes
            raise InvalidInput(
                f"fields that this server does not know have more than {most} bytes, expected "
                f"{most} at most"
            )

    def _refuse_depth(self) -> NoReturn:
        most = self._limits.depth
        raise InvalidInput(
            f"the message has more than {most} messages within each other, expected {most} at most"
        )

    def _refuse(self, *, is_cut: bool) -> NoReturn:
        if is_cut:
            raise DecodeError(_NO_MESSAGE)
        most = self._limits.parts
        raise InvalidInput(f"the message has more than {most} fields, expected {most} at most")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends."""
    value = 0
    for place in range(MOST_VARINT_BYTES):
        byte = content[at + place]
        value |= (byte & ~_MORE) << (7 * place)
        if byte < _MORE:
            return value, at + place + 1
    raise DecodeError(_NO_MESSAGE)


def _end_of_number(content: bytes, at: int, tag: int) -> int:
    wire = tag & _WIRE
    if wire == VARINT:
        return at + 1 if content[at] < _MORE else _varint(content, at)[1]
    if wire == EIGHT_BYTES:
        return at + 8
    if wire == FOUR_BYTES:
        return at + 4
    raise DecodeError(_NO_MESSAGE)
