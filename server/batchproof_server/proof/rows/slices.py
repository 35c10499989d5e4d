"""How rows pass operations that take parts of a tensor. Pure; names are TensorFlow's."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from batchproof_server.proof.rows.layout import Rows, Value, sliced
from batchproof_server.proof.rows.node import (
    UNKNOWN,
    Node,
    Outcomes,
    RowsVerdict,
    Transfer,
    axis_of,
    first_input,
    undecided,
)

_CHOSEN: Final = "takes some of the rows"


def slice_(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """A box out of a tensor."""
    begin, size = node.static(1), node.static(2)
    if (first := first_input(node, values)) is None:
        return UNKNOWN
    rows, shape = first
    whole, output = shape[rows.axis], node.output_shapes[0]
    if output is not None and whole is not None and output[rows.axis] == whole:
        return RowsVerdict(rows)
    if begin is None or size is None or whole is None:
        return undecided("takes a part of the rows that is not constant")
    start, length = int(begin[rows.axis]), int(size[rows.axis])
    return _piece(rows, node.count, start, whole - start if length < 0 else length)


def _piece(rows: Rows, count: int, start: int, length: int) -> RowsVerdict:
    found = sliced(rows, count, start, length)
    return RowsVerdict(None, "BP302", _CHOSEN) if found is None else RowsVerdict(found)


def strided_slice(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """``x[...]`` with steps, new axes and dropped axes."""
    if (first := first_input(node, values)) is None:
        return UNKNOWN
    rows, shape = first
    sizes = [node.static(index) for index in (1, 2, 3)]
    rank = next((len(known) for known in sizes if known is not None), None)
    if rank is None:
        return undecided("takes a part that is not constant")
    steps = _steps(node, rank, len(shape))
    step, position = next(
        (step, index) for index, (step, place) in enumerate(steps) if place == rows.axis
    )
    axis = sum(before != "drop" for before, _ in steps[:position])
    moved = rows.at(axis)
    if step == "all":
        return RowsVerdict(moved)
    if step == "drop":
        return RowsVerdict(None, "BP302", "takes one of the rows")
    spec = _spec_index(node, position, rank, len(shape))
    return _strided(node, moved, shape[rows.axis], spec, sizes)


def _steps(node: Node, rank: int, axes: int) -> list[tuple[str, int | None]]:
    """For each entry: what happens (all, part, new, drop) and to which axis of the input."""
    masks = {name: node.attr(f"{name}_mask") for name in ("ellipsis", "new_axis", "shrink_axis")}
    new = sum(bool(masks["new_axis"] >> bit & 1) for bit in range(rank))
    steps: list[tuple[str, int | None]] = []
    place = 0
    for bit in range(rank):
        if masks["ellipsis"] >> bit & 1:
            rest = axes - (rank - new - 1)
            steps += [("all", place + index) for index in range(rest)]
            place += rest
        elif masks["new_axis"] >> bit & 1:
            steps.append(("new", None))
        else:
            steps.append(("drop" if masks["shrink_axis"] >> bit & 1 else "part", place))
            place += 1
    return steps + [("all", rest) for rest in range(place, axes)]


def _spec_index(node: Node, position: int, rank: int, axes: int) -> int:
    """Which entry of begin, end and strides a step came from."""
    ellipsis = node.attr("ellipsis_mask")
    if not ellipsis or position < ellipsis.bit_length() - 1:
        return position
    new = sum(bool(node.attr("new_axis_mask") >> bit & 1) for bit in range(rank))
    return position - (axes - (rank - new - 1)) + 1


def _strided(
    node: Node,
    rows: Rows,
    size: int | None,
    spec: int,
    sizes: Sequence[np.ndarray[Any, Any] | None],
) -> RowsVerdict:
    begin, end, strides = sizes
    open_start = bool(node.attr("begin_mask") >> spec & 1)
    open_end = bool(node.attr("end_mask") >> spec & 1)
    step = None if strides is None else int(strides[spec])
    if open_start and open_end and step == 1:
        return RowsVerdict(rows)
    if step is not None and step < 0:
        return RowsVerdict(rows, "BP303", "reverses the rows")
    if size is None or step is None or _missing(begin, open_start) or _missing(end, open_end):
        return undecided("takes a part of the rows that is not constant")
    start = 0 if open_start or begin is None else int(begin[spec])
    stop = size if open_end or end is None else int(end[spec])
    taken = range(size)[start:stop:step]
    if step != 1 and len(taken) > 1:
        return RowsVerdict(None, "BP302", _CHOSEN)
    return _piece(rows, node.count, taken.start, len(taken))


def _missing(bound: object, unbounded: bool) -> bool:  # noqa: FBT001 - a plain predicate
    return bound is None and not unbounded


def split(node: Node, values: Sequence[Value]) -> Outcomes:
    """Cuts a tensor into pieces along an axis."""
    data, where = (1, 0) if node.kind == "Split" else (0, 2)
    rows, shape, axis = values[data].rows, node.input_shapes[data], node.static(where)
    if rows is None or shape is None or axis is None:
        return UNKNOWN
    if axis_of(int(axis.item()), len(shape)) != rows.axis:
        return RowsVerdict(rows)
    pieces = [known and known[rows.axis] for known in node.output_shapes]
    start, outcomes = 0, []
    for piece in pieces:
        if not piece:
            return undecided("cuts the batch into pieces of unknown size")
        outcomes.append(_piece(rows, node.count, start, piece))
        start += piece
    return outcomes


TRANSFERS: Final[Mapping[str, Transfer]] = {
    "Slice": slice_,
    "StridedSlice": strided_slice,
    "Split": split,
    "SplitV": split,
}
