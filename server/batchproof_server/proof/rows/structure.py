"""How rows pass operations that move elements without computing. Pure; names are TensorFlow's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from batchproof_server.proof.rows.layout import Rows, Value, reshaped
from batchproof_server.proof.rows.node import (
    UNKNOWN,
    Node,
    RowsVerdict,
    Transfer,
    aligned,
    axis_of,
    first_input,
    kept,
    undecided,
)


def reshape(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Also ExpandDims and Squeeze: the order of the elements stays."""
    if (first := first_input(node, values)) is None:
        return UNKNOWN
    rows, shape = first
    found = reshaped(rows, node.count, shape, node.output_shapes[0])
    return kept(found, "spreads the rows over several axes, or sizes are unknown")


def transpose(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Moves axes."""
    order = node.static(1)
    if values[0].rows is None or order is None:
        return undecided("moves axes in an order that is not constant")
    return RowsVerdict(values[0].rows.at(order.tolist().index(values[0].rows.axis)))


def expand(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Adds an axis."""
    axis, first = node.static(1), first_input(node, values)
    if axis is None or first is None:
        return reshape(node, values)
    rows, shape = first
    return RowsVerdict(
        rows.at(rows.axis + (axis_of(int(axis.item()), len(shape) + 1) <= rows.axis))
    )


def squeeze(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Takes axes of size 1 away."""
    if (first := first_input(node, values)) is None:
        return UNKNOWN
    rows, shape = first
    axes = [axis_of(axis, len(shape)) for axis in node.attr("squeeze_dims")]
    if not axes:
        return reshape(node, values)
    return RowsVerdict(rows.at(rows.axis - sum(axis < rows.axis for axis in axes)))


def concat(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Joins tensors; along the rows, whole batches follow each other."""
    axis, shape = node.static(len(values) - 1), node.output_shapes[0]
    found = {value.rows for value in values if value.rows is not None}
    if axis is None or shape is None:
        return undecided("joins tensors along an unknown axis")
    along = axis_of(int(axis.item()), len(shape))
    if along in {rows.axis for rows in found}:
        return _follow(values[:-1], along)
    if len(found) > 1:
        return RowsVerdict(None, "BP304", "joins rows that are laid out in different ways")
    return _beside(node, values[:-1], found.pop())


def _follow(values: Sequence[Value], along: int) -> RowsVerdict:
    parts = [value.rows for value in values if value.rows is not None]
    alike = {(rows.axis, rows.inner) for rows in parts} == {(along, parts[0].inner)}
    if len(parts) < len(values) or not alike:
        return RowsVerdict(None, "BP303", "puts rows and something else behind each other")
    return RowsVerdict(replace(parts[0], outer=sum(rows.outer for rows in parts)))


def _beside(node: Node, values: Sequence[Value], rows: Rows) -> RowsVerdict:
    for index, value in enumerate(values):
        if value.free and (outcome := aligned(node, index, rows)).rule_id:
            return outcome
    return RowsVerdict(rows)


def pack(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Stacks tensors along a new axis."""
    shape, found = node.output_shapes[0], {value.rows for value in values if value.rows}
    if shape is None or len(found) != 1:
        return RowsVerdict(None, "BP304", "stacks rows that are laid out in different ways")
    rows = found.pop()
    outcome = _beside(node, values, rows)
    axis = axis_of(node.attr("axis"), len(shape))
    return replace(outcome, rows=rows.at(rows.axis + (axis <= rows.axis)))


def unpack(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Takes a tensor apart along an axis."""
    if (first := first_input(node, values)) is None:
        return UNKNOWN
    rows, shape = first
    axis = axis_of(node.attr("axis"), len(shape))
    if axis == rows.axis:
        return undecided("takes the batch apart into its rows")
    return RowsVerdict(rows.at(rows.axis - (axis < rows.axis)))


def pad(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Also MirrorPad: rows must not be added."""
    return _same_size(node, values, "adds rows to the batch")


def broadcast_to(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Repeats along axes of size 1 and new axes in front."""
    shape, known = node.output_shapes[0], node.input_shapes[0]
    if (rows := values[0].rows) is None or shape is None or known is None or values[1].rows:
        return UNKNOWN
    return RowsVerdict(rows.at(rows.axis + len(shape) - len(known)))


def tile(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Repeats a tensor along its axes."""
    first, output = first_input(node, values), node.output_shapes[0]
    if first is None or output is None:
        return UNKNOWN
    rows, shape = first
    times, size = node.static(1), shape[rows.axis]
    if times is not None:
        return RowsVerdict(replace(rows, outer=rows.outer * int(times[rows.axis])))
    if size is None or output[rows.axis] is None:
        return undecided("repeats rows an unknown number of times")
    return RowsVerdict(replace(rows, outer=rows.outer * ((output[rows.axis] or 0) // size)))


def reverse(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Turns axes round."""
    axes, first = node.static(1), first_input(node, values)
    if axes is None or first is None:
        return undecided("reverses along an unknown axis")
    rows, shape = first
    turned = {axis_of(int(axis), len(shape)) for axis in axes.ravel()}
    return RowsVerdict(rows, *(("BP303", "reverses the rows") if rows.axis in turned else ()))


def reverse_sequence(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Turns the start of each row round."""
    rows = values[0].rows or values[1].rows
    if rows is None or rows.axis == node.attr("seq_dim"):
        return RowsVerdict(rows, "BP303", "reverses the rows")
    lengths_fit = values[1].rows is None or values[1].rows == rows.at(0)
    if values[0].rows is None or rows.axis != node.attr("batch_dim") or not lengths_fit:
        return undecided("reverses parts whose lengths belong to other rows")
    if values[1].rows is None and (outcome := aligned(node, 1, rows.at(0))).rule_id:
        return RowsVerdict(rows, outcome.rule_id, "reverses parts of other lengths in each row")
    return RowsVerdict(rows)


def roll(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Shifts elements round an axis."""
    axes, first = node.static(2), first_input(node, values)
    if axes is None or first is None:
        return undecided("shifts along an unknown axis")
    rows, shape = first
    shifted = {axis_of(int(axis), len(shape)) for axis in axes.ravel()}
    return RowsVerdict(rows, *(("BP303", "shifts the rows") if rows.axis in shifted else ()))


def space_to_batch(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Puts pixels behind the batch: the batch repeats once for each place in a block."""
    blocks = node.static(1)
    if (rows := values[0].rows) is None or rows.axis or blocks is None:
        return RowsVerdict(None, "BP303", "moves pixels between rows")
    return RowsVerdict(replace(rows, outer=rows.outer * int(np.prod(blocks))))


def batch_to_space(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """The inverse of ``space_to_batch``."""
    blocks = node.static(1)
    if (rows := values[0].rows) is None or rows.axis or blocks is None:
        return RowsVerdict(None, "BP303", "moves rows into pixels")
    repeats = int(np.prod(blocks))
    if rows.outer % repeats:
        return RowsVerdict(None, "BP303", "moves rows into pixels")
    return RowsVerdict(replace(rows, outer=rows.outer // repeats))


def _same_size(node: Node, values: Sequence[Value], otherwise: str) -> RowsVerdict:
    first, output = first_input(node, values), node.output_shapes[0]
    if first is None or output is None:
        return UNKNOWN
    rows, shape = first
    before, after = shape[rows.axis], output[rows.axis]
    if before is None or after is None:
        return undecided(f"perhaps {otherwise}")
    return RowsVerdict(rows) if before == after else RowsVerdict(None, "BP303", otherwise)


TRANSFERS: Final[Mapping[str, Transfer]] = {
    "Reshape": reshape,
    "ExpandDims": expand,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "ConcatV2": concat,
    "Pack": pack,
    "Unpack": unpack,
    "Pad": pad,
    "PadV2": pad,
    "MirrorPad": pad,
    "BroadcastTo": broadcast_to,
    "Tile": tile,
    "ReverseV2": reverse,
    "ReverseSequence": reverse_sequence,
    "Roll": roll,
    "SpaceToBatchND": space_to_batch,
    "BatchToSpaceND": batch_to_space,
}
