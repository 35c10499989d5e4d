"""Lists of JSON as tensors: shape first, then numbers or byte strings, all without surprises."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from batchproof.tensors import MAX_DIMENSIONS
from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array

B64: Final = "b64"
Leaf: TypeAlias = bool | int | float | str | Mapping[str, Any] | None


class Flat(NamedTuple):
    """A tensor as JSON holds it.

    Attributes:
        shape: of the lists within lists; empty for a value without any.
        leaves: row by row.
    """

    shape: tuple[int, ...]
    leaves: Sequence[Leaf]

    def is_text(self) -> bool:
        """Whether these are byte strings; of nothing nobody knows."""
        return any(isinstance(leaf, str | dict) for leaf in self.leaves[:1])


def flattened(value: Any, name: str) -> Flat:
    """A value as a tensor.

    Args:
        value: a leaf, or lists within lists.
        name: of the input, for errors.

    Raises:
        InvalidInput: lists of one level differ in length, or hold lists and leaves.
    """
    level, shape = [value], list[int]()
    while level and isinstance(level[0], list):
        sizes = {len(each) if isinstance(each, list) else -1 for each in level}
        if len(sizes) > 1:
            raise InvalidInput(f"{name}: lists at depth {len(shape)} differ, expected one shape")
        shape.append(sizes.pop())
        if len(shape) > MAX_DIMENSIONS:
            raise InvalidInput(f"{name}: more than {MAX_DIMENSIONS} lists within each other")
        level = list(chain.from_iterable(level))
    if list in set(map(type, level)):
        raise InvalidInput(f"{name}: lists at depth {len(shape)} differ, expected one shape")
    return Flat(tuple(shape), level)


def numbers(leaves: Sequence[Leaf], dtype: np.dtype[Any], name: str, called: str = "") -> Array:
    """Leaves as numbers of a type.

    A decimal becomes the nearest float64 and then the nearest number of the type, so that a float32
    that was written with enough digits is that float32 again.

    Args:
        leaves: row by row.
        dtype: of the array.
        name: of the input, for errors.
        called: how the protocol calls the type; else numpy's name.

    Raises:
        InvalidInput: a leaf is no number, no whole one where the type wants it, or beyond the type.
    """
    kinds = set(map(type, leaves))
    expected = _KINDS[dtype.kind]
    if not kinds <= expected:
        came = ", ".join(sorted(_NAMES.get(kind, "others") for kind in kinds - expected))
        raise InvalidInput(f"{name}: the values hold {came}, expected {_EXPECTED[dtype.kind]}")
    try:
        wide = np.array(leaves, _WIDE.get(dtype.kind, dtype))
    except OverflowError as fault:
        raise InvalidInput(f"{name}: a value is beyond {called or dtype.name}") from fault
    with np.errstate(over="ignore"):
        narrow = wide.astype(dtype, copy=False)
    if (np.isinf(narrow) & np.isfinite(wide)).any() if dtype.kind == "f" else False:
        raise InvalidInput(f"{name}: a value is beyond {called or dtype.name}")
    return narrow


_KINDS: Final = {
    "f": frozenset({int, float}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "b": frozenset({bool}),
}
_EXPECTED: Final = {"f": "numbers", "i": "whole numbers", "u": "whole numbers", "b": "booleans"}
_NAMES: Final = {
    bool: "booleans",
    dict: "objects",
    float: "numbers with a point or beyond 64 bits",
    int: "whole numbers",
    str: "strings",
    type(None): "null",
}
# Where a value beyond the type has to be seen before it is cut.
_WIDE: Final = {"f": np.dtype(np.float64)}


def byte_strings(leaves: Sequence[Leaf], name: str, *, are_base64: bool = False) -> list[bytes]:
    """Leaves as byte strings: text is UTF-8, ``{"b64": ...}`` is base64.

    Args:
        leaves: row by row.
        name: of the input, for errors.
        are_base64: whether plain strings are base64 too.

    Raises:
        InvalidInput: a leaf is neither, or is no base64.
    """
    return [_byte_string(leaf, name, are_base64=are_base64) for leaf in leaves]


def _byte_string(leaf: Leaf, name: str, *, are_base64: bool) -> bytes:
    if isinstance(leaf, str):
        return _decoded(leaf, name) if are_base64 else leaf.encode()
    if isinstance(leaf, dict) and set(leaf) == {B64} and isinstance(leaf[B64], str):
        return _decoded(leaf[B64], name)
    raise InvalidInput(f'{name}: a value is no string, expected a string or {{"b64": "..."}}')


def _decoded(text: str, name: str) -> bytes:
    # In slices, between which other threads have their turn; padding ends the last one only.
    slices = [text[at : at + _SLICE] for at in range(0, len(text), _SLICE)]
    if 0 <= text.find("=") < len(text) - _MOST_PADDING:
        raise InvalidInput(f"{name}: a value is no base64")
    try:
        return b"".join(base64.b64decode(each, validate=True) for each in slices)
    except (binascii.Error, ValueError) as fault:  # ValueError of what is not ASCII
        raise InvalidInput(f"{name}: a value is no base64") from fault


_SLICE: Final = 1 << 20
_MOST_PADDING: Final = 2


def texts(strings: Sequence[bytes]) -> list[Any]:
    """Byte strings as JSON: text where they are UTF-8, else ``{"b64": ...}``."""
    return [_text(each) for each in strings]


def _text(string: bytes) -> Any:
    try:
        return string.decode()
    except UnicodeDecodeError:
        return {B64: base64.b64encode(string).decode()}


def nested(leaves: Sequence[Any], shape: Sequence[int]) -> Any:
    """Leaves in lists within lists."""
    array = np.empty(len(leaves), object)
    array[:] = leaves
    return array.reshape(tuple(shape)).tolist()
