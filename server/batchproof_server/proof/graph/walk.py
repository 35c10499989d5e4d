"""Walks a flat graph and follows the rows from its inputs to its outputs.

Importing this module imports TensorFlow. The rules for single operations are in ``proof.rows``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import tensorflow as tf

from batchproof_server.proof.effects import stateless_random
from batchproof_server.proof.graph.counted import RowsInValues
from batchproof_server.proof.graph.facts import fixed_draw, is_uniform, shape_of, static_value
from batchproof_server.proof.graph.flatten import LOOPS, FlatGraph, flatten_function
from batchproof_server.proof.rows.layout import FREE, Cause, Rows, Shape, Value
from batchproof_server.proof.rows.step import step

# A cause needs a round for each variable that it passes; some causes are found on the way.
_SPARE_ROUNDS: Final = 8
_NONE: Final = frozenset[Cause]()


@dataclass(slots=True)
class Walk:
    """One look at a graph for one row count.

    Attributes:
        count: rows in the batch, 2 or more.
        library: the functions of loops.
        display: makes a node's name fit for a finding.
        met: operations that break a rule whether or not an output depends on them.
        draws: stateless random operations whose seed changes, by the names of their nodes.
        in_values: which tensors hold the number of rows; None where nobody asks.
    """

    count: int
    library: Any
    display: Callable[[str], str]
    met: set[Cause] = field(default_factory=set)
    draws: dict[str, Cause] = field(default_factory=dict)
    in_values: RowsInValues | None = None

    def run(self, graph: Any, flat: FlatGraph, inputs: Mapping[str, Value]) -> list[Value]:
        """What is known of the outputs.

        Args:
            graph: ``flat``, imported.
            flat: the graph.
            inputs: what is known of its placeholders, by name; others depend on no row.
        """
        values: dict[str, Value] = {}
        for operation in graph.get_operations():
            if operation.type == "Placeholder":
                found = [inputs.get(operation.name, FREE)]
            else:
                found = self._step(operation, flat, values)
            values.update(zip((out.name for out in operation.outputs), found, strict=True))
        return [values[name] for name in flat.outputs]

    def _step(self, operation: Any, flat: FlatGraph, values: Mapping[str, Value]) -> list[Value]:
        given = [values.get(tensor.name, FREE) for tensor in operation.inputs]
        name = self.display(operation.name)
        if operation.type in LOOPS:
            return Loop(self, operation, name).outputs(given)
        self._look(operation, name, given)
        tensors = [out.dtype != tf.variant for out in operation.outputs]
        found = step(Operation(operation, self.count), name, given, tensors)
        causes = self._counted(operation, name, given)
        if selector := flat.selectors.get(operation.name):
            causes |= values[selector].causes | self._picked(operation, name, selector)
        return [_with(value, causes) for value in found] if causes else found

    def _counted(self, operation: Any, name: str, given: Sequence[Value]) -> frozenset[Cause]:
        """Why an operation on rows may not compute with their number."""
        if self.in_values is None or all(value.rows is None for value in given):
            return _NONE
        counted = self.in_values.among(operation, [value.free for value in given])
        if counted is False:
            return _NONE
        rule_id = "BP310" if counted else "BP305"
        detail = f"{operation.type} computes with the number of rows"
        return frozenset({Cause(rule_id, name, detail if counted else f"perhaps {detail}")})

    def _picked(self, operation: Any, name: str, selector: str) -> frozenset[Cause]:
        """The number of rows may pick a branch; whether branches differ cannot be told."""
        if self.in_values is None or operation.graph is not self.in_values.graph:
            return _NONE
        if self.in_values.holds(operation.graph.get_tensor_by_name(selector)) is False:
            return _NONE
        return frozenset({Cause("BP305", name, "the number of rows picks a branch")})

    def _look(self, operation: Any, name: str, given: Sequence[Value]) -> None:
        if stateless_random(operation.type) and not fixed_draw(operation):
            detail = f"{operation.type} draws from a seed that changes"
            self.draws[operation.name] = Cause("BP204", name, detail)
        if operation.type == "Assert" and not given[0].free:
            self.met.add(Cause("BP211", name, "Assert depends on the content of the rows"))
        if operation.type.startswith("CheckNumerics") and not given[0].free:
            self.met.add(Cause("BP211", name, f"{operation.type} looks at the rows"))


@dataclass(frozen=True, slots=True)
class Loop:
    """A ``While``: what goes round must be known before the first and after the last time."""

    walk: Walk
    operation: Any
    name: str

    def outputs(self, given: Sequence[Value]) -> list[Value]:
        """Goes round until nothing new is learnt: first about places, then about causes."""
        body, cond = (
            loop_function(self.operation, attribute, self.walk.library)
            for attribute in ("body", "cond")
        )
        quiet = Walk(self.walk.count, self.walk.library, self.walk.display)
        state = [Value(value.rows) for value in given]
        # Each round but the last teaches at least one place more.
        for _ in range(len(state) + 1):
            after = self._run(quiet, body, state)
            joined = [Value(a.rows or b.rows) for a, b in zip(state, after, strict=True)]
            if joined == state:
                break
            state = joined
        state = [
            self._entered(index, *pair) for index, pair in enumerate(zip(given, state, strict=True))
        ]
        for _ in range(_SPARE_ROUNDS + len(state)):
            after = self._run(self.walk, body, state)
            joined = [self._joined(a, b) for a, b in zip(state, after, strict=True)]
            if joined == state:
                break
            state = joined
        else:
            detail = "what the loop does is not known after as many rounds as it has variables"
            cause = frozenset({Cause("BP305", self.name, detail)})
            state = [_with(value, cause) for value in state]
        state = self._stable(body, state)
        stop = self._run(self.walk, cond, state)[0]
        return [_with(value, stop.causes) for value in state]

    def _run(self, walk: Walk, body: tuple[Any, FlatGraph], state: Sequence[Value]) -> list[Value]:
        graph, flat = body
        return walk.run(graph, flat, dict(zip(flat.inputs, state, strict=True)))

    def _entered(self, index: int, given: Value, after: Value) -> Value:
        """Constants that rows take the place of must be the same for each row."""
        if given.rows is not None or after.rows is None or not given.free:
            return Value(after.rows, given.causes)
        same = Operation(self.operation, self.walk.count).uniform(index, after.rows)
        if same:
            return after
        rule_id = "BP305" if same is None else "BP306"
        detail = "the loop starts from values that may differ from row to row"
        return Value(after.rows, frozenset({Cause(rule_id, self.name, detail)}))

    def _joined(self, before: Value, after: Value) -> Value:
        if before.rows is None or after.rows in (None, before.rows):
            return _with(before, after.causes)
        detail = "each round of the loop lays the rows out in another way"
        cause = Cause("BP305", self.name, detail)
        return Value(None, before.causes | after.causes | {cause})

    def _stable(self, body: tuple[Any, FlatGraph], state: list[Value]) -> list[Value]:
        graph, flat = body
        detail = "the shape of a tensor changes from round to round"
        cause = frozenset({Cause("BP305", self.name, detail)})
        results = [graph.get_tensor_by_name(name) for name in flat.outputs]
        return [
            value
            if before.shape.is_compatible_with(after.shape) or value.free
            else Value(None, value.causes | cause)
            for value, before, after in zip(state, self.operation.inputs, results, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Operation:
    """A ``tf.Operation`` as the rules see it."""

    operation: Any
    count: int

    @property
    def kind(self) -> str:
        """The type."""
        return str(self.operation.type)

    @property
    def input_shapes(self) -> list[Shape]:
        """Of each input."""
        return [shape_of(tensor) for tensor in self.operation.inputs]

    @property
    def output_shapes(self) -> list[Shape]:
        """Of each output."""
        return [shape_of(tensor) for tensor in self.operation.outputs]

    def attr(self, name: str) -> Any:
        """An attribute; None where the type has none of that name."""
        try:
            return self.operation.get_attr(name)
        except ValueError:
            return None

    def static(self, index: int) -> np.ndarray[Any, Any] | None:
        """The value of a constant input."""
        return static_value(self.operation.inputs[index])

    def uniform(self, index: int, rows: Rows) -> bool | None:
        """Whether an input is the same for each row."""
        return is_uniform(self.operation.inputs[index], rows, self.count)


def imported(flat: FlatGraph) -> Any:
    """The graph with all shapes inferred anew."""
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(flat.graph_def, name="")
    return graph


def loop_function(operation: Any, attribute: str, library: Any) -> tuple[Any, FlatGraph]:
    """The ``body`` or ``cond`` of a loop: imported, and flat."""
    name = operation.get_attr(attribute).name
    flat = flatten_function(library, name, [_argument(tensor) for tensor in operation.inputs])
    return imported(flat), flat


def _argument(tensor: Any) -> Any:
    """What stands for a loop's input in the graph of its body."""
    source = tensor
    while source.op.type == "Identity":
        source = source.op.inputs[0]
    if source.op.type == "VarHandleOp":
        return source.op.node_def
    with tf.Graph().as_default():
        return tf.compat.v1.placeholder(tensor.dtype, tensor.shape).op.node_def


def _with(value: Value, causes: frozenset[Cause]) -> Value:
    return Value(value.rows, value.causes | causes)
