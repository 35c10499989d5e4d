"""What the TensorFlow backends share: threads, one compiled function per bucket, execution."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf

from batchproof_server.base.backend import EngineSettings, batch_rows
from batchproof_server.base.errors import BackendFailed, ModelRefused, cut
from batchproof_server.base.signature import Signature, Tensors, TensorSpec

# What the wire contract can carry.
_SERVED_KINDS: Final = "biuf"
_FINDING_CHARACTERS: Final = 300


def configure_threads(settings: EngineSettings) -> None:
    """Sets the thread pools of this process; TensorFlow has one set of them and fixes it once.

    Call it before anything executes. Repeating the same settings is harmless.

    Raises:
        ModelRefused: TensorFlow runs already, with other settings.
    """
    pools = tf.config.threading
    try:
        if pools.get_intra_op_parallelism_threads() != settings.intra_op_threads:
            pools.set_intra_op_parallelism_threads(settings.intra_op_threads)
        if pools.get_inter_op_parallelism_threads() != settings.inter_op_threads:
            pools.set_inter_op_parallelism_threads(settings.inter_op_threads)
    except RuntimeError as late:
        sentence = (
            f"engine: asked for intra_op_threads = {settings.intra_op_threads} and inter_op_threads"
            f" = {settings.inter_op_threads}, but TensorFlow runs with "
            f"{pools.get_intra_op_parallelism_threads()} and "
            f"{pools.get_inter_op_parallelism_threads()}; one process has one setting"
        )
        raise ModelRefused("TensorFlow already runs with other threads", (sentence,)) from late


def finding(artefact: Path, fault: BaseException) -> str:
    """One line about a foreign exception, without the path of this machine."""
    text = str(fault).replace(str(artefact), artefact.name).strip() or type(fault).__name__
    return f"{artefact.name}: {cut(text.splitlines()[0], _FINDING_CHARACTERS)}"


@dataclass(frozen=True, slots=True)
class Traceable:
    """A loaded model which is not compiled yet: the place for an audit.

    Attributes:
        inputs: ``tf.TensorSpec`` by the names of requests, axis 0 being the rows.
        call: from one symbolic tensor for each of ``inputs``, in their order, to the outputs by
            the names of requests.
        owner: what holds variables and tables; a compiled function refers to them weakly.
        engine: the engine's name and version.
    """

    inputs: Mapping[str, Any]
    call: Callable[[Sequence[Any]], Mapping[str, Any]]
    owner: object
    engine: str


class TensorFlowBackend:
    """One compiled function for each bucket.

    Args:
        signature: as requests name it.
        engine: the engine's name and version.
        functions: a ``tf.types.experimental.ConcreteFunction`` by the rows of its bucket, from
            positional tensors in the order of the signature to a dictionary.
        owner: kept alive with the functions.
    """

    def __init__(
        self, signature: Signature, engine: str, functions: Mapping[int, Any], owner: object
    ) -> None:
        self._signature = signature
        self._engine = engine
        self._functions = dict(functions)
        self._owner: object = owner

    @property
    def signature(self) -> Signature:
        """The inputs and outputs as requests name them."""
        return self._signature

    @property
    def engine(self) -> str:
        """The engine's name and version."""
        return self._engine

    @property
    def functions(self) -> Mapping[int, Any]:
        """The compiled functions by the rows of their bucket, for whoever checks their graphs."""
        return self._functions

    def execute(self, inputs: Tensors) -> Tensors:
        """Executes one padded micro-batch; TensorFlow releases the GIL meanwhile.

        Copies each input once, into TensorFlow's aligned memory, and each output once, out of it.

        Raises:
            ValueError: the inputs do not fit the signature or are no bucket.
            BackendFailed: TensorFlow failed, or an output does not fit the signature.
        """
        rows = batch_rows(self._signature, inputs, self._functions)
        tensors = [tf.constant(inputs[spec.name]) for spec in self._signature.inputs]
        try:
            answers = self._functions[rows](*tensors)
            outputs = {spec.name: answers[spec.name].numpy() for spec in self._signature.outputs}
        except tf.errors.OpError as fault:
            raise BackendFailed("the model failed in TensorFlow") from fault
        self._check(outputs, rows)
        return outputs

    def _check(self, outputs: Tensors, rows: int) -> None:
        for spec in self._signature.outputs:
            array = outputs[spec.name]
            if not spec.admits(array) or array.shape[0] != rows:
                came = f"{array.dtype.name} {list(array.shape)}"
                raise BackendFailed(f'output "{spec.name}" is {came}, expected {spec}, rows {rows}')

    def state_digest(self) -> str:
        """SHA-256 over the names and values of every variable that a bucket's function reaches."""
        variables = {
            id(variable): variable
            for function in self._functions.values()
            for variable in function.variables
        }
        digest = hashlib.sha256()
        for variable in sorted(variables.values(), key=lambda each: str(each.name)):
            value = np.ascontiguousarray(variable.numpy())
            digest.update(f"{variable.name}\0{value.dtype.str}\0{value.shape}\0".encode())
            digest.update(value.tobytes())
        return digest.hexdigest()

    def close(self) -> None:
        """Drops functions, variables and tables."""
        self._functions.clear()
        self._owner = None


def compile_buckets(model: Traceable, buckets_rows: tuple[int, ...]) -> TensorFlowBackend:
    """Traces and compiles one function of static row count for each bucket.

    Raises:
        ModelRefused: an input or output cannot be served, or the model cannot be traced.
    """
    inputs = _input_specs(model.inputs, buckets_rows)
    functions: dict[int, Any] = {}
    outputs: tuple[TensorSpec, ...] = ()
    for rows in buckets_rows:
        functions[rows] = _trace(model, rows)
        found = _output_specs(functions[rows].structured_outputs, rows)
        if outputs and found != outputs:
            raise ModelRefused(
                "the outputs' shapes depend on the row count",
                (f"outputs: {_listed(found)} for {rows} rows, {_listed(outputs)} for others",),
            )
        outputs = found
    return TensorFlowBackend(Signature(inputs, outputs), model.engine, functions, model.owner)


def _trace(model: Traceable, rows: int) -> Any:
    static = [
        tf.TensorSpec((rows, *spec.shape[1:]), spec.dtype, name=f"input_{index}")
        for index, spec in enumerate(model.inputs.values())
    ]

    def answer(*tensors: Any) -> dict[str, Any]:
        return dict(model.call(tensors))

    try:
        return tf.function(answer, input_signature=static, autograph=False).get_concrete_function()
    except Exception as fault:  # the model's own code raises what it likes
        text = cut(
            (str(fault).strip() or type(fault).__name__).splitlines()[0], _FINDING_CHARACTERS
        )
        raise ModelRefused(
            "the model cannot be compiled", (f"function of {rows} rows: {text}",)
        ) from fault


def _input_specs(specs: Mapping[str, Any], buckets_rows: tuple[int, ...]) -> tuple[TensorSpec, ...]:
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


def _output_specs(specs: Mapping[str, Any], rows: int) -> tuple[TensorSpec, ...]:
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


def _fault(side: str, name: str, spec: Any) -> str | None:
    """What keeps one input or output from being served, as a sentence."""
    if not isinstance(spec, tf.TensorSpec | tf.Tensor):
        return f'{side} "{name}" is a {type(spec).__name__}, expected a dense tensor'
    if fault := _dtype_fault(spec.dtype):
        return f'{side} "{name}" {fault}'
    if not spec.shape.rank:
        came = "is a scalar" if spec.shape.rank == 0 else "has a shape of unknown rank"
        return f'{side} "{name}" {came}, expected rows on axis 0'
    return None


def _dtype_fault(dtype: Any) -> str | None:
    if dtype == tf.string:
        return (
            "holds strings, expected numbers; encoded pictures go through a recipe, which feeds "
            "the model pixels"
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


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f'"{spec.name}" {spec}' for spec in specs)
