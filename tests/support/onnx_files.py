"""Small ONNX models, written byte by byte: onnx.proto is all that is needed of the package."""

from collections.abc import Iterable

import numpy as np

from batchproof_server.base.signature import Array

_FLOAT = 1
_VARINT, _BYTES = 0, 2


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def _number(field: int, number: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(number)


def _text(field: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | _BYTES) + _varint(len(data)) + data


def _value(name: str, sizes: Iterable[int | str]) -> bytes:
    dimensions = (
        _text(1, _number(1, size) if isinstance(size, int) else _text(2, size)) for size in sizes
    )
    tensor = _number(1, _FLOAT) + _text(2, b"".join(dimensions))
    return _text(1, name) + _text(2, _text(1, tensor))


def _weights(name: str, array: Array, location: str = "") -> bytes:
    dimensions = b"".join(_number(1, size) for size in array.shape)
    head = dimensions + _number(2, _FLOAT) + _text(8, name)
    if not location:
        return head + _text(9, array.astype("<f4").tobytes())
    return head + _text(13, _text(1, "location") + _text(2, location)) + _number(14, 1)


def linear_model(weights: Array, location: str = "") -> bytes:
    """``scores = image @ weights``, for rows of as many numbers as there are rows of weights.

    Args:
        weights: float32 [values, classes].
        location: the file that is said to hold the weights; they are inside when it is empty.
    """
    node = _text(1, "image") + _text(1, "weights") + _text(2, "scores") + _text(4, "MatMul")
    graph = (
        _text(1, node)
        + _text(2, "linear")
        + _text(5, _weights("weights", np.asarray(weights), location))
        + _text(11, _value("image", ("rows", weights.shape[0])))
        + _text(12, _value("scores", ("rows", weights.shape[1])))
    )
    return _number(1, 8) + _text(7, graph) + _text(8, _number(2, 13))
