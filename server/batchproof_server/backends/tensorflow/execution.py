"""Executes the functions of a source in TensorFlow.

Importing this module imports TensorFlow.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from batchproof_server.backends.source import GraphSource
from batchproof_server.backends.traced.threads import configure_threads
from batchproof_server.base.backend import EngineSettings, batch_rows
from batchproof_server.base.errors import BackendFailed, ModelRaised
from batchproof_server.base.signature import Signature, Tensors, TensorSpec
from batchproof_server.proof.graph.operations import has_loop


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
        self.signature = signature
        self.engine = engine
        self._functions = dict(functions)
        self._owner: object = owner
        self._has_loops = any(map(has_loop, functions.values()))
        # What inputs and outputs of a bucket must be; for open sizes the signature is asked.
        self._inputs = {rows: _forms(signature.inputs, rows) for rows in functions}
        self._outputs = {rows: _forms(signature.outputs, rows) for rows in functions}

    @property
    def has_loops(self) -> bool:
        """Whether an execution may never end."""
        return self._has_loops

    @property
    def functions(self) -> Mapping[int, Any]:
        """The compiled functions by the rows of their bucket, for whoever checks their graphs."""
        return self._functions

    def execute(self, inputs: Tensors) -> Tensors:
        """Executes one padded micro-batch; TensorFlow releases the GIL meanwhile.

        Copies each input once, into TensorFlow's aligned memory, and each output once, out of it.

        Raises:
            ValueError: the inputs do not fit the signature or are no bucket.
            ModelRaised: TensorFlow failed.
            BackendFailed: an output does not fit the signature.
        """
        rows = len(next(iter(inputs.values()), ()))
        if self._inputs.get(rows) != {name: (a.dtype, a.shape) for name, a in inputs.items()}:
            rows = batch_rows(self.signature, inputs, self._functions)
        tensors = [tf.constant(inputs[spec.name]) for spec in self.signature.inputs]
        try:
            answers = self._functions[rows](*tensors)
            outputs = {spec.name: answers[spec.name].numpy() for spec in self.signature.outputs}
        except tf.errors.OpError as fault:
            raise ModelRaised("the model failed in TensorFlow") from fault
        if self._outputs[rows] != {name: (a.dtype, a.shape) for name, a in outputs.items()}:
            self._check(outputs, rows)
        return outputs

    def _check(self, outputs: Tensors, rows: int) -> None:
        for spec in self.signature.outputs:
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


def _forms(specs: tuple[TensorSpec, ...], rows: int) -> dict[str, tuple[Any, tuple[int, ...]]]:
    """Dtype and shape of each tensor with so many rows; of open sizes none that any tensor has."""
    return {
        spec.name: (spec.dtype, (rows, *(-1 if size is None else size for size in spec.row_shape)))
        for spec in specs
    }


def compile_functions(
    source: GraphSource, buckets_rows: tuple[int, ...], settings: EngineSettings
) -> TensorFlowBackend:
    """Takes the source's function for each bucket, compiled when it was traced.

    Raises:
        ModelRefused: an input or output cannot be served, the model cannot be traced, or
            TensorFlow runs already with other threads.
    """
    configure_threads(settings)
    versions = {"tensorflow": tf.__version__, **source.versions}
    functions = source.functions(buckets_rows)
    return TensorFlowBackend(
        source.signature(buckets_rows),
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        functions,
        source.owner,
    )
