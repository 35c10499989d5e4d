"""``tensorflow.TensorProto``: bytes or typed values, of which the last may stand for the rest."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from batchproof.compat import tensorflow_pb2 as pb
from batchproof.tensors import MAX_DIMENSIONS, TensorError, from_bytes
from batchproof_server.base.errors import InvalidInput, cut
from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.base.unguarded import unguarded
from batchproof_server.rpc.contents import NO_CONTENTS, Contents
from batchproof_server.rpc.intake import Incoming
from batchproof_server.rpc.wire_limits import (
    FieldLimit,
    Fields,
    WireLimits,
    limits_with_rows,
    tensor_values,
)

# Number -> dtype, the field of its typed values, and the dtype of that field.
_DTYPES: dict[pb.DataType, tuple[str, str, str]] = {
    pb.DT_BOOL: ("|b1", "bool_val", "|b1"),
    pb.DT_INT8: ("|i1", "int_val", "<i4"),
    pb.DT_INT16: ("<i2", "int_val", "<i4"),
    pb.DT_INT32: ("<i4", "int_val", "<i4"),
    pb.DT_INT64: ("<i8", "int64_val", "<i8"),
    pb.DT_UINT8: ("|u1", "int_val", "<i4"),
    pb.DT_UINT16: ("<u2", "int_val", "<i4"),
    pb.DT_UINT32: ("<u4", "uint32_val", "<u4"),
    pb.DT_UINT64: ("<u8", "uint64_val", "<u8"),
    pb.DT_HALF: ("<f2", "half_val", "<i4"),  # the bits of each number
    pb.DT_FLOAT: ("<f4", "float_val", "<f4"),
    pb.DT_DOUBLE: ("<f8", "double_val", "<f8"),
}
_NUMBERS = {np.dtype(dtype).str: number for number, (dtype, _, _) in _DTYPES.items()}
_STRING_FIELD = "string_val"
_VALUE_FIELDS = frozenset((_STRING_FIELD, *(field for _, field, _ in _DTYPES.values())))
_HALF_BITS = np.dtype("<u2")


def limits_of_tensors(max_rows: int) -> WireLimits:
    """What a message of tensors may hold.

    Args:
        max_rows: of one request.
    """
    fields: Fields = {
        **tensor_values(pb.TensorProto),
        (pb.TensorProto, "string_val"): FieldLimit(max_rows),
        (pb.TensorShapeProto, "dim"): FieldLimit(MAX_DIMENSIONS),
    }
    return limits_with_rows(max_rows, fields, in_place=(pb.TensorProto, "tensor_content"))


def dtype_number(dtype: np.dtype[Any]) -> pb.DataType:
    """TensorFlow's number of a dtype; of strings when it is the dtype of objects."""
    return pb.DT_STRING if dtype.kind == "O" else _NUMBERS[dtype.newbyteorder("<").str]


@unguarded()
class ServingTensor:
    """An input as the request holds it.

    Attributes:
        max_bytes: of the array that typed values may stand for.
        contents: that the message has tickets for.
    """

    name: str
    message: pb.TensorProto
    max_bytes: int
    contents: Contents = NO_CONTENTS

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Of numbers; None for strings."""
        number = self.message.dtype
        return None if number == pb.DT_STRING else np.dtype(_DTYPES[number][0])

    @property
    def shape(self) -> tuple[int, ...]:
        """As the caller says it."""
        return tuple(dim.size for dim in self.message.tensor_shape.dim)

    def array(self) -> Array:
        """The numbers.

        Raises:
            InvalidInput: they are too few or too many, stand for too many bytes, or a value does
                not fit the dtype.
        """
        dtype, field, wide = _DTYPES[self.message.dtype]
        values = self._values(field)
        content = self.contents.of(self.message.tensor_content)
        if content or not (values or math.prod(self.shape)):
            try:
                return from_bytes(np.dtype(dtype), self.shape, content)
            except TensorError as fault:
                raise self._fault(f"tensor_{fault}") from fault
        return self._filled(self._narrow(np.array(values, np.dtype(wide)), dtype))

    def _values(self, field: str) -> Sequence[Any]:
        """The typed values; empty when the content is in bytes."""
        came = {each.name for each, _ in self.message.ListFields()} & {
            *_VALUE_FIELDS,
            "tensor_content",
        }
        if len(came) > 1 or not came <= {field, "tensor_content"}:
            raise self._fault(
                f"values are in {', '.join(sorted(came))}, expected {field} or tensor_content"
            )
        values: Sequence[Any] = getattr(self.message, field)
        expected = math.prod(self.shape)
        if len(values) > expected:
            raise self._fault(f"{field} has {len(values)} values, expected at most {expected}")
        return values

    def _narrow(self, values: Array, dtype: str) -> Array:
        # A value beyond the type would change silently; a half travels as its 16 bits.
        wanted = _HALF_BITS if self.message.dtype == pb.DT_HALF else np.dtype(dtype)
        narrow = values.astype(wanted)
        if wanted != values.dtype and (narrow != values).any():
            raise self._fault(f"a value is beyond {np.dtype(dtype).name}")
        return narrow.view(dtype)

    def _filled(self, values: Array) -> Array:
        """TensorFlow's rule: the last value stands for those that are missing; without any, 0."""
        count = math.prod(self.shape)
        if len(values) == count:
            return values.reshape(self.shape)
        if count * values.itemsize > self.max_bytes:
            raise self._fault(
                f"{len(values)} values stand for {count * values.itemsize} bytes, expected "
                f"{self.max_bytes} at most"
            )
        last = values[-1] if len(values) else values.dtype.type(0)
        if len(values) <= 1:
            return np.broadcast_to(last, self.shape)  # takes no memory
        filled = np.full(count, last, values.dtype)
        filled[: len(values)] = values
        return filled.reshape(self.shape)

    def strings(self) -> Sequence[bytes]:
        """The strings.

        Raises:
            InvalidInput: they are too many, or there are none.
        """
        values = self._values(_STRING_FIELD)
        missing = math.prod(self.shape) - len(values)
        if not values:
            raise self._fault("string_val is empty, expected encoded pictures")
        return [*values, *([values[-1]] * missing)]

    def _fault(self, sentence: str) -> InvalidInput:
        return InvalidInput(f'input "{cut(self.name)}": {sentence}')


def read_inputs(
    messages: Mapping[str, pb.TensorProto], max_bytes: int, contents: Contents
) -> dict[str, Incoming]:
    """The inputs by name; nothing of their content is read.

    Args:
        messages: by name.
        max_bytes: of the array that typed values may stand for.
        contents: that the messages have tickets for.

    Raises:
        InvalidInput: a dtype or rank is unknown.
    """
    for name in messages:
        _check_kind(name, messages[name])
    return {name: ServingTensor(name, messages[name], max_bytes, contents) for name in messages}


def _check_kind(name: str, message: pb.TensorProto) -> None:
    if message.dtype != pb.DT_STRING and message.dtype not in _DTYPES:
        known = ", ".join(pb.DataType.Name(number) for number in (*_DTYPES, pb.DT_STRING))
        raise InvalidInput(
            f'input "{cut(name)}": dtype is {message.dtype}, expected one of {known}'
        )
    if message.tensor_shape.unknown_rank:
        raise InvalidInput(f'input "{cut(name)}": its rank is unknown, expected a shape')


def write_tensor(tensor: pb.TensorProto, array: Array) -> None:
    """Writes an array as typed values, as TensorFlow Serving does: clients read them by field."""
    number = dtype_number(array.dtype)
    tensor.dtype = number
    write_shape(tensor.tensor_shape, array.shape)
    if array.dtype.kind == "O":
        tensor.string_val.extend(array.ravel().tolist())
        return
    values = array.ravel()
    if number == pb.DT_HALF:
        values = values.astype("<f2", copy=False).view(_HALF_BITS)
    getattr(tensor, _DTYPES[number][1]).extend(values.tolist())


def write_shape(message: pb.TensorShapeProto, shape: Sequence[int]) -> None:
    """Writes a shape; -1 stands for any size."""
    message.dim.extend(pb.TensorShapeProto.Dim(size=size) for size in shape)


def tensor_info(spec: TensorSpec) -> pb.TensorInfo:
    """An input or output of a signature."""
    info = pb.TensorInfo(name=f"{spec.name}:0", dtype=dtype_number(np.dtype(spec.dtype)))
    sizes = [-1 if size is None else size for size in (None, *spec.row_shape)]
    write_shape(info.tensor_shape, sizes)
    return info


def images_info(name: str) -> pb.TensorInfo:
    """An input of encoded pictures."""
    info = pb.TensorInfo(name=f"{name}:0", dtype=pb.DT_STRING)
    write_shape(info.tensor_shape, (-1,))
    return info
