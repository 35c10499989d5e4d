"""What can be known of a tensor in a graph without running it.

Importing this module imports TensorFlow.
"""

from typing import Any, Final

import numpy as np
import tensorflow as tf

from batchproof_server.proof.rows.elementwise import PASSED_ON, SAME_FOR_EACH, TRANSFERS
from batchproof_server.proof.rows.layout import Rows, Shape, broadcast, reshaped
from batchproof_server.proof.rows.node import kinds

_DEEPEST: Final = 64
_RESHAPES: Final = frozenset({"Reshape", "ExpandDims", "Squeeze"})
_FOLDED_ELEMENTS: Final = 1 << 20
_FOLDED: Final = frozenset(
    kinds(
        "Add AddV2 Sub Mul FloorMod FloorDiv Neg Minimum Maximum Cast Range ConcatV2 Pack Slice "
        "StridedSlice Reshape ExpandDims Squeeze GatherV2 Equal Less Greater SelectV2 Sum Prod "
        "RealDiv Pow Sqrt Square Transpose Tile BroadcastTo OneHot ReverseV2 LinSpace"
    )
)
# What the functions of Python call otherwise than the definitions of the operations do.
_RENAMED: Final = dict.fromkeys(("reduction_indices", "dim", "squeeze_dims"), "axis")
_BRANCHING: Final = frozenset({"Merge"})


def shape_of(tensor: Any) -> Shape:
    """A tensor's shape as far as it is inferred."""
    return None if tensor.shape.rank is None else tuple(tensor.shape.as_list())


def static_value(tensor: Any) -> np.ndarray[Any, Any] | None:
    """The value of a constant, of a shape that is known, or of simple arithmetic with them."""
    value = _fold(tensor, _DEEPEST)
    return None if value is None else np.asarray(value)


def _fold(tensor: Any, depth: int) -> Any:
    """Computes a small tensor from constants, with a few harmless operations only."""
    value = tf.get_static_value(tensor)
    if value is not None or tensor.op.type not in _FOLDED or not depth:
        return value
    elements = tensor.shape.num_elements()
    if elements is None or elements > _FOLDED_ELEMENTS:
        return None
    sources = [_fold(source, depth - 1) for source in tensor.op.inputs]
    if any(source is None for source in sources):
        return None
    return _execute(tensor.op, sources)


def _execute(operation: Any, sources: list[Any]) -> Any:
    """Executes one operation of ``_FOLDED`` at once; each has one output."""
    arguments: dict[str, Any] = {}
    inferred: set[str] = set()
    left = [
        tf.constant(value, tensor.dtype)
        for value, tensor in zip(sources, operation.inputs, strict=True)
    ]
    for declared in operation.op_def.input_arg:
        count = operation.get_attr(declared.number_attr) if declared.number_attr else 1
        taken, left = left[:count], left[count:]
        name = _RENAMED.get(declared.name, declared.name)
        arguments[name] = taken if declared.number_attr else taken[0]
        inferred |= {declared.number_attr, declared.type_attr}
    for declared in operation.op_def.attr:
        if declared.name not in inferred:
            name = _RENAMED.get(declared.name, declared.name)
            arguments[name] = operation.get_attr(declared.name)
    return getattr(tf.raw_ops, operation.type)(**arguments).numpy()


def fixed_draw(operation: Any) -> bool:
    """Whether a stateless random operation gets the same seed at every call."""
    return all(_constant(tensor, _DEEPEST) for tensor in operation.inputs)


def _constant(tensor: Any, depth: int) -> bool:
    if static_value(tensor) is not None or tensor.op.type in ("Const", "StatelessRandomGetAlg"):
        return True
    return bool(depth and tensor.op.inputs) and all(
        _constant(source, depth - 1) for source in tensor.op.inputs
    )


def is_uniform(tensor: Any, rows: Rows, count: int, depth: int = _DEEPEST) -> bool | None:
    """Whether a tensor that depends on no row has the same values for each row along an axis.

    Args:
        tensor: of an imported graph.
        rows: the axis and how rows lie on it.
        count: rows in the batch.
        depth: how many operations to look back.

    Returns:
        None when it cannot be told.
    """
    if tensor.dtype == tf.variant:
        return _list_is_uniform(tensor, rows, count, depth)
    shape = shape_of(tensor)
    if shape is None or depth == 0:
        return None
    if rows.axis < 0 or shape[rows.axis] == 1:
        return True
    value = static_value(tensor)
    if value is not None:
        return _same_values(value, rows, count)
    return _by_producer(tensor, rows, count, depth - 1)


def _list_is_uniform(tensor: Any, rows: Rows, count: int, depth: int) -> bool | None:
    """The same of a list: of the tensors that were put into it before there were rows."""
    kind = tensor.op.type
    if kind in ("TensorListReserve", "EmptyTensorList"):
        return True
    if kind == "TensorListFromTensor":
        return is_uniform(tensor.op.inputs[0], rows.at(rows.axis + 1), count, depth)
    if kind in PASSED_ON and depth:
        return _list_is_uniform(tensor.op.inputs[tensor.value_index], rows, count, depth - 1)
    return None


def _same_values(value: np.ndarray[Any, Any], rows: Rows, count: int) -> bool | None:
    if rows.inner is None or value.shape[rows.axis] != rows.outer * count * rows.inner:
        return None
    pieces = np.moveaxis(value, rows.axis, 0).reshape((rows.outer, count, rows.inner, -1))
    return bool((pieces == pieces[:, :1]).all())


def _by_producer(tensor: Any, rows: Rows, count: int, depth: int) -> bool | None:
    operation, inputs = tensor.op, list(tensor.op.inputs)
    kind = operation.type
    if kind in SAME_FOR_EACH or kind == "Fill":
        return True
    if kind in ("ReadVariableOp", "Range", "LinSpace") or kind.startswith("Stateless"):
        return False
    if kind in PASSED_ON:
        return is_uniform(inputs[tensor.value_index], rows, count, depth)
    if kind in _RESHAPES:
        source = reshaped(rows, count, shape_of(tensor), shape_of(inputs[0]))
        return None if source is None else is_uniform(inputs[0], source, count, depth)
    if kind == "Transpose":
        order = static_value(inputs[1])
        return (
            None
            if order is None
            else is_uniform(inputs[0], rows.at(int(order[rows.axis])), count, depth)
        )
    return _by_operands(tensor, inputs, rows, count, depth)


def _by_operands(tensor: Any, inputs: list[Any], rows: Rows, count: int, depth: int) -> bool | None:
    kind, rank = tensor.op.type, tensor.shape.rank
    if kind == "BroadcastTo" or _is_product_of_rows(tensor.op, rows):
        inputs = inputs[:1]
    elif kind == "Tile":
        source = shape_of(inputs[0])
        return True if source is not None and source[rows.axis] == 1 else None
    elif kind in ("ConcatV2", "Pack") or kind not in TRANSFERS or kind in _BRANCHING:
        return None
    answers = [_operand(source, rank, rows, count, depth) for source in inputs]
    if any(answer is False for answer in answers):
        return False
    return None if any(answer is None for answer in answers) else True


def _is_product_of_rows(operation: Any, rows: Rows) -> bool:
    """A product each row of which is made of the same row of the left factor."""
    return operation.type == "MatMul" and rows.axis == 0 and not operation.get_attr("transpose_a")


def _operand(source: Any, rank: int, rows: Rows, count: int, depth: int) -> bool | None:
    shape = shape_of(source)
    if shape is None:
        return None
    # From the coordinates of the result back to those of the operand.
    axis = rows.axis - (broadcast(rows, rank, shape).axis - rows.axis)
    return is_uniform(source, rows.at(axis), count, depth)
