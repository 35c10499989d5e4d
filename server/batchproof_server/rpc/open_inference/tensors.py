"""The tensors of the Open Inference Protocol v2: raw bytes or typed values."""

import math
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from batchproof.compat import inference_pb2 as pb
from batchproof.tensors import TensorError, from_bytes
from batchproof_server.base.errors import InvalidInput, cut
from batchproof_server.base.signature import Array
from batchproof_server.base.unguarded import unguarded
from batchproof_server.rpc.contents import Contents
from batchproof_server.rpc.intake import Incoming

BYTES = "BYTES"
# Datatype -> dtype, the field of its typed values, and the dtype of that field.
_DATATYPES: dict[str, tuple[str, str, str]] = {
    "BOOL": ("|b1", "bool_contents", "|b1"),
    "INT8": ("|i1", "int_contents", "<i4"),
    "INT16": ("<i2", "int_contents", "<i4"),
    "INT32": ("<i4", "int_contents", "<i4"),
    "INT64": ("<i8", "int64_contents", "<i8"),
    "UINT8": ("|u1", "uint_contents", "<u4"),
    "UINT16": ("<u2", "uint_contents", "<u4"),
    "UINT32": ("<u4", "uint_contents", "<u4"),
    "UINT64": ("<u8", "uint64_contents", "<u8"),
    "FP16": ("<f2", "", ""),
    "FP32": ("<f4", "fp32_contents", "<f4"),
    "FP64": ("<f8", "fp64_contents", "<f8"),
}
_NAMES = {np.dtype(dtype).str: name for name, (dtype, _, _) in _DATATYPES.items()}
_LENGTH = struct.Struct("<I")


def datatype_of(dtype: np.dtype[Any]) -> str:
    """The protocol's name of a dtype; of byte strings when it is the dtype of objects."""
    return BYTES if dtype.kind == "O" else _NAMES[dtype.newbyteorder("<").str]


def dtype_of(datatype: str) -> np.dtype[Any] | None:
    """The dtype under a name of the protocol; None for byte strings and unknown names."""
    return np.dtype(_DATATYPES[datatype][0]) if datatype in _DATATYPES else None


@unguarded()
class InferTensor:
    """An input as the request holds it.

    Attributes:
        raw: its bytes; None when the values are typed.
    """

    message: pb.ModelInferRequest.InferInputTensor
    raw: bytes | memoryview | None

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Of numbers; None for byte strings."""
        return dtype_of(self.message.datatype)

    @property
    def shape(self) -> tuple[int, ...]:
        """As the caller says it."""
        return tuple(self.message.shape)

    def array(self) -> Array:
        """The numbers.

        Raises:
            InvalidInput: they are too few or too many, or a value does not fit the datatype.
        """
        dtype, field, wide = _DATATYPES[self.message.datatype]
        raw = self.raw
        if raw is None:
            raw = self._typed(field, wide, dtype)
        try:
            return from_bytes(np.dtype(dtype), self.shape, raw)
        except TensorError as fault:
            raise self._fault(str(fault)) from fault

    def _typed(self, field: str, wide: str, dtype: str) -> bytes:
        if not field:
            raise self._fault("FP16 values are typed, expected raw_input_contents")
        values = self._values(field)
        array = np.array(values, np.dtype(wide))
        narrow = array.astype(dtype)
        if wide != dtype and (narrow != array).any():
            raise self._fault(f"a value is beyond {self.message.datatype}")
        return narrow.tobytes()

    def _values(self, field: str) -> Sequence[Any]:
        """The values of a field whose number is right, the other fields being empty."""
        others = [
            other.name for other, _ in self.message.contents.ListFields() if other.name != field
        ]
        if others:
            raise self._fault(f"values are in {', '.join(others)}, expected {field}")
        values: Sequence[Any] = getattr(self.message.contents, field)
        expected = math.prod(self.shape)
        if len(values) != expected:
            raise self._fault(f"{field} has {len(values)} values, expected {expected}")
        return values

    def strings(self) -> Sequence[bytes]:
        """The byte strings.

        Raises:
            InvalidInput: they are too few or too many, or a length is wrong.
        """
        if self.raw is None:
            return self._values("bytes_contents")
        return list(self._framed(self.raw, math.prod(self.shape)))

    def _framed(self, raw: bytes | memoryview, count: int) -> Iterable[bytes]:
        """Each byte string comes after its length, 4 bytes, little-endian."""
        end = 0
        for number in range(count):
            start = end + _LENGTH.size
            if start > len(raw):
                raise self._fault(f"the bytes end before element {number} of {count}")
            end = start + _LENGTH.unpack_from(raw, end)[0]
            if end > len(raw):
                raise self._fault(
                    f"element {number} is {end - start} bytes, only {len(raw) - start} are left"
                )
            yield bytes(raw[start:end])
        if end != len(raw):
            raise self._fault(f"{len(raw) - end} bytes come after the last of {count} elements")

    def _fault(self, sentence: str) -> InvalidInput:
        return InvalidInput(f'input "{cut(self.message.name)}": {sentence}')


def read_inputs(request: pb.ModelInferRequest, contents: Contents) -> dict[str, Incoming]:
    """The inputs by name; nothing of their content is read.

    Args:
        request: the message.
        contents: that it has tickets for.

    Raises:
        InvalidInput: raw and typed contents are mixed, their number is wrong, a datatype is
            unknown, or a name comes twice.
    """
    raws: Sequence[bytes | memoryview | None] = [
        contents.of(raw) for raw in request.raw_input_contents
    ]
    if not raws:
        raws = [None] * len(request.inputs)
    elif len(raws) != len(request.inputs):
        raise InvalidInput(
            f"raw_input_contents has {len(raws)} entries, expected {len(request.inputs)}, one for "
            "each input"
        )
    inputs: dict[str, Incoming] = {}
    for message, raw in zip(request.inputs, raws, strict=True):
        _check_input(message, raw, inputs)
        inputs[message.name] = InferTensor(message, raw)
    return inputs


def _check_input(
    message: pb.ModelInferRequest.InferInputTensor,
    raw: bytes | memoryview | None,
    others: dict[str, Incoming],
) -> None:
    name = cut(message.name)
    if message.name in others:
        raise InvalidInput(f'input "{name}" comes twice')
    if raw is not None and message.contents.ListFields():
        raise InvalidInput(
            f'input "{name}" has typed contents beside raw_input_contents, expected one of them'
        )
    if message.datatype not in (BYTES, *_DATATYPES):
        known = ", ".join((*_DATATYPES, BYTES))
        raise InvalidInput(
            f'input "{name}": datatype is "{cut(message.datatype)}", expected one of {known}'
        )


def write_output(response: pb.ModelInferResponse, name: str, array: Array) -> None:
    """Adds an output, raw as every client of the protocol can read it."""
    response.outputs.add(name=name, datatype=datatype_of(array.dtype), shape=array.shape)
    if array.dtype.kind == "O":
        raw = b"".join(_LENGTH.pack(len(text)) + text for text in array.flat)
    else:
        raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    response.raw_output_contents.append(raw)
