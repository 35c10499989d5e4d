"""A source of functions that are traced when an engine asks for them.

Importing this module imports TensorFlow.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

from batchproof_server.backends.foreign_faults import first_line
from batchproof_server.backends.source import Anatomy, GraphSource, typical_rows
from batchproof_server.backends.traced.specs import input_specs, is_text, listed, output_specs
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.signature import Signature, TensorSpec
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.graph import audit_functions, find_endings, find_thresholds

Call: TypeAlias = Callable[[Sequence[Any]], Mapping[str, Any]]
"""From one symbolic tensor for each input, in their order, to the outputs by name."""


class TracedSource(GraphSource):
    """A loaded model whose functions are traced once for each row count.

    Args:
        inputs: ``tf.TensorSpec`` by the names of requests, axis 0 being the rows.
        call: the model, with the outputs by the names of requests. Those that hold text are left
            out where others hold numbers.
        owner: what holds variables and tables.
    """

    def __init__(self, inputs: Mapping[str, Any], call: Call, owner: object) -> None:
        self._inputs = inputs
        self._call = call
        self._owner = owner
        self._traced: dict[int, Any] = {}
        self._left_out: tuple[str, ...] = ()

    @property
    def owner(self) -> object:
        """What holds variables and tables."""
        return self._owner

    def signature(self, buckets_rows: tuple[int, ...]) -> Signature:
        """The inputs and outputs, which tracing tells.

        Raises:
            ModelRefused: an input or output cannot be served, or the model cannot be traced.
        """
        inputs = input_specs(self._inputs, buckets_rows)
        return Signature(inputs, _outputs(self._trace(typical_rows(buckets_rows))))

    def functions(self, buckets_rows: tuple[int, ...]) -> Mapping[int, Any]:
        """One concrete function of static row count for each bucket.

        Raises:
            ModelRefused: as ``signature``.
        """
        input_specs(self._inputs, buckets_rows)
        functions = self._trace(buckets_rows)
        _outputs(functions)
        return functions

    def function_of_any_rows(self) -> Any:
        """One concrete function with an open row count.

        Raises:
            ModelRefused: the model cannot be traced.
        """
        return _trace_function(self._inputs, self._answer, None)

    def audit_graphs(self, buckets_rows: tuple[int, ...]) -> tuple[Finding, ...]:
        """Judges these functions and all that they reach."""
        return audit_functions(self.functions(buckets_rows))

    def thresholds(self, buckets_rows: tuple[int, ...]) -> tuple[float, ...]:
        """Constants of comparisons and branches, followed back to the inputs."""
        return find_thresholds(self.functions(buckets_rows))

    def anatomy(self) -> Anatomy:
        """How the outputs end.

        Raises:
            ModelRefused: the model cannot be traced.
        """
        endings = find_endings(self.functions((2,)))
        return Anatomy(endings=endings, left_out=self._left_out)

    def forget(self) -> None:
        """Traces anew when it is asked next, because the model has changed."""
        self._traced.clear()

    def _trace(self, buckets_rows: Sequence[int]) -> Mapping[int, Any]:
        for rows in buckets_rows:
            if rows not in self._traced:
                self._traced[rows] = _trace_function(self._inputs, self._answer, rows)
        return {rows: self._traced[rows] for rows in buckets_rows}

    def _answer(self, tensors: Sequence[Any]) -> Mapping[str, Any]:
        outputs = self._call(tensors)
        numbers = {name: each for name, each in outputs.items() if not is_text(each)}
        self._left_out = tuple(name for name in outputs if name not in numbers) if numbers else ()
        return numbers or outputs


def _outputs(functions: Mapping[int, Any]) -> tuple[TensorSpec, ...]:
    """What all these functions answer.

    Raises:
        ModelRefused: an output cannot be served, or has another shape for another row count.
    """
    outputs: tuple[TensorSpec, ...] = ()
    for rows, function in functions.items():
        found = output_specs(function.structured_outputs, rows)
        if outputs and found != outputs:
            raise ModelRefused(
                "the outputs' shapes depend on the row count",
                (f"outputs: {listed(found)} for {rows} rows, {listed(outputs)} for others",),
            )
        outputs = found
    return outputs


def _trace_function(specs: Mapping[str, Any], call: Call, rows: int | None) -> Any:
    """One function; without a row count, of as many rows as the model takes."""
    static = [
        tf.TensorSpec((rows or spec.shape[0], *spec.shape[1:]), spec.dtype, name=f"input_{index}")
        for index, spec in enumerate(specs.values())
    ]

    def answer(*tensors: Any) -> dict[str, Any]:
        return dict(call(tensors))

    try:
        return tf.function(answer, input_signature=static, autograph=False).get_concrete_function()
    except Exception as fault:  # the model's own code raises what it likes
        raise ModelRefused(
            "the model cannot be compiled",
            (f"function of {rows or 'any'} rows: {first_line(str(fault), fault)}",),
        ) from fault
