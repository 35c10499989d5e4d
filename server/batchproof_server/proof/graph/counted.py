"""Follows the number of rows into values: what is another constant for another number of rows.

Importing this module imports TensorFlow. The graphs have a fixed row count for each bucket, so the
size of axis 0 is a constant in each of them. A tensor that depends on no row and has another value
in the graph of another bucket therefore holds the number of rows, in whatever way it came there.
Shapes may hold it: a tensor with more rows whose values are the same is no case.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from batchproof_server.proof.graph.facts import static_value
from batchproof_server.proof.rows import elementwise
from batchproof_server.proof.rows.node import kinds

_DEEPEST: Final = 64
# Where values enter an operation; its other inputs are shapes, axes and places.
_VALUES: Final[Mapping[str, slice]] = {
    **dict.fromkeys(elementwise.TRANSFERS.keys() - elementwise.SAME_FOR_EACH, slice(None)),
    **dict.fromkeys(
        kinds("MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Einsum Pack Conv2D Conv3D"),
        slice(None),
    ),
    **dict.fromkeys(
        kinds("DepthwiseConv2dNative FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3"), slice(None)
    ),
    **dict.fromkeys(
        kinds("Reshape ExpandDims Squeeze Transpose BroadcastTo Tile Sum Mean Prod Max Min"),
        slice(1),
    ),
    "ConcatV2": slice(-1),
    "Fill": slice(1, 2),
}
_LOOKED_UP: Final[Mapping[str, int]] = {
    **dict.fromkeys(kinds("GatherV2 Gather GatherNd ResourceGather ResourceGatherNd"), 1),
    **dict.fromkeys(kinds("LookupTableFind LookupTableFindV2"), 1),
}


@dataclass(frozen=True, slots=True)
class RowsInValues:
    """Knows which tensors of one graph hold the number of rows.

    Attributes:
        graph: the one that is walked.
        others: the same function for other row counts.
        known: what was found out, by the names of tensors.
    """

    graph: Any
    others: Sequence[Any]
    known: dict[str, bool | None] = field(default_factory=dict)

    def among(self, operation: Any, free: Sequence[bool]) -> bool | None:
        """Whether an operation computes with the number of rows.

        Args:
            operation: of any graph; nothing is known of others than ``graph``.
            free: for each input, whether it depends on no row.

        Returns:
            None where the number picks something and it cannot be told what.
        """
        taken = _VALUES.get(operation.type)
        if taken is None or not any(free):
            return False
        pairs = list(zip(operation.inputs, free, strict=True))[taken]
        return _any(self.holds(tensor) for tensor, is_free in pairs if is_free)

    def holds(self, tensor: Any, depth: int = _DEEPEST) -> bool | None:
        """Whether a tensor that depends on no row holds the number of rows.

        Returns:
            None where the number picks something and it cannot be told what.
        """
        if tensor.graph is not self.graph or not depth:
            return False
        if tensor.name not in self.known:
            self.known[tensor.name] = self._found(tensor, depth)
        return self.known[tensor.name]

    def _found(self, tensor: Any, depth: int) -> bool | None:
        value = static_value(tensor)
        if value is not None:
            return any(_differs(value, other) for other in self._twins(tensor))
        kind, inputs = tensor.op.type, list(tensor.op.inputs)
        if kind in elementwise.PASSED_ON:
            inputs = inputs[tensor.value_index : tensor.value_index + 1]
        if kind in _LOOKED_UP:
            picked = self.holds(inputs[_LOOKED_UP[kind]], depth - 1)
            return None if picked else picked
        taken = _VALUES.get(kind)
        return taken is not None and _any(self.holds(each, depth - 1) for each in inputs[taken])

    def _twins(self, tensor: Any) -> Iterator[np.ndarray[Any, Any]]:
        """What is known of the tensor of the same name in the other graphs."""
        for graph in self.others:
            try:
                twin = graph.get_tensor_by_name(tensor.name)
            except (KeyError, ValueError):  # traced otherwise for that row count
                continue
            value = static_value(twin) if twin.op.type == tensor.op.type else None
            if value is not None:
                yield value


def _any(answers: Iterable[bool | None]) -> bool | None:
    """Yes before perhaps, and perhaps before no."""
    seen = set(answers)
    return True if True in seen else None if None in seen else False


def _differs(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> bool:
    """Whether values differ as far as both reach; what has more rows is longer."""
    if left.ndim != right.ndim:
        return False
    both = tuple(slice(min(sizes)) for sizes in zip(left.shape, right.shape, strict=True))
    return not np.array_equal(left[both], right[both], equal_nan=left.dtype.kind in "fc")
