"""What one operation of a graph breaks by itself. Importing this module imports TensorFlow."""

from collections.abc import Callable
from typing import Any, Final

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from batchproof_server.proof.effects import effect
from batchproof_server.proof.graph.flatten import LOOPS, reachable

# A module of XLA may hold loops of its own.
_MAY_LOOP: Final = LOOPS | {"Enter", "NextIteration", "LoopCond", "XlaCallModule"}
# Attributes that say where an operation writes to or reads from.
_TARGETS: Final = ("output_stream", "debug_urls", "descriptor_source")


def broken_rule(node: Any) -> str | None:
    """The rule that a node breaks by its type and its attributes; None for what only computes."""
    definition = op_def_registry.get(node.op)
    if definition is None:
        return "BP210"
    rule_id = effect(
        node.op,
        is_training=_training(node),
        stateful=definition.is_stateful,
        targets=[target for name in _TARGETS for target in _strings(node, name)],
    )
    if rule_id is None and not hasattr(tf.raw_ops, node.op):
        return "BP210"
    return rule_id


def has_loop(function: Any) -> bool:
    """Whether a concrete function may go on for ever for some input."""
    return not _MAY_LOOP.isdisjoint(operation_types(function))


def operation_types(function: Any) -> frozenset[str]:
    """The types of the operations of a concrete function and of all that it reaches."""
    graph = function.graph.as_graph_def()
    return frozenset(node.op for _, node in reachable(graph.node, graph.library))


def _training(node: Any) -> Callable[[], bool]:
    """Reads ``is_training``; a SavedModel leaves it out where it is true, the default."""
    return lambda: bool(node.attr["is_training"].b) if "is_training" in node.attr else True


def _strings(node: Any, name: str) -> list[str]:
    if name not in node.attr:
        return []
    value = node.attr[name]
    values = value.list.s if value.HasField("list") else [value.s]
    return [each.decode("utf-8", "replace") for each in values]
