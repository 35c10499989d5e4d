"""Executes a model in OpenVINO, compiled once for each bucket.

Importing this module imports OpenVINO.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from batchproof_server.backends.foreign_faults import first_line
from batchproof_server.backends.openvino.intermediate import OpenVinoSource
from batchproof_server.backends.openvino.runtime import (
    ENGINE_TEXT,
    compile_options,
    openvino,
    openvino_core,
)
from batchproof_server.base.backend import EngineSettings, batch_rows
from batchproof_server.base.errors import ModelRaised, ModelRefused
from batchproof_server.base.signature import Array, Signature, Tensors, TensorSpec

_LOOPS: Final = frozenset({"Loop", "TensorIterator"})


@dataclass(frozen=True, slots=True, eq=False)
class _Bucket:
    """What executes micro-batches of one row count.

    Attributes:
        request: with one input and one output for each of the signature, in its order.
        forms: dtype and shape of each input by name.
        empty: the request's own inputs, which stand in it while nothing is executed.
    """

    request: Any
    forms: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]
    empty: tuple[Any, ...]


class OpenVinoBackend:
    """One compiled model for each bucket.

    Args:
        signature: as requests name it.
        buckets: by their rows.
        has_loops: whether an execution may never end.

    Attributes:
        signature: the inputs and outputs as requests name them.
        engine: its name and version.
    """

    engine: Final = ENGINE_TEXT

    def __init__(
        self, signature: Signature, buckets: Mapping[int, _Bucket], *, has_loops: bool
    ) -> None:
        self.signature = signature
        self._buckets = dict(buckets)
        self._has_loops = has_loops

    @property
    def has_loops(self) -> bool:
        """Whether an execution may never end."""
        return self._has_loops

    def execute(self, inputs: Tensors) -> Tensors:
        """Executes one padded micro-batch; OpenVINO releases the GIL meanwhile.

        Inputs are read where they lie, unless they are read-only or strided; outputs are copied
        once, out of OpenVINO's memory.

        Raises:
            ValueError: the inputs do not fit the signature or are no bucket.
            ModelRaised: OpenVINO failed.
        """
        rows = len(next(iter(inputs.values()), ()))
        bucket = self._buckets.get(rows)
        if bucket is None or bucket.forms != {
            name: (array.dtype, array.shape) for name, array in inputs.items()
        }:
            bucket = self._buckets[batch_rows(self.signature, inputs, self._buckets)]
        request = bucket.request
        # Nothing but these keeps the memory of the inputs while OpenVINO reads it.
        tensors = [_shared(inputs[spec.name]) for spec in self.signature.inputs]
        for number, tensor in enumerate(tensors):
            request.set_input_tensor(number, tensor)
        try:
            request.infer()
            return {
                spec.name: np.array(request.get_output_tensor(number).data)
                for number, spec in enumerate(self.signature.outputs)
            }
        except RuntimeError as fault:
            raise ModelRaised("the model failed in OpenVINO") from fault
        finally:
            for number, tensor in enumerate(bucket.empty):
                request.set_input_tensor(number, tensor)

    def keep_buckets(self, buckets_rows: Collection[int]) -> None:
        """Releases all other buckets, and what lies between the layers of these.

        Each bucket has a copy of the weights, and takes memory for its layers when it is executed.
        """
        self._buckets = {rows: self._buckets[rows] for rows in buckets_rows}
        for bucket in self._buckets.values():
            bucket.request.get_compiled_model().release_memory()

    def close(self) -> None:
        """Drops the compiled models."""
        self._buckets.clear()


def _shared(array: Array) -> Any:
    if not array.flags.writeable or not array.flags.c_contiguous:
        array = np.array(array, order="C")
    return openvino.Tensor(array, shared_memory=True)


def compile_buckets(
    source: OpenVinoSource, buckets_rows: tuple[int, ...], settings: EngineSettings
) -> OpenVinoBackend:
    """Compiles the model for each bucket.

    Raises:
        ModelRefused: the model cannot be compiled, or has other outputs than its signature says.
    """
    model, signature = source.model, source.signature(buckets_rows)
    buckets = {rows: _compile_bucket(model, signature, rows, settings) for rows in buckets_rows}
    has_loops = any(node.get_type_name() in _LOOPS for node in model.get_ops())
    return OpenVinoBackend(signature, buckets, has_loops=has_loops)


def _compile_bucket(
    model: openvino.Model,
    signature: Signature,
    rows: int,
    settings: EngineSettings,
) -> _Bucket:
    shapes = {number: [rows, *_sizes(spec)] for number, spec in enumerate(signature.inputs)}
    _check_rows(model, rows)
    try:
        fixed = model.clone()
        fixed.reshape(shapes)
        compiled = openvino_core().compile_model(fixed, "CPU", compile_options(settings))
    except Exception as fault:  # OpenVINO raises what it likes
        sentence = f"OpenVINO, {rows} rows: {first_line(str(fault), fault)}"
        raise ModelRefused("the model cannot be compiled", (sentence,)) from fault
    _check_outputs(compiled, signature, rows)
    forms = {spec.name: (spec.dtype, (rows, *_sizes(spec))) for spec in signature.inputs}
    request = compiled.create_infer_request()
    empty = tuple(request.get_input_tensor(number) for number in range(len(forms)))
    return _Bucket(request, forms, empty)


def _check_rows(model: openvino.Model, rows: int) -> None:
    """Refuses another row count than the model was built for; OpenVINO would try to change it.

    Raises:
        ModelRefused: it was built for another.
    """
    for port in model.inputs:
        built = port.partial_shape[0]
        if built.is_static and built.get_length() != rows:
            sentence = (
                f"OpenVINO, {rows} rows: the model was built for exactly {built.get_length()} rows"
            )
            raise ModelRefused("the model has a fixed number of rows", (sentence,))


def _sizes(spec: TensorSpec) -> tuple[int, ...]:
    """Of one row; sources with open sizes were refused when they were made."""
    return tuple(size for size in spec.row_shape if size is not None)


def _check_outputs(compiled: openvino.CompiledModel, signature: Signature, rows: int) -> None:
    """Refuses outputs of another form than the signature's.

    Raises:
        ModelRefused: OpenVINO sees another dtype or shape in an output.
    """
    findings = []
    for spec, output in zip(signature.outputs, compiled.outputs, strict=True):
        shape = output.partial_shape
        came = f"{output.element_type.get_type_name()} {shape}"
        fits = output.element_type.to_dtype() == spec.dtype and shape.is_static
        if (
            not fits
            or not spec.admits(np.empty(tuple(shape.to_shape()), spec.dtype))
            or shape.to_shape()[0] != rows
        ):
            findings.append(
                f'output "{spec.name}" is {came} in OpenVINO, expected {spec}, rows {rows}'
            )
    if findings:
        raise ModelRefused("OpenVINO sees other outputs than TensorFlow", tuple(findings))
