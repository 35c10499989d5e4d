"""How much a request message may hold, known before it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from google.protobuf.message import Message

# Of messages without pictures and tensors: several times what a thousand outcomes take.
SMALL_MESSAGE_BYTES: Final = 1 << 20
_OTHER_ENTRIES: Final = 256
_OTHER_PARTS: Final = 4_096
_MOST_VALUES: Final = 1_024
# 27 pictures of 224 x 224 x 3. They are parsed in 30 ms, and take 64 MiB meanwhile.
_PACKED_NUMBERS: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class FieldLimit:
    """Of one repeated field or map.

    Attributes:
        entries: the most that any request is answered with; a map's pairs, and numbers whether
            packed or not.
        counts_packed: whether packed numbers are counted too. Those of a tensor are not, if they
            are of a fixed size: they take little more memory than their bytes, and are compared
            with the shape afterwards. Others have ``WireLimits.packed_numbers`` together.
    """

    entries: int
    counts_packed: bool = True


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Of one message.

    Attributes:
        fields: of repeated fields and maps, by their full names.
        other: of every repeated field and map that is not among them.
        parts: everything that has a tag of its own, at any depth.
        packed_numbers: of all tensors together, of those that may take one byte each; a number of
            one byte takes up to 16 while it is parsed.
        unknown_bytes: of all fields together that the contract does not have.
        depth: messages within messages.
        message_bytes: of the whole; None leaves it to the front.
        in_place: the full names of fields of bytes whose large contents stay where they came; who
            reads them asks ``rpc.contents.Contents``.
    """

    fields: Mapping[str, FieldLimit] = field(default_factory=dict)
    other: FieldLimit = FieldLimit(_OTHER_ENTRIES)
    parts: int = _OTHER_PARTS
    packed_numbers: int = _PACKED_NUMBERS
    unknown_bytes: int = 1 << 16
    depth: int = 16
    message_bytes: int | None = None
    in_place: frozenset[str] = frozenset()

    def of(self, full_name: str) -> FieldLimit:
        """The limit of a repeated field or map."""
        return self.fields.get(full_name, self.other)


# Message types and the names of their fields.
Fields: TypeAlias = dict[tuple[type[Message], str], FieldLimit]


def limits_with_rows(
    max_rows: int, fields: Fields, in_place: tuple[type[Message], str] | None = None
) -> WireLimits:
    """The limits of messages in which each row may have a part of its own.

    Args:
        max_rows: of one request.
        fields: that differ from the others.
        in_place: the field whose large contents stay where they came.

    Raises:
        KeyError: there is no such field.
    """
    by_name = {_full_name(*field): limit for field, limit in fields.items()}
    stay = frozenset() if in_place is None else frozenset({_full_name(*in_place)})
    return WireLimits(by_name, parts=_OTHER_PARTS + 4 * max_rows, in_place=stay)


def _full_name(message: type[Message], name: str) -> str:
    return message.DESCRIPTOR.fields_by_name[name].full_name


def tensor_values(message: type[Message]) -> Fields:
    """The limits of a message's repeated numbers, which are the elements of a tensor.

    Clients pack them. Not packed, each has a tag, and reading the tags of a whole tensor would take
    seconds.
    """
    limit = FieldLimit(_MOST_VALUES, counts_packed=False)
    return {
        (message, each.name): limit
        for each in message.DESCRIPTOR.fields
        if each.is_repeated and each.cpp_type not in (each.CPPTYPE_STRING, each.CPPTYPE_MESSAGE)
    }
