"""The one array codec: ``numpy.ndarray`` to ``batchproof.v1.Tensor`` and back, bit for bit.

On the wire a tensor is dense, little-endian and row-major. Every element type of the contract has
one numpy dtype and the other way round.
"""

import math
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from batchproof.v1 import prediction_pb2 as pb

Array: TypeAlias = npt.NDArray[Any]

# numpy 1.26 allows no more.
MAX_DIMENSIONS: Final = 32

_DTYPES: Final[dict[pb.DataType, np.dtype[Any]]] = {
    pb.DATA_TYPE_BOOL: np.dtype("|b1"),
    pb.DATA_TYPE_INT8: np.dtype("|i1"),
    pb.DATA_TYPE_INT16: np.dtype("<i2"),
    pb.DATA_TYPE_INT32: np.dtype("<i4"),
    pb.DATA_TYPE_INT64: np.dtype("<i8"),
    pb.DATA_TYPE_UINT8: np.dtype("|u1"),
    pb.DATA_TYPE_UINT16: np.dtype("<u2"),
    pb.DATA_TYPE_UINT32: np.dtype("<u4"),
    pb.DATA_TYPE_UINT64: np.dtype("<u8"),
    pb.DATA_TYPE_FLOAT16: np.dtype("<f2"),
    pb.DATA_TYPE_FLOAT32: np.dtype("<f4"),
    pb.DATA_TYPE_FLOAT64: np.dtype("<f8"),
}
_DATA_TYPES: Final = {dtype.str: data_type for data_type, dtype in _DTYPES.items()}
_MAX_TENSOR_BYTES: Final = int(np.iinfo(np.intp).max)


class TensorError(ValueError):
    """A tensor that cannot be carried or read; says what came and what was expected."""


def dtype_of(data_type: pb.DataType) -> np.dtype[Any]:
    """Returns the little-endian dtype of an element type of the contract.

    Raises:
        TensorError: the contract does not know the number, or it says "unspecified".
    """
    try:
        return _DTYPES[data_type]
    except KeyError:
        raise TensorError(
            f"data_type is {data_type}, expected one of {_known_data_types()}"
        ) from None


def data_type_of(dtype: np.dtype[Any]) -> pb.DataType:
    """Returns the element type of the contract for a dtype of any byte order.

    Raises:
        TensorError: the contract has none for it.
    """
    try:
        return _DATA_TYPES[dtype.newbyteorder("<").str]
    except KeyError:
        known = ", ".join(each.name for each in _DTYPES.values())
        raise TensorError(f"dtype is {dtype}, expected one of {known}") from None


def from_proto(tensor: pb.Tensor) -> Array:
    """Reads a tensor as a read-only view of its content, without a further copy.

    Returns:
        An array of the tensor's shape, little-endian and C-contiguous.

    Raises:
        TensorError: unknown element type, negative size, more than ``MAX_DIMENSIONS`` sizes, a
            product of sizes that no array can have, another number of bytes than the shape needs,
            or a bool that is neither 0 nor 1.
    """
    return from_bytes(dtype_of(tensor.data_type), tuple(tensor.shape), tensor.content)


def from_bytes(dtype: np.dtype[Any], shape: tuple[int, ...], content: bytes | memoryview) -> Array:
    """Reads dense, little-endian, row-major bytes as a read-only array, without a copy.

    Args:
        dtype: one of the contract, little-endian.
        shape: of the array.
        content: what it is a view of.

    Raises:
        TensorError: as :func:`from_proto`.
    """
    check_shape(shape, dtype)
    expected_bytes = math.prod(shape) * dtype.itemsize
    if len(content) != expected_bytes:
        raise TensorError(
            f"content is {len(content)} bytes, expected {expected_bytes}"
            f" for {dtype.name} {list(shape)}"
        )
    array: Array = np.ndarray(shape, dtype, buffer=content)
    if dtype.kind == "b" and np.any(array.view(np.uint8) > 1):
        raise TensorError("content of bool has a byte above 1, expected 0 or 1")
    return array


def to_proto(array: Array) -> pb.Tensor:
    """Writes an array of any byte order and memory layout; all bits of the elements are kept.

    Raises:
        TensorError: as :func:`fill`.
    """
    tensor = pb.Tensor()
    fill(tensor, array)
    return tensor


def fill(tensor: pb.Tensor, array: Array) -> None:
    """Writes an array into an empty tensor, which may be part of a larger message.

    This spares the copy that putting a finished tensor into a message costs.

    Raises:
        TensorError: the contract has no element type for the dtype, or there are more than
            ``MAX_DIMENSIONS`` axes.
    """
    data_type = data_type_of(array.dtype)
    if array.ndim > MAX_DIMENSIONS:
        raise TensorError(f"array has {array.ndim} axes, expected {MAX_DIMENSIONS} at most")
    tensor.data_type = data_type
    tensor.shape.extend(array.shape)
    tensor.content = array.astype(_DTYPES[data_type], copy=False).tobytes()


def check_shape(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Returns when an array of this shape and dtype may exist; allocates nothing.

    Raises:
        TensorError: negative size, more than ``MAX_DIMENSIONS`` sizes, or a product of sizes that
            no array can have.
    """
    if len(shape) > MAX_DIMENSIONS:
        raise TensorError(f"shape has {len(shape)} sizes, expected {MAX_DIMENSIONS} at most")
    # numpy refuses a shape by the product of its sizes other than 0, even when the array is empty.
    size_bytes = dtype.itemsize
    for size in shape:
        if size < 0:
            raise TensorError(f"shape is {list(shape)}, expected sizes of 0 or more")
        size_bytes *= size or 1
    if size_bytes > _MAX_TENSOR_BYTES:
        raise TensorError(f"shape is {list(shape)}, expected a size that fits into memory")


def _known_data_types() -> str:
    return ", ".join(f"{number} ({dtype.name})" for number, dtype in _DTYPES.items())
