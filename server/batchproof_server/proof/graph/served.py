"""One compiled function as the audit looks at it. Importing this module imports TensorFlow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchproof_server.proof.graph.flatten import FlatGraph, flatten_graph, live_nodes


@dataclass(frozen=True, slots=True)
class ServedGraph:
    """One compiled function.

    Attributes:
        captured: what it captures, by the names of the placeholders for it.
        live: the nodes of ``flat`` that an answer depends on.
    """

    rows: int
    function: Any
    graph_def: Any
    flat: FlatGraph
    captured: Mapping[str, Any]
    live: frozenset[str]

    @classmethod
    def of(cls, function: Any, rows: int) -> "ServedGraph":
        """A ``tf.types.experimental.ConcreteFunction`` of this row count."""
        captures = function.captured_inputs
        placeholders = function.inputs[len(function.inputs) - len(captures) :]
        graph_def = function.graph.as_graph_def()
        outputs = [tensor.name for tensor in function.outputs]
        flat = flatten_graph(graph_def, outputs, _handles(placeholders, captures))
        names = [tensor.op.name for tensor in placeholders]
        captured = dict(zip(names, captures, strict=True))
        return cls(rows, function, graph_def, flat, captured, live_nodes(flat))

    @property
    def read(self) -> frozenset[int]:
        """The identities of the variables and tables that an answer depends on."""
        return frozenset(id(handle) for name, handle in self.captured.items() if name in self.live)


def _handles(placeholders: Sequence[Any], captured: Sequence[Any]) -> dict[str, Any]:
    """The shapes of variables by the placeholders of their handles; tables have none."""
    handles = {
        tensor.op.name: getattr(handle, "_handle_data", None)
        for tensor, handle in zip(placeholders, captured, strict=True)
    }
    return {
        name: handle
        for name, handle in handles.items()
        if handle is not None and handle.is_set and len(handle.shape_and_type) == 1
    }
