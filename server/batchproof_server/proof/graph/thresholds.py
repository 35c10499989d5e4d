"""The numbers at which a graph decides: constants of its comparisons, as levels of its inputs.

Importing this module imports TensorFlow. A comparison with a constant is followed back through what
can be undone: ``abs(mean(x) - 105) < 5`` decides at 100 and at 110. Nothing is proven with them;
they tell the probes where to look.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
import tensorflow as tf

from batchproof_server.proof.graph.facts import static_value
from batchproof_server.proof.graph.flatten import LOOPS
from batchproof_server.proof.graph.served import ServedGraph
from batchproof_server.proof.graph.walk import imported, loop_function
from batchproof_server.proof.rows.elementwise import PASSED_ON
from batchproof_server.proof.rows.node import kinds

MAX_THRESHOLDS: Final = 64
_MAX_STEPS: Final = 20_000
_DEEPEST: Final = 64
_SMALL_ELEMENTS: Final = 16
_LARGEST: Final = 1e30

Undo: TypeAlias = Callable[[float], Iterable[float]]

_COMPARED: Final = frozenset(
    kinds(
        "Less LessEqual Greater GreaterEqual Equal NotEqual ApproximateEqual Maximum Minimum "
        "ClipByValue"
    )
)
# Operations that treat their argument otherwise on both sides of a number.
_BENT: Final[Mapping[str, tuple[float, ...]]] = {
    **dict.fromkeys(kinds("Relu LeakyRelu Elu Selu Abs Sign"), (0.0,)),
    "Relu6": (0.0, 6.0),
}
_UNDONE: Final[Mapping[str, Undo]] = {
    **dict.fromkeys(kinds("Floor Ceil Round Rint"), lambda value: (value,)),
    **dict.fromkeys(kinds("Relu Relu6 LeakyRelu Elu Selu"), lambda value: (value,)),
    **dict.fromkeys(("Reciprocal", "Inv"), lambda value: (1 / value,)),
    "Neg": lambda value: (-value,),
    "Abs": lambda value: (value, -value) if value >= 0 else (),
    "Square": lambda value: (math.sqrt(value), -math.sqrt(value)),
    "Sqrt": lambda value: (value * value,),
    "Rsqrt": lambda value: (1 / (value * value),),
    "Exp": lambda value: (math.log(value),),
    "Log": lambda value: (math.exp(value),),
    "Expm1": lambda value: (math.log1p(value),),
    "Log1p": lambda value: (math.expm1(value),),
    "Sigmoid": lambda value: (math.log(value / (1 - value)),),
    "Tanh": lambda value: (math.atanh(value),),
}
# What came in, from what came out and the constant; for the constant on the right, and on the left.
_BINARY: Final[Mapping[str, tuple[Callable[[float, float], float], ...]]] = {
    **dict.fromkeys(kinds("Add AddV2 BiasAdd"), (lambda out, c: out - c, lambda out, c: out - c)),
    **dict.fromkeys(("Mul", "MulNoNan"), (lambda out, c: out / c, lambda out, c: out / c)),
    **dict.fromkeys(
        kinds("Div RealDiv DivNoNan FloorDiv"), (lambda out, c: out * c, lambda out, c: c / out)
    ),
    **dict.fromkeys(("Maximum", "Minimum"), (lambda out, _: out, lambda out, _: out)),
    "Sub": (lambda out, c: out + c, lambda out, c: c - out),
    "SquaredDifference": (
        lambda out, c: c + math.sqrt(out),
        lambda out, c: c + math.sqrt(out),
    ),
}
# Operations whose results lie where their first argument lies, when that has one level.
_LEVEL: Final = frozenset(PASSED_ON) | frozenset(
    kinds(
        "Cast Reshape ExpandDims Squeeze Transpose BroadcastTo Tile Mean Max Min AvgPool MaxPool "
        "ResizeBilinear ResizeNearestNeighbor ResizeArea ResizeBicubic Slice StridedSlice GatherV2 "
        "Gather Pad PadV2 MirrorPad ReverseV2 Roll Select ClipByValue Unpack SplitV"
    )
)
_SEVERAL: Final = frozenset(kinds("Merge Pack AddN"))


def find_thresholds(functions: Mapping[int, Any]) -> tuple[float, ...]:
    """The levels of inputs at which compiled functions decide, as far as they can be told.

    Args:
        functions: a ``tf.types.experimental.ConcreteFunction`` by the rows of its bucket.

    Returns:
        At most ``MAX_THRESHOLDS``, in the order of the graph: first what was followed back to an
        input, then numbers of which only a part of the way is known.
    """
    served = ServedGraph.of(functions[max(functions)], max(functions))
    search = _Search(served)
    search.look(imported(served.flat))
    found = [*search.reached, *(value for value in search.lost if value not in search.reached)]
    return tuple(found[:MAX_THRESHOLDS])


@dataclass(slots=True)
class _Search:
    """Looks through a graph and the bodies of its loops; dictionaries keep the order."""

    served: ServedGraph
    reached: dict[float, None] = field(default_factory=dict)
    lost: dict[float, None] = field(default_factory=dict)
    steps: int = 0

    def look(self, graph: Any) -> None:
        for operation in graph.get_operations():
            for tensor, value in self._decisions(operation):
                self._follow(tensor, value, _DEEPEST)
            if operation.type in LOOPS:
                for attribute in ("body", "cond"):
                    inner, _ = loop_function(operation, attribute, self.served.graph_def.library)
                    self.look(inner)

    def _decisions(self, operation: Any) -> Iterator[tuple[Any, float]]:
        """Tensors, and the numbers at which an operation bends or breaks them."""
        inputs = list(operation.inputs)
        if operation.type in _COMPARED:
            for index, tensor in enumerate(inputs[:2]):
                for other in inputs[:index] + inputs[index + 1 :]:
                    yield from ((tensor, value) for value in self._numbers(other))
        if operation.type == "Bucketize":
            yield from ((inputs[0], value) for value in operation.get_attr("boundaries"))
        yield from ((inputs[0], value) for value in _BENT.get(operation.type, ()))

    def _follow(self, tensor: Any, value: float, depth: int) -> None:
        """Follows a number back to where it is one of an input."""
        self.steps += 1
        if not math.isfinite(value) or abs(value) > _LARGEST or self.steps > _MAX_STEPS:
            return
        if self._numbers(tensor):
            return
        if tensor.op.type == "Placeholder":
            self.reached.setdefault(_rounded(value))
            return
        before = list(self._before(tensor, value)) if depth else []
        if not before:
            self.lost.setdefault(_rounded(value))
        for source, number in before:
            self._follow(source, number, depth - 1)

    def _before(self, tensor: Any, value: float) -> Iterator[tuple[Any, float]]:
        """The arguments that give this number, as far as one of them decides it."""
        kind, inputs = tensor.op.type, list(tensor.op.inputs)
        if kind in _UNDONE:
            yield from ((inputs[0], each) for each in _tried(_UNDONE[kind], value))
        elif kind in _BINARY:
            yield from self._of_pair(kind, inputs, value)
        elif kind in _LEVEL:
            yield inputs[tensor.value_index if kind in PASSED_ON else kind == "Select"], value
        elif kind in _SEVERAL or kind == "ConcatV2":
            yield from ((each, value) for each in inputs[: -1 if kind == "ConcatV2" else None])
        elif kind == "SelectV2":
            yield from ((each, value) for each in inputs[1:])
        elif kind == "Sum":
            yield inputs[0], value / _share(inputs[0], tensor)
            yield inputs[0], value

    def _of_pair(self, kind: str, inputs: list[Any], value: float) -> Iterator[tuple[Any, float]]:
        for index, undo in enumerate(_BINARY[kind]):
            for constant in self._numbers(inputs[1 - index]):
                for each in _tried(partial(_alone, undo, constant), value):
                    yield inputs[index], each

    def _numbers(self, tensor: Any) -> list[float]:
        """The different values of a small constant or variable; none of anything else."""
        if not tensor.dtype.is_floating and not tensor.dtype.is_integer:
            return []
        elements = tensor.shape.num_elements()
        if elements is None or elements > _SMALL_ELEMENTS:
            return []
        value = static_value(tensor)
        if value is None and tensor.op.type == "ReadVariableOp":
            value = self._variable(tensor)
        return [] if value is None else [float(each) for each in np.unique(value)]

    def _variable(self, read: Any) -> Any:
        handle = self.served.captured.get(read.op.inputs[0].op.name)
        if handle is None:
            return None
        return tf.raw_ops.ReadVariableOp(resource=handle, dtype=read.dtype).numpy()


def _tried(undo: Undo, value: float) -> list[float]:
    """Nothing where no argument gives this value."""
    try:
        return list(undo(value))
    except (ValueError, OverflowError, ZeroDivisionError):
        return []


def _alone(undo: Callable[[float, float], float], constant: float, value: float) -> list[float]:
    return [undo(value, constant)]


def _share(added: Any, total: Any) -> int:
    """How many numbers a sum adds up to one; 1 where it is not known."""
    many, few = added.shape.num_elements(), total.shape.num_elements()
    return max(many // few, 1) if many and few else 1


def _rounded(value: float) -> float:
    """Without the noise of going back, and without a negative zero."""
    return float(f"{value:.7g}") + 0.0
