"""Which tensors of TensorFlow can be inputs and outputs of a served model.

Importing this module imports TensorFlow.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf

from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.signature import TensorSpec

# What the wire contract can carry.
_SERVED_KINDS: Final = "biuf"


def input_specs(specs: Mapping[str, Any], buckets_rows: tuple[int, ...]) -> tuple[TensorSpec, ...]:
    """The inputs as requests name them.

    Args:
        specs: ``tf.TensorSpec`` by name, axis 0 being the rows.
        buckets_rows: the row counts that will be executed.

    Raises:
        ModelRefused: one cannot be served, or there are none.
    """
    findings = [
        text
        for name, spec in specs.items()
        if (text := _fault("input", name, spec) or _row_fault(name, spec, buckets_rows))
    ]
    if findings or not specs:
        raise ModelRefused(
            "the model's inputs cannot be served", tuple(findings) or ("inputs: there are none",)
        )
    return tuple(_served(name, spec) for name, spec in specs.items())


def output_specs(specs: Mapping[str, Any], rows: int) -> tuple[TensorSpec, ...]:
    """The outputs as requests name them.

    Args:
        specs: ``tf.TensorSpec`` by name, of a function of ``rows`` rows.
        rows: of its inputs.

    Raises:
        ModelRefused: one cannot be served, or there are none.
    """
    findings = [
        text
        for name, spec in specs.items()
        if (text := _fault("output", name, spec) or _output_row_fault(name, spec, rows))
    ]
    if findings or not specs:
        raise ModelRefused(
            "the model's outputs cannot be served", tuple(findings) or ("outputs: there are none",)
        )
    return tuple(_served(name, spec) for name, spec in specs.items())


def is_text(output: Any) -> bool:
    """Whether a symbolic output holds strings."""
    return isinstance(output, tf.Tensor) and output.dtype == tf.string


def _fault(side: str, name: str, spec: Any) -> str | None:
    """What keeps one input or output from being served, as a sentence."""
    if not isinstance(spec, tf.TensorSpec | tf.Tensor):
        return f'{side} "{name}" is a {type(spec).__name__}, expected a dense tensor'
    if fault := _dtype_fault(side, spec.dtype):
        return f'{side} "{name}" {fault}'
    if not spec.shape.rank:
        came = "is a scalar" if spec.shape.rank == 0 else "has a shape of unknown rank"
        return f'{side} "{name}" {came}, expected rows on axis 0'
    return None


def _dtype_fault(side: str, dtype: Any) -> str | None:
    if dtype == tf.string and side == "output":
        return (
            "holds strings, expected numbers; export a signature without it, and put the names of "
            "the classes into labels.txt"
        )
    if dtype == tf.string:
        return (
            "holds strings, expected numbers; export a signature that takes pixels: encoded "
            "pictures go through a recipe, which decodes and resizes them"
        )
    kind = np.dtype(dtype.as_numpy_dtype).kind if dtype.is_numpy_compatible else None
    if kind is None or kind not in _SERVED_KINDS:
        return f"is {dtype.name}, expected bool, integers or float16, float32 or float64"
    return None


def _row_fault(name: str, spec: Any, buckets_rows: tuple[int, ...]) -> str | None:
    rows = spec.shape[0]
    if rows is None or set(buckets_rows) == {rows}:
        return None
    buckets = ", ".join(map(str, buckets_rows))
    return (
        f'input "{name}" was built for exactly {rows} rows, expected any number or the buckets '
        f"{buckets}"
    )


def _output_row_fault(name: str, spec: Any, rows: int) -> str | None:
    if spec.shape[0] in (None, rows):
        return None
    return f'output "{name}" has {spec.shape[0]} rows for {rows} rows of input, expected {rows}'


def _served(name: str, spec: Any) -> TensorSpec:
    return TensorSpec(name, np.dtype(spec.dtype.as_numpy_dtype), tuple(spec.shape[1:]))


def listed(specs: Sequence[TensorSpec]) -> str:
    """For a message."""
    return ", ".join(f'"{spec.name}" {spec}' for spec in specs)
