"""A source of functions that are traced when an engine asks for them.

Importing this module imports TensorFlow.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import tensorflow as tf

from batchproof_server.backends.foreign_faults import first_line
from batchproof_server.backends.source import GraphSource
from batchproof_server.backends.traced.specs import input_specs, listed, output_specs
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.signature import Signature, TensorSpec
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.graph import audit_functions, find_thresholds

Call: TypeAlias = Callable[[Sequence[Any]], Mapping[str, Any]]
"""From one symbolic tensor for each input, in their order, to the outputs by name."""


@dataclass(frozen=True, slots=True)
class _Traced:
    """One function for each bucket, and the signature that they share."""

    signature: Signature
    functions: Mapping[int, Any]


class TracedSource(GraphSource):
    """A loaded model whose functions are traced once for each choice of buckets.

    Args:
        inputs: ``tf.TensorSpec`` by the names of requests, axis 0 being the rows.
        call: the model, with the outputs by the names of requests.
        owner: what holds variables and tables.
    """

    def __init__(self, inputs: Mapping[str, Any], call: Call, owner: object) -> None:
        self._inputs = inputs
        self._call = call
        self._owner = owner
        self._traced: dict[tuple[int, ...], _Traced] = {}

    @property
    def owner(self) -> object:
        """What holds variables and tables."""
        return self._owner

    def signature(self, buckets_rows: tuple[int, ...]) -> Signature:
        """The inputs and outputs, which tracing tells.

        Raises:
            ModelRefused: an input or output cannot be served, or the model cannot be traced.
        """
        return self._trace(buckets_rows).signature

    def functions(self, buckets_rows: tuple[int, ...]) -> Mapping[int, Any]:
        """One concrete function of static row count for each bucket.

        Raises:
            ModelRefused: as ``signature``.
        """
        return self._trace(buckets_rows).functions

    def audit_graphs(self, buckets_rows: tuple[int, ...]) -> tuple[Finding, ...]:
        """Judges these functions and all that they reach."""
        return audit_functions(self.functions(buckets_rows))

    def thresholds(self, buckets_rows: tuple[int, ...]) -> tuple[float, ...]:
        """Constants of comparisons and branches, followed back to the inputs."""
        return find_thresholds(self.functions(buckets_rows))

    def forget(self) -> None:
        """Traces anew when it is asked next, because the model has changed."""
        self._traced.clear()

    def _trace(self, buckets_rows: tuple[int, ...]) -> _Traced:
        if buckets_rows not in self._traced:
            self._traced[buckets_rows] = _trace_buckets(self._inputs, self._call, buckets_rows)
        return self._traced[buckets_rows]


def _trace_buckets(specs: Mapping[str, Any], call: Call, buckets_rows: tuple[int, ...]) -> _Traced:
    inputs = input_specs(specs, buckets_rows)
    functions: dict[int, Any] = {}
    outputs: tuple[TensorSpec, ...] = ()
    for rows in buckets_rows:
        functions[rows] = _trace_function(specs, call, rows)
        found = output_specs(functions[rows].structured_outputs, rows)
        if outputs and found != outputs:
            raise ModelRefused(
                "the outputs' shapes depend on the row count",
                (f"outputs: {listed(found)} for {rows} rows, {listed(outputs)} for others",),
            )
        outputs = found
    return _Traced(Signature(inputs, outputs), functions)


def _trace_function(specs: Mapping[str, Any], call: Call, rows: int) -> Any:
    static = [
        tf.TensorSpec((rows, *spec.shape[1:]), spec.dtype, name=f"input_{index}")
        for index, spec in enumerate(specs.values())
    ]

    def answer(*tensors: Any) -> dict[str, Any]:
        return dict(call(tensors))

    try:
        return tf.function(answer, input_signature=static, autograph=False).get_concrete_function()
    except Exception as fault:  # the model's own code raises what it likes
        raise ModelRefused(
            "the model cannot be compiled",
            (f"function of {rows} rows: {first_line(str(fault), fault)}",),
        ) from fault
