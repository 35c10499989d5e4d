"""How the outputs of compiled functions end: in probabilities, or in numbers without a bound."""

from collections.abc import Mapping
from typing import Any, Final

from batchproof_server.proof.graph.served import ServedGraph

# What leaves the values as they are, or only their shape or type is another.
_PASSED: Final = frozenset(
    ("Identity", "IdentityN", "Reshape", "Squeeze", "ExpandDims", "Cast", "EnsureShape")
)
_ENDINGS: Final = {"Softmax": "softmax", "Sigmoid": "sigmoid"}


def find_endings(functions: Mapping[int, Any]) -> Mapping[str, str]:
    """The function that each output ends with: ``softmax``, ``sigmoid``, or empty for another.

    Args:
        functions: a ``tf.types.experimental.ConcreteFunction`` by the rows of its bucket, each with
            a dictionary of outputs.
    """
    rows = max(functions)
    flat = ServedGraph.of(functions[rows], rows).flat
    nodes = {node.name: node for node in flat.graph_def.node}
    # TensorFlow lists the tensors of a dictionary in the order of its keys.
    names = sorted(functions[rows].structured_outputs)
    return {name: _ending(nodes, output) for name, output in zip(names, flat.outputs, strict=True)}


def _ending(nodes: Mapping[str, Any], output: str) -> str:
    node = nodes[output.partition(":")[0]]
    while node.op in _PASSED:
        node = nodes[node.input[0].lstrip("^").partition(":")[0]]
    return _ENDINGS.get(str(node.op), "")
