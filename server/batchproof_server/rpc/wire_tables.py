"""What the contract knows of a message type, by the tags that stand in its bytes."""

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from batchproof_server.rpc.wire_limits import FieldLimit, WireLimits

VARINT: Final = 0
EIGHT_BYTES: Final = 1
LENGTH: Final = 2
FOUR_BYTES: Final = 5
MOST_VARINT_BYTES: Final = 10


class WireTable:
    """What is known of a message type.

    Attributes:
        fields: by their tags, which are their numbers and how they are written.
        counted: how many of the fields repeat.
        repeats: whether any field does, at any depth.
    """

    __slots__ = ("counted", "fields", "repeats")

    def __init__(self) -> None:
        self.fields: dict[int, KnownField] = {}
        self.counted = 0
        self.repeats = True


_UNCOUNTED: Final = FieldLimit(0)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class KnownField:
    """A field as it is written under one tag.

    Attributes:
        name: for the caller.
        limit: of one that repeats; of another no entries.
        place: of its count among those of its message.
        packed_bytes: the most that a packed number takes; 0 when an entry has a tag of its own.
        inner: what is known of the message that it holds.
        is_varints: whether it is packed numbers of a tensor, of one byte or more each.
        stays: whether large content of it stays where it came.
    """

    name: str = ""
    limit: FieldLimit = _UNCOUNTED
    place: int = 0
    packed_bytes: int = 0
    inner: WireTable | None = None
    is_varints: bool = False
    stays: bool = False


_Field: TypeAlias = FieldDescriptor


class WireTables:
    """Makes the tables of types that may hold each other."""

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self._made: dict[str, WireTable] = {}

    def of(self, descriptor: Descriptor) -> WireTable:
        """The table of a type."""
        if (known := self._made.get(descriptor.full_name)) is not None:
            return known
        table = self._made[descriptor.full_name] = WireTable()
        for each in descriptor.fields:
            table.fields.update(self._known(each, table.counted))
            table.counted += each.is_repeated
        inner = [each.inner.repeats for each in table.fields.values() if each.inner is not None]
        table.repeats = bool(table.counted) or any(inner)
        return table

    def _known(self, of: _Field, place: int) -> dict[int, KnownField]:
        """The field under each tag that it may be written with."""
        wire = _WIRES.get(of.type, VARINT)
        inner = None if of.message_type is None else self.of(of.message_type)
        limit = self._limits.of(of.full_name) if of.is_repeated else _UNCOUNTED
        tag, stays = of.number << 3, of.full_name in self._limits.in_place
        known = KnownField(
            name=_short(of.full_name), limit=limit, place=place, inner=inner, stays=stays
        )
        if not of.is_repeated or wire == LENGTH:
            return {tag | wire: known}
        packed = replace(
            known,
            packed_bytes=_SIZES[wire] if limit.counts_packed else 0,
            is_varints=wire == VARINT and not limit.counts_packed,
        )
        return {tag | wire: known, tag | LENGTH: packed}


def _short(full_name: str) -> str:
    """The message and the field."""
    return ".".join(full_name.split(".")[-2:])


_WIRES: Final = {
    _Field.TYPE_DOUBLE: EIGHT_BYTES,
    _Field.TYPE_FIXED64: EIGHT_BYTES,
    _Field.TYPE_SFIXED64: EIGHT_BYTES,
    _Field.TYPE_FLOAT: FOUR_BYTES,
    _Field.TYPE_FIXED32: FOUR_BYTES,
    _Field.TYPE_SFIXED32: FOUR_BYTES,
    _Field.TYPE_STRING: LENGTH,
    _Field.TYPE_BYTES: LENGTH,
    _Field.TYPE_MESSAGE: LENGTH,
}
_SIZES: Final = {VARINT: MOST_VARINT_BYTES, EIGHT_BYTES: 8, FOUR_BYTES: 4}
