"""What TensorFlow executes of a function that nobody calls: constants, while it infers shapes.

Importing this module imports TensorFlow, for its list of operations.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tensorflow.python.framework import op_def_registry

# They stand for what is given; TensorFlow calls them stateless all the same.
_GIVEN: Final = frozenset({"Placeholder", "PlaceholderWithDefault", "PlaceholderV2", "Arg", "_Arg"})
# A function returns what it returns through one of these.
_PASSES_ON: Final = frozenset({"Identity", "IdentityN"})


# Contract
#
# tf.saved_model.load imports every function of a SavedModel, whether or not anything calls it, and
# infers the shapes in it. Where a shape depends on a tensor, TensorFlow computes that tensor at
# once if it depends on constants and on nothing that it calls stateful
# (core/common_runtime/eval_const_tensor.cc): ``Fill`` of a size that ``ReadFile`` reads does. Which
# operations ask for such a tensor is not listed anywhere, so any that takes it counts.
def computed_at_once(nodes: Sequence[Any]) -> Iterator[Any]:
    """The nodes of one function whose values another one takes and that need only constants.

    Args:
        nodes: ``NodeDef`` of a graph or of a function; what is no node among them is an argument.
    """
    known = {node.name: node for node in nodes}
    taken, varying = _taken(nodes, known), _varying(nodes, known)
    return (node for node in nodes if node.name in taken and node.name not in varying)


def _taken(nodes: Sequence[Any], known: Mapping[str, Any]) -> set[str]:
    """What is an operand of anything, if only in the end."""
    waiting = [name for node in nodes if node.op not in _PASSES_ON for name in _sources(node)]
    taken: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in taken:
            taken.add(name)
            waiting += _sources(known[name]) if name in known else []
    return taken


def _varying(nodes: Sequence[Any], known: Mapping[str, Any]) -> set[str]:
    """What depends on an argument, or on what TensorFlow does not compute by itself."""
    takers: dict[str, list[str]] = {}
    waiting: list[str] = []
    for node in nodes:
        sources = _sources(node)
        for name in sources:
            takers.setdefault(name, []).append(node.name)
        if not (_may_be_computed(node) and all(name in known for name in sources)):
            waiting.append(node.name)
    varying: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in varying:
            varying.add(name)
            waiting += takers.get(name, ())
    return varying


def _may_be_computed(node: Any) -> bool:
    definition = op_def_registry.get(node.op)
    return definition is not None and not definition.is_stateful and node.op not in _GIVEN


def _sources(node: Any) -> list[str]:
    return [name.partition(":")[0] for name in node.input if not name.startswith("^")]
