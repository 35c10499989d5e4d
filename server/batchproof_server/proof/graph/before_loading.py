"""Audits ``saved_model.pb`` before TensorFlow loads it: what loading and answering would execute.

Importing this module imports TensorFlow, for its protocol buffers and its list of operations.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from google.protobuf.message import DecodeError
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from batchproof_server.base.errors import cut
from batchproof_server.base.files import read_start
from batchproof_server.proof.artefact.saved_model_files import GRAPH_NAME, LARGEST_GRAPH_BYTES
from batchproof_server.proof.effects import UNSAFE, belongs_to_loading
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.graph.flatten import reachable
from batchproof_server.proof.graph.folding import computed_at_once
from batchproof_server.proof.graph.operations import broken_rule
from batchproof_server.proof.rules import found

SERVE_TAG: Final = "serve"
DEFAULT_SIGNATURE: Final = "serving_default"
_ROOT: Final = 0
_SIGNATURES: Final = "signatures"
_LOADING: Final = "loading"
_ANSWERING: Final = "answering"
# Of SavedModels of TensorFlow 1; tensorflow/python/saved_model/constants.py.
_INIT_SIGNATURE: Final = "__saved_model_init_op"
_INIT_COLLECTIONS: Final = ("saved_model_main_op", "legacy_init_op")
_ASSETS_COLLECTION: Final = "saved_model_assets"
_TEXT_FILE_TABLE: Final = "InitializeTableFromTextFile"


# Contract
#
# Nothing of the artefact is executed, and nothing is loaded. What is looked at is what
# tf.saved_model.load executes, and what the served signature reaches:
#
#   - of a model with an object graph: functions under names that TensorFlow keeps for itself, which
#     begin with an underscore (creating, initialising and destroying a resource are among them),
#     functions that save and restore an object, and the signatures;
#   - of one without, as TensorFlow 1 wrote it: the operations that initialise tables, local
#     variables and all that the main operation does, those that restore, and the signatures;
#   - of both: what TensorFlow computes while it infers the shapes of any function (``folding``).
#
# Restoring variables and filling tables belong to loading. Reading a vocabulary does too, when it
# is a file of the artefact. The graph that is served is audited again once it is compiled, before
# it is executed: here a function that only looks like it may stand in its place.
def audit_before_loading(directory: Path) -> tuple[Finding, ...]:
    """Looks for what must not be executed.

    Args:
        directory: of a SavedModel whose files were found whole.
    """
    findings: dict[Finding, None] = {}
    try:
        model = saved_model_pb2.SavedModel.FromString(
            read_start(directory / GRAPH_NAME, LARGEST_GRAPH_BYTES)
        )
        for graph in model.meta_graphs:
            findings.update(dict.fromkeys(_assets(graph)))
        for program in _programs(model.meta_graphs):
            findings.update(dict.fromkeys(_unsafe(program)))
        for graph in model.meta_graphs:
            findings.update(dict.fromkeys(_folded(graph.graph_def)))
    except DecodeError:
        return (found("BP015", GRAPH_NAME, "is no message of TensorFlow"),)
    return tuple(findings)


@dataclass(frozen=True, slots=True)
class _Program:
    """Nodes that are executed together.

    Attributes:
        when: ``loading`` or ``answering``.
        what: names what holds the nodes, for people.
        library: the functions that they may call.
        assets: names of what holds the path of a file of the artefact.
    """

    when: str
    what: str
    nodes: Sequence[Any]
    library: Any
    assets: frozenset[str] = frozenset()


def _unsafe(program: _Program) -> Iterator[Finding]:
    for inside, node in reachable(program.nodes, program.library):
        rule_id = broken_rule(node)
        if rule_id not in UNSAFE or _is_right(program, inside, node):
            continue
        when = "while it is loaded" if program.when == _LOADING else "to answer"
        where = f"{inside or program.what}/{node.name}"
        yield found(rule_id, where, f"{node.op} would be executed {when} ({program.what})")


def _folded(graph_def: Any) -> Iterator[Finding]:
    bodies = [(each.signature.name, each.node_def) for each in graph_def.library.function]
    for inside, nodes in (("graph", graph_def.node), *bodies):
        unsafe = {node.name for node in nodes if broken_rule(node) in UNSAFE}
        for node in computed_at_once(nodes) if unsafe else ():
            if node.name in unsafe:
                detail = f"{node.op} of constants would be executed while its shapes are inferred"
                yield found(str(broken_rule(node)), f"{inside}/{node.name}", detail)


def _is_right(program: _Program, inside: str, node: Any) -> bool:
    """Whether loading a model does this by right."""
    if program.when != _LOADING:
        return False
    if node.op.startswith(_TEXT_FILE_TABLE) and len(node.input) > 1:
        return not inside and node.input[1].removesuffix(":0") in program.assets
    return belongs_to_loading(node.op)


def _programs(graphs: Sequence[Any]) -> Iterator[_Program]:
    """What the loader executes, which it chooses as ``tf.saved_model.load`` does."""
    if len(graphs) == 1 and graphs[0].HasField("object_graph_def"):
        yield from _of_objects(graphs[0])
        return
    for graph in graphs:
        if set(graph.meta_info_def.tags) == {SERVE_TAG}:
            yield from _of_graph(graph)


def _of_objects(graph: Any) -> Iterator[_Program]:
    objects = graph.object_graph_def
    library = graph.graph_def.library
    bodies = {function.signature.name: function for function in library.function}
    for when, what, node_id in _functions(objects):
        if not 0 <= node_id < len(objects.nodes):
            continue
        for name in _concrete(objects.nodes[node_id]):
            if name in bodies:
                assets = _bound_assets(bodies[name], objects, name)
                yield _Program(when, what, bodies[name].node_def, library, assets)


def _bound_assets(function: Any, objects: Any, name: str) -> frozenset[str]:
    """The arguments of a function that are always paths of assets."""
    bound = (
        objects.concrete_functions[name].bound_inputs if name in objects.concrete_functions else ()
    )
    arguments = [argument.name for argument in function.signature.input_arg]
    pairs = zip(arguments[len(arguments) - len(bound) :], bound, strict=False)
    return frozenset(
        argument
        for argument, node_id in pairs
        if 0 <= node_id < len(objects.nodes)
        and objects.nodes[node_id].WhichOneof("kind") == "asset"
    )


def _functions(objects: Any) -> Iterator[tuple[str, str, int]]:
    """When an object's function is executed, what it is to the object, and its number."""
    for node in objects.nodes:
        for edge in (*node.children, *node.dependencies):
            if edge.local_name.startswith("_"):
                yield _LOADING, f'"{cut(edge.local_name, 60)}" of an object', edge.node_id
        for saveable in node.saveable_objects.values():
            yield _LOADING, "saving an object", saveable.save_function
            yield _LOADING, "restoring an object", saveable.restore_function
    for name, node_id in _served_signatures(objects):
        yield _ANSWERING, f'signature "{cut(name, 60)}"', node_id


def _served_signatures(objects: Any) -> Iterator[tuple[str, int]]:
    """The signatures of which one is served: all, unless one has the default name."""
    roots = objects.nodes[_ROOT].children if len(objects.nodes) else ()
    for child in roots:
        if child.local_name == _SIGNATURES and 0 <= child.node_id < len(objects.nodes):
            edges = objects.nodes[child.node_id].children
            yield from _default_or_all({edge.local_name: edge.node_id for edge in edges}).items()


def _default_or_all(signatures: Mapping[str, Any]) -> Mapping[str, Any]:
    if DEFAULT_SIGNATURE in signatures:
        return {DEFAULT_SIGNATURE: signatures[DEFAULT_SIGNATURE]}
    return signatures


def _concrete(node: Any) -> tuple[str, ...]:
    if node.WhichOneof("kind") == "bare_concrete_function":
        return (node.bare_concrete_function.concrete_function_name,)
    return tuple(node.function.concrete_functions)


def _of_graph(graph: Any) -> Iterator[_Program]:
    library, nodes = graph.graph_def.library, {node.name: node for node in graph.graph_def.node}
    assets = frozenset(asset.tensor_info.name.removesuffix(":0") for asset in _asset_files(graph))
    outputs = {name: signature.outputs for name, signature in graph.signature_def.items()}
    init = [tensor.name for tensor in outputs.pop(_INIT_SIGNATURE, {}).values()]
    starts = {
        "the operation that initialises it": [*init, *_initialisers(graph)],
        "the operation that restores it": [graph.saver_def.restore_op_name],
    }
    for what, names in starts.items():
        yield _Program(_LOADING, what, _upstream(nodes, names), library, assets)
    for name, tensors in _default_or_all(outputs).items():
        reached = _upstream(nodes, (tensor.name for tensor in tensors.values()))
        yield _Program(_ANSWERING, f'signature "{cut(name, 60)}"', reached, library)


def _initialisers(graph: Any) -> Iterator[str]:
    """Of the main operation, or of tables and local variables when there is none."""
    for key in (*_INIT_COLLECTIONS, "table_initializer"):
        if key in graph.collection_def:
            yield from graph.collection_def[key].node_list.value
    if "local_variables" in graph.collection_def:
        for content in graph.collection_def["local_variables"].bytes_list.value:
            yield variable_pb2.VariableDef.FromString(content).initializer_name


def _upstream(nodes: Mapping[str, Any], tensors: Iterable[str]) -> list[Any]:
    """The nodes that these depend on, themselves included, by data or by control."""
    waiting = list(tensors)
    seen: dict[str, None] = {}
    while waiting:
        name = waiting.pop().lstrip("^").partition(":")[0]
        if name in nodes and name not in seen:
            seen[name] = None
            waiting += nodes[name].input
    return [nodes[name] for name in seen]


def _assets(graph: Any) -> Iterator[Finding]:
    for asset in _asset_files(graph):
        path = PurePosixPath(asset.filename)
        if path.is_absolute() or ".." in path.parts:
            where = cut(asset.filename, 100)
            yield found("BP003", where, "it is an asset outside the artefact's directory")


def _asset_files(graph: Any) -> Sequence[Any]:
    if graph.asset_file_def:
        return tuple(graph.asset_file_def)
    if _ASSETS_COLLECTION not in graph.collection_def:
        return ()
    packed = graph.collection_def[_ASSETS_COLLECTION].any_list.value
    return [meta_graph_pb2.AssetFileDef.FromString(each.value) for each in packed]
