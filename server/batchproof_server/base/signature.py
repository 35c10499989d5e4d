"""Named inputs and outputs with dtype and shape, and the check of a request against them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from batchproof_server.base.errors import InvalidInput

Array: TypeAlias = npt.NDArray[Any]
Tensors: TypeAlias = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output.

    Attributes:
        name: as requests name it.
        dtype: the element type.
        row_shape: the shape of one row, without axis 0; None where any size from 1 is allowed.
    """

    name: str
    dtype: np.dtype[Any]
    row_shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sizes = ", ".join(
            "any" if size is None else str(size) for size in ("rows", *self.row_shape)
        )
        return f"{self.dtype.name} [{sizes}]"

    def admits(self, array: Array) -> bool:
        """Whether the dtype and the shape after axis 0 of ``array`` fit."""
        return (
            array.dtype == self.dtype
            and array.ndim == len(self.row_shape) + 1
            and all(
                size >= 1 if want is None else size == want
                for want, size in zip(self.row_shape, array.shape[1:], strict=True)
            )
        )


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs that a model takes and the outputs that it gives, row on axis 0."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def check(self, tensors: Tensors) -> int:
        """Returns the number of rows, 1 or more.

        Raises:
            InvalidInput: a tensor is missing, unknown, of another dtype or shape, without rows,
                or the row counts differ.
        """
        self._check_names(tensors)
        for spec in self.inputs:
            array = tensors[spec.name]
            if not spec.admits(array):
                came = f"{array.dtype.name} {list(array.shape)}"
                raise InvalidInput(f'input "{spec.name}" is {came}, expected {spec}')
        return self._rows(tensors)

    def _check_names(self, tensors: Tensors) -> None:
        expected = {spec.name for spec in self.inputs}
        if set(tensors) != expected:
            raise InvalidInput(
                f"inputs are {_quoted(tensors)}, expected exactly {_quoted(expected)}"
            )

    def _rows(self, tensors: Tensors) -> int:
        rows = {name: array.shape[0] for name, array in tensors.items()}
        if len(set(rows.values())) != 1:
            raise InvalidInput(f"inputs have different row counts {rows}, expected the same")
        count = int(next(iter(rows.values())))
        if count == 0:
            raise InvalidInput("the request has 0 rows, expected 1 or more")
        return count


def _quoted(names: Mapping[str, Any] | set[str]) -> str:
    return ", ".join(f'"{name}"' for name in sorted(names)) or "none"
