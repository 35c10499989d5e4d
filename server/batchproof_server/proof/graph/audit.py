"""Audits compiled functions: what their graphs do besides computing, and whether rows stay apart.

Importing this module imports TensorFlow.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tensorflow.core.framework import types_pb2

from batchproof_server.proof.findings import Finding, Severity
from batchproof_server.proof.graph.counted import RowsInValues
from batchproof_server.proof.graph.flatten import FlatGraph, reachable, source_of
from batchproof_server.proof.graph.operations import broken_rule
from batchproof_server.proof.graph.served import ServedGraph
from batchproof_server.proof.graph.walk import Walk, imported
from batchproof_server.proof.rows.layout import Rows, Value
from batchproof_server.proof.rows.node import kinds
from batchproof_server.proof.rules import found

# What adds up numbers, and so rounds otherwise in another order.
_SUMS: Final = frozenset(
    kinds(
        "MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Einsum Conv Conv2D Conv3D Sum Mean BiasAdd "
        "DepthwiseConv2dNative Conv2DBackpropInput Conv3DBackpropInputV2"
    )
)
_COARSE: Final = {
    "float16": types_pb2.DT_HALF,
    "bfloat16": types_pb2.DT_BFLOAT16,
}
_PATH: Final = re.compile(r"(?:^|/)(?:Stateful)?PartitionedCall(?:_\d+)?/\d+(?=/)")


def audit_functions(functions: Mapping[int, Any]) -> tuple[Finding, ...]:
    """Looks at the compiled function of each bucket, as ``TensorFlowBackend.functions`` has them.

    Rows are followed for every bucket of two rows or more; alone, a row meets nobody.

    Args:
        functions: a ``tf.types.experimental.ConcreteFunction`` by the rows of its bucket; axis 0
            of every input and output are the rows.
    """
    served = [ServedGraph.of(function, rows) for rows, function in sorted(functions.items())]
    read = frozenset[int]().union(*(function.read for function in served))
    graphs = {function.rows: imported(function.flat) for function in served}
    findings: dict[Finding, None] = {}
    for function in reversed(served):
        findings.update(dict.fromkeys(_effects(function, read)))
        findings.update(dict.fromkeys(_precision(function)))
        if function.rows > 1:
            findings.update(dict.fromkeys(_meetings(function, graphs)))
    return tuple(findings)


def _effects(served: ServedGraph, read: frozenset[int]) -> Iterator[Finding]:
    for inside, node in reachable(served.flat.graph_def.node, served.graph_def.library):
        where, rule_id = _display(node.name), broken_rule(node)
        if rule_id == "BP210":
            yield found("BP210", where, f"{node.op} is no operation of TensorFlow")
        elif rule_id:
            weight = None if inside else _weight(served, node, rule_id, read)
            yield _found(rule_id, where, f"{node.op} in the served function", weight)


def _weight(served: ServedGraph, node: Any, rule_id: str, read: frozenset[int]) -> Severity | None:
    """A milder severity for what leaves a trace that no answer depends on."""
    if rule_id == "BP204" and node.name not in served.live:
        return Severity.NOTE
    if rule_id == "BP203" and node.input:
        handle = served.captured.get(source_of(served.flat, node.input[0]))
        return Severity.WARN if handle is not None and id(handle) not in read else None
    return None


def _precision(served: ServedGraph) -> Iterator[Finding]:
    nodes = [node for _, node in reachable(served.flat.graph_def.node, served.graph_def.library)]
    for name, dtype in _COARSE.items():
        coarse = [node.name for node in nodes if node.op in _SUMS and node.attr["T"].type == dtype]
        if coarse:
            yield found("BP401", _display(coarse[0]), f"it computes in {name}")


def _found(rule_id: str, where: str, detail: str, weight: Severity | None) -> Finding:
    if weight is not None:
        return found(rule_id, where, f"{detail}; no answer depends on it", weight)
    return found(rule_id, where, detail)


def _meetings(served: ServedGraph, graphs: Mapping[int, Any]) -> Iterator[Finding]:
    graph = graphs[served.rows]
    others = [other for rows, other in graphs.items() if rows != served.rows]
    in_values = RowsInValues(graph, others)
    walk = Walk(served.rows, served.graph_def.library, _display, in_values=in_values)
    given = served.function.inputs[: len(served.function.inputs) - len(served.captured)]
    values = walk.run(graph, served.flat, {tensor.op.name: Value(Rows(0)) for tensor in given})
    for name, sentence in served.flat.trouble.items():
        yield found("BP305", _display(name), sentence)
    for node, cause in sorted(walk.draws.items()):
        yield _found(cause.rule_id, cause.where, cause.detail, _drawn(served, node))
    norms = _batch_norms(served.flat)
    for cause in sorted(walk.met.union(*(value.causes for value in values))):
        reduces = cause.rule_id == "BP301" and cause.where in norms
        yield found("BP202" if reduces else cause.rule_id, cause.where, cause.detail)
    tensors = [graph.get_tensor_by_name(name) for name in served.flat.outputs]
    outputs = sorted(served.function.structured_outputs)
    for name, value, tensor in zip(outputs, values, tensors, strict=True):
        yield from _placed(name, value, counted=value.free and in_values.holds(tensor) is not False)


def _batch_norms(flat: FlatGraph) -> set[str]:
    """Means whose distance to the values is squared, and the means of those: ``tf.nn.moments``."""
    nodes = {node.name: node for node in flat.graph_def.node}
    squares = {name for name, node in nodes.items() if node.op == "SquaredDifference"}
    sources = {source_of(flat, tensor) for name in squares for tensor in nodes[name].input}
    variances = {
        name
        for name, node in nodes.items()
        if node.op == "Mean" and source_of(flat, node.input[0]) in squares
    }
    return {_display(name) for name in sources | variances}


def _drawn(served: ServedGraph, node: str) -> Severity | None:
    known = {known.name for known in served.flat.graph_def.node}
    return Severity.NOTE if node in known - served.live else None


def _placed(name: str, value: Value, *, counted: bool) -> Iterator[Finding]:
    where = f'output "{name}"'
    if counted:
        yield found("BP310", where, "it depends on the number of rows and on nothing else")
    elif value.free:
        yield found("BP308", where)
    elif value.rows is not None and value.rows.inner is None:
        yield found("BP305", where, f"its rows lie {value.rows}")
    elif value.rows is not None and not value.rows.plain:
        yield found("BP307", where, f"its rows lie {value.rows}")


def _display(name: str) -> str:
    return _PATH.sub("", name).lstrip("/")
