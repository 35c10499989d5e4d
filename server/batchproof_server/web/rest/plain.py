"""Messages of protobuf as values of JSON, as the REST APIs of others write them."""

import base64
from typing import Any, Final

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_Field = FieldDescriptor
_WIDE: Final = frozenset(
    {
        _Field.TYPE_INT64,
        _Field.TYPE_UINT64,
        _Field.TYPE_SINT64,
        _Field.TYPE_FIXED64,
        _Field.TYPE_SFIXED64,
    }
)


def plain(message: Message, *, wide_as_text: bool = False) -> dict[str, Any]:
    """A message as an object, under the names of its fields.

    Args:
        message: its messages are written where they are set, everything else always.
        wide_as_text: whether integers of 64 bits are strings, as in the JSON of protobuf.
    """
    return {
        field.name: _value(field, getattr(message, field.name), wide_as_text=wide_as_text)
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def _value(field: Any, value: Any, *, wide_as_text: bool) -> Any:
    if not field.is_repeated:
        return _one(field, value, wide_as_text=wide_as_text)
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        of_value = entry.fields_by_name["value"]
        return {
            str(key): _one(of_value, value[key], wide_as_text=wide_as_text) for key in sorted(value)
        }
    if field.type == _Field.TYPE_FLOAT:
        return np.array(value, np.float32)
    return [_one(field, each, wide_as_text=wide_as_text) for each in value]


def _one(field: Any, value: Any, *, wide_as_text: bool) -> Any:
    match field.type:
        case _Field.TYPE_MESSAGE:
            return plain(value, wide_as_text=wide_as_text)
        case _Field.TYPE_ENUM:
            known = field.enum_type.values_by_number.get(value)
            return value if known is None else known.name
        case _Field.TYPE_BYTES:
            return base64.b64encode(value).decode()
        case _Field.TYPE_FLOAT:
            return np.float32(value)
    return str(value) if wide_as_text and field.type in _WIDE else value
