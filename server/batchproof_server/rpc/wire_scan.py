"""Reads how many things are in the bytes of a message, before the message is made of them."""

from typing import Final, NoReturn, TypeAlias

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from batchproof_server.base.errors import InvalidInput
from batchproof_server.rpc.wire_limits import FieldLimit, WireLimits

_MORE: Final = 0x80
_WIRE: Final = 7
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_MOST_VARINT_BYTES: Final = 10
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
class WireScan:
    """Counts what is in the messages of one type.

    Args:
        descriptor: of the type.
        limits: what a message may hold.
    """

    def __init__(self, descriptor: Descriptor, limits: WireLimits) -> None:
        self._root = _Tables(limits).of(descriptor)
        self._limits = limits
        # Of a type without fields nothing is kept.
        self._unknown_bytes = limits.unknown_bytes if descriptor.fields else None

    def check(self, content: bytes) -> None:
        """Returns when the bytes hold no more than the limits allow.

        Raises:
            InvalidInput: they hold more; says of what.
            DecodeError: they are no message.
        """
        most_bytes = self._limits.message_bytes
        if most_bytes is not None and len(content) > most_bytes:
            raise InvalidInput(
                f"the message has {len(content)} bytes, expected {most_bytes} at most"
            )
        try:
            count = _PartCount(content, self._limits, self._unknown_bytes)
            count.read(self._root, 0, len(content), 0)
        except IndexError:
            raise DecodeError(_NO_MESSAGE) from None


_NO_MESSAGE: Final = "the bytes are no message"


class _PartCount:
    """One reading of one message."""

    __slots__ = ("_content", "_limits", "_numbers_left", "_parts_left", "_unknown_left")

    def __init__(self, content: bytes, limits: WireLimits, unknown_bytes: int | None) -> None:
        self._content = content
        self._limits = limits
        self._parts_left = limits.parts
        self._numbers_left = limits.packed_numbers
        self._unknown_left = len(content) if unknown_bytes is None else unknown_bytes

    # One call reads all parts that have no parts themselves: a call for each would double the cost.
    def read(self, table: "_Table", at: int, end: int, depth: int) -> None:
        """Counts the parts of the message that lies between two places."""
        if depth > self._limits.depth:
            self._refuse_depth()
        content, fields, counts = self._content, table.fields, [0] * table.counted
        while at < end:
            self._parts_left -= 1
            begin, tag, at = at, content[at], at + 1
            if tag >= _MORE:
                tag, at = _varint(content, begin)
            if tag & _WIRE == _LENGTH:
                length, at = content[at], at + 1
                if length >= _MORE:
                    length, at = _varint(content, at - 1)
                stop = at + length
            else:
                stop = _end_of_number(content, at, tag)
            if stop > end or self._parts_left < 0:
                self._refuse(is_cut=stop > end)
            if (known := fields.get(tag)) is None:
                self._pass_over(stop - begin)
            else:
                if known.most and known.count(counts, stop - at):
                    self._count_numbers(at, stop)
                inner = known.inner
                if inner is not None and (inner.repeats or stop - at > _SKIPPED_BYTES):
                    self.read(inner, at, stop, depth + 1)
            at = stop

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
    for place in range(_MOST_VARINT_BYTES):
        byte = content[at + place]
        value |= (byte & ~_MORE) << (7 * place)
        if byte < _MORE:
            return value, at + place + 1
    raise DecodeError(_NO_MESSAGE)


def _end_of_number(content: bytes, at: int, tag: int) -> int:
    wire = tag & _WIRE
    if wire == _VARINT:
        return at + 1 if content[at] < _MORE else _varint(content, at)[1]
    if wire == _EIGHT_BYTES:
        return at + 8
    if wire == _FOUR_BYTES:
        return at + 4
    raise DecodeError(_NO_MESSAGE)


class _Table:
    """What is known of a message type.

    Attributes:
        fields: by their tags, which are their numbers and how they are written.
        counted: how many of the fields repeat.
        repeats: whether any field does, at any depth.
    """

    __slots__ = ("counted", "fields", "repeats")

    def __init__(self) -> None:
        self.fields: dict[int, _Known] = {}
        self.counted = 0
        self.repeats = True


_UNCOUNTED: Final = FieldLimit(0)


class _Known:
    """A field as it is written under one tag.

    Args:
        name: for the caller.
        limit: of one that repeats.
        place: of its count among those of its message.
        packed_bytes: the most that a packed number takes; 0 when an entry has a tag of its own.
        inner: what is known of the message that it holds.
        is_varints: whether it is packed numbers of a tensor, of one byte or more each.

    Attributes:
        most: entries; 0 for a field that does not repeat.
    """

    __slots__ = ("_is_varints", "_limit", "_name", "_packed_bytes", "_place", "inner", "most")

    def __init__(
        self,
        name: str,
        limit: FieldLimit = _UNCOUNTED,
        place: int = 0,
        packed_bytes: int = 0,
        inner: _Table | None = None,
        *,
        is_varints: bool = False,
    ) -> None:
        self._name = name
        self._limit = limit
        self.most = limit.entries * _SLACK
        self._place = place
        self._packed_bytes = packed_bytes
        self.inner = inner
        self._is_varints = is_varints

    def count(self, counts: list[int], size_bytes: int) -> bool:
        """Adds what came, of packed numbers the fewest that take so many bytes.

        Returns:
            Whether it is packed numbers of a tensor, of one byte or more each.

        Raises:
            InvalidInput: these are too many.
        """
        packed_bytes, place = self._packed_bytes, self._place
        counts[place] += max(1, -(-size_bytes // packed_bytes)) if packed_bytes else 1
        if counts[place] > self.most:
            packed = "" if self._limit.counts_packed else ", or packed ones"
            raise InvalidInput(
                f"{self._name} has more than {self.most} entries, expected {self._limit.entries} "
                f"at most{packed}"
            )
        return self._is_varints


# A field that neither repeats nor holds a message.
_PLAIN: Final = _Known("")
_Field: TypeAlias = FieldDescriptor


class _Tables:
    """Makes the tables of types that may hold each other."""

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self._made: dict[str, _Table] = {}

    def of(self, descriptor: Descriptor) -> _Table:
        """The table of a type."""
        if (known := self._made.get(descriptor.full_name)) is not None:
            return known
        table = self._made[descriptor.full_name] = _Table()
        for field in descriptor.fields:
            table.fields.update(self._known(field, table.counted))
            table.counted += field.is_repeated
        inner = [each.inner.repeats for each in table.fields.values() if each.inner is not None]
        table.repeats = bool(table.counted) or any(inner)
        return table

    def _known(self, field: _Field, place: int) -> dict[int, _Known]:
        """The field under each tag that it may be written with."""
        wire = _WIRES.get(field.type, _VARINT)
        inner = None if field.message_type is None else self.of(field.message_type)
        tag = field.number << 3
        if not field.is_repeated:
            name = field.name
            return {tag | wire: _PLAIN if inner is None else _Known(name, inner=inner)}
        limit, name = self._limits.of(field.full_name), _short(field.full_name)
        known = {tag | wire: _Known(name, limit, place, inner=inner)}
        if wire != _LENGTH:
            packed_bytes = _SIZES[wire] if limit.counts_packed else 0
            is_varints = wire == _VARINT and not limit.counts_packed
            known[tag | _LENGTH] = _Known(name, limit, place, packed_bytes, is_varints=is_varints)
        return known


def _short(full_name: str) -> str:
    """The message and the field."""
    return ".".join(full_name.split(".")[-2:])


_WIRES: Final = {
    _Field.TYPE_DOUBLE: _EIGHT_BYTES,
    _Field.TYPE_FIXED64: _EIGHT_BYTES,
    _Field.TYPE_SFIXED64: _EIGHT_BYTES,
    _Field.TYPE_FLOAT: _FOUR_BYTES,
    _Field.TYPE_FIXED32: _FOUR_BYTES,
    _Field.TYPE_SFIXED32: _FOUR_BYTES,
    _Field.TYPE_STRING: _LENGTH,
    _Field.TYPE_BYTES: _LENGTH,
    _Field.TYPE_MESSAGE: _LENGTH,
}
_SIZES: Final = {_VARINT: _MOST_VARINT_BYTES, _EIGHT_BYTES: 8, _FOUR_BYTES: 4}
