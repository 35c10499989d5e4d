"""Turns a graph with function calls into one without. TensorFlow's protocol buffers only.

A call becomes the body of its function between ``Identity`` nodes; ``If`` and ``Case`` become all
their branches and a ``Merge`` of the results, since an audit looks at every branch. Loops stay.
Nothing here can execute what comes out: control inputs are dropped.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.python.framework import op_def_registry

CALLS: Final = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
BRANCHES: Final = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})
LOOPS: Final = frozenset({"While", "StatelessWhile"})
_DEEPEST: Final = 100

# From the name of a tensor in its own graph or function to its name in the flat graph.
_Names = Callable[[str], str]


@dataclass(slots=True)
class FlatGraph:
    """A graph whose only functions are the bodies of loops.

    Attributes:
        graph_def: nodes with every private attribute taken away, so that shapes are inferred anew.
        inputs: names of the placeholders, in order.
        outputs: names of the tensors, in order.
        selectors: for each ``Merge`` of branches, the name of the tensor that picks one.
        trouble: calls that cannot be followed, as sentences by node name.
    """

    graph_def: Any = field(default_factory=graph_pb2.GraphDef)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    selectors: dict[str, str] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, name: str, inputs: Sequence[str], **types: int) -> Any:
        """Adds a node; ``types`` are its attributes of type ``type``."""
        node = self.graph_def.node.add(name=name, op=kind, input=inputs)
        for key, value in types.items():
            node.attr[key].type = value
        return node


def flatten_graph(graph_def: Any, outputs: Sequence[str], handles: Mapping[str, Any]) -> FlatGraph:
    """Flattens a graph whose placeholders are its inputs.

    Args:
        graph_def: with its library of functions.
        outputs: names of tensors in it, such as ``Identity:0``.
        handles: ``HandleData`` of variables, by the names of the placeholders for them.
    """
    flattener = _Flattener({f.signature.name: f for f in graph_def.library.function})
    kinds = {node.name: node.op for node in graph_def.node}
    names = _graph_names(kinds, flattener.is_call)
    for node in graph_def.node:
        if node.name in handles:
            flattener.flat.graph_def.node.append(handle_node(node.name, handles[node.name]))
    rest = [node for node in graph_def.node if node.name not in handles]
    flattener.nodes(rest, "", names, 0)
    return flattener.finish(
        [node.name for node in graph_def.node if node.op == "Placeholder"],
        [names(name) for name in outputs],
        graph_def.library,
    )


def flatten_function(library: Any, name: str, arguments: Sequence[Any]) -> FlatGraph:
    """Flattens one function of a library, such as the body of a loop.

    Args:
        library: a ``FunctionDefLibrary``.
        name: of the function.
        arguments: a ``NodeDef`` for each: a placeholder, or the handle of a variable.
    """
    flattener = _Flattener({f.signature.name: f for f in library.function})
    names = [f"argument_{index}" for index in range(len(arguments))]
    for argument, node in zip(names, arguments, strict=True):
        flattener.flat.graph_def.node.add().CopyFrom(node)
        flattener.flat.graph_def.node[-1].name = argument
    function = flattener.functions[name]
    outputs = flattener.body(function, "", [f"{argument}:0" for argument in names], 0)
    return flattener.finish(names, outputs, library)


def live_nodes(flat: FlatGraph) -> frozenset[str]:
    """The names of the nodes that an output depends on."""
    nodes = {node.name: node for node in flat.graph_def.node}
    waiting = [name.partition(":")[0] for name in flat.outputs]
    live: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in live and name in nodes:
            live.add(name)
            tensors = [*nodes[name].input, flat.selectors.get(name, name)]
            waiting += [tensor.partition(":")[0] for tensor in tensors]
    return frozenset(live)


def source_of(flat: FlatGraph, tensor: str) -> str:
    """The node that a tensor comes from when it is only passed on."""
    nodes = {node.name: node for node in flat.graph_def.node}
    name = tensor.partition(":")[0]
    while name in nodes and nodes[name].op in ("Identity", "StopGradient"):
        name = nodes[name].input[0].partition(":")[0]
    return name


def handle_node(name: str, handle: Any) -> Any:
    """A variable in the place of a placeholder, so that the shape of its value is known.

    Args:
        name: of the node.
        handle: ``HandleData`` with one shape and dtype.
    """
    node = node_def_pb2.NodeDef(name=name, op="VarHandleOp")
    node.attr["dtype"].type = handle.shape_and_type[0].dtype
    node.attr["shape"].shape.CopyFrom(handle.shape_and_type[0].shape)
    return node


def reachable(nodes: Sequence[Any], library: Any) -> Iterator[tuple[str, Any]]:
    """These nodes and those of the functions that they reach, with the function's name."""
    functions = {f.signature.name: f for f in library.function}
    waiting: list[tuple[str, Sequence[Any]]] = [("", nodes)]
    seen: set[str] = set()
    while waiting:
        name, nodes = waiting.pop()
        for node in nodes:
            yield name, node
            for callee in _callees(node):
                if callee in functions and callee not in seen:
                    seen.add(callee)
                    waiting.append((callee, functions[callee].node_def))


def _callees(node: Any) -> Iterator[str]:
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)


@dataclass(slots=True)
class _Flattener:
    functions: Mapping[str, Any]
    flat: FlatGraph = field(default_factory=FlatGraph)

    def is_call(self, kind: str) -> bool:
        return kind in CALLS or kind in BRANCHES or kind in self.functions

    def finish(self, inputs: list[str], outputs: list[str], library: Any) -> FlatGraph:
        self.flat.inputs, self.flat.outputs = inputs, outputs
        if any(node.op in LOOPS for node in self.flat.graph_def.node):
            self.flat.graph_def.library.CopyFrom(library)
        return self.flat

    def nodes(self, nodes: Sequence[Any], prefix: str, names: _Names, depth: int) -> None:
        for node in nodes:
            inputs = [names(name) for name in node.input if not name.startswith("^")]
            if not self.is_call(node.op):
                self._copy(node, prefix + node.name, inputs)
            elif depth >= _DEEPEST:
                self.flat.trouble[prefix + node.name] = "functions call each other without end"
            else:
                self._call(node, prefix + node.name, inputs, depth + 1)

    def _copy(self, node: Any, name: str, inputs: Sequence[str]) -> None:
        copied = self.flat.add(node.op, name, inputs)
        for key, value in node.attr.items():
            if not key.startswith("_"):
                copied.attr[key].CopyFrom(value)
        if node.op in LOOPS:
            # Then the shapes of a loop's results are those of its inputs; the audit checks that.
            copied.attr["output_shapes"].list.SetInParent()
            del copied.attr["output_shapes"].list.shape[:]

    def _call(self, node: Any, name: str, inputs: Sequence[str], depth: int) -> None:
        branching = node.op in BRANCHES
        results = [
            self.body(self.functions[callee], f"{name}/{index}/", inputs[branching:], depth)
            for index, callee in enumerate(_branches(node, self.functions))
        ]
        types = [declared.type for declared in self._signature(node).output_arg]
        for index, kind in enumerate(types):
            options = [result[index] for result in results]
            if branching:
                merge = self.flat.add("Merge", f"{name}/out_{index}", options, T=kind)
                merge.attr["N"].i = len(options)
                self.flat.selectors[merge.name] = inputs[0]
            else:
                self.flat.add("Identity", f"{name}/out_{index}", options, T=kind)

    def _signature(self, node: Any) -> Any:
        return self.functions[_branches(node, self.functions)[0]].signature

    def body(self, function: Any, prefix: str, arguments: Sequence[str], depth: int) -> list[str]:
        """Adds a function's nodes; returns the names of its results."""
        declared = [argument.name for argument in function.signature.input_arg]
        given = dict(zip(declared, arguments, strict=True))
        names = _function_names(function, prefix, given, self)
        self.nodes(function.node_def, prefix, names, depth)
        return [names(function.ret[result.name]) for result in function.signature.output_arg]

    def output_index(self, node: Any, argument: str, index: int) -> int:
        """The position of an output, which functions name by argument, among all of a node."""
        if node.op in self.functions:
            signature = self.functions[node.op].signature
        else:
            signature = op_def_registry.get(node.op)
        position = 0
        for declared in signature.output_arg:
            if declared.name == argument:
                return position + index
            position += _length(declared, node)
        raise KeyError(argument)


def _branches(node: Any, functions: Mapping[str, Any]) -> list[str]:
    if node.op in functions:
        return [node.op]
    if node.op in CALLS:
        return [node.attr["f"].func.name]
    if node.op in ("If", "StatelessIf"):
        return [node.attr[key].func.name for key in ("then_branch", "else_branch")]
    return [function.name for function in node.attr["branches"].list.func]


def _graph_names(kinds: Mapping[str, str], is_call: Callable[[str], bool]) -> _Names:
    def names(tensor: str) -> str:
        name, _, index = tensor.partition(":")
        if is_call(kinds[name]):
            return f"{name}/out_{index or 0}:0"
        return f"{name}:{index or 0}"

    return names


def _function_names(
    function: Any, prefix: str, given: Mapping[str, str], flattener: _Flattener
) -> _Names:
    nodes = {node.name: node for node in function.node_def}

    def names(tensor: str) -> str:
        name, _, rest = tensor.partition(":")
        if name in given:
            return given[name]
        argument, _, index = rest.partition(":")
        position = flattener.output_index(nodes[name], argument, int(index or 0))
        if flattener.is_call(nodes[name].op):
            return f"{prefix}{name}/out_{position}:0"
        return f"{prefix}{name}:{position}"

    return names


def _length(declared: Any, node: Any) -> int:
    """How many tensors an output stands for; core/framework/node_def_util.cc, ComputeArgRange."""
    if declared.number_attr:
        return int(node.attr[declared.number_attr].i)
    if declared.type_list_attr:
        return len(node.attr[declared.type_list_attr].list.type)
    return 1
