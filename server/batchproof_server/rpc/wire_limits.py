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
    """

    fields: Mapping[str, FieldLimit] = field(default_factory=dict)
    other: FieldLimit = FieldLimit(_OTHER_ENTRIES)
    parts: int = _OTHER_PARTS
    packed_numbers: int = _PACKED_NUMBERS
    unknown_bytes: int = 1 << 16
    depth: int = 16
    message_bytes: int | None = None

    def of(self, full_name: str) -> FieldLimit:
        """The limit of a repeated field or map."""
        return self.fields.get(full_name, self.other)


# Message types and the names of their fields.
Fields: TypeAlias = dict[tuple[type[Message], str], FieldLimit]


def limits_with_rows(max_rows: int, fields: Fields) -> WireLimits:
    """The limits of messages in which each row may have a part of its own.

    Args:
        max_rows: of one request.
        fields: that differ from the others.

    Raises:
        KeyError: there is no such field.
    """
    by_name = {
        message.DESCRIPTOR.fields_by_name[name].full_name: limit
        for (message, name), limit in fields.items()
    }
    return WireLimits(by_name, parts=_OTHER_PARTS + 4 * max_rows)


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
