"""How rows pass gathering, scattering, choosing, and lists of tensors. Pure; TensorFlow's names."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from batchproof_server.proof.rows.layout import Rows, Value
from batchproof_server.proof.rows.node import (
    UNKNOWN,
    Node,
    RowsVerdict,
    Transfer,
    aligned,
    axis_of,
    kinds,
    rank_of,
    undecided,
)

# The axis of a list whose elements are the rows.
LISTED: Final = -1


def gather(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """``tf.gather``: slices of the first input at the places that the second names."""
    batch = int(node.attr("batch_dims") or 0)
    rank, index_rank = rank_of(node.input_shapes[0]), rank_of(node.input_shapes[1])
    axis = np.zeros((), np.int32) if node.kind == "ResourceGather" else node.static(2)
    if axis is None or rank is None or index_rank is None:
        return undecided("takes parts along an unknown axis")
    along = axis_of(int(axis.item()), rank)
    source, index = values[0].rows, values[1].rows
    if source is None:
        return _by_index(index, along, batch)
    if index is not None:
        return _by_both(source, index, batch)
    if source.axis == along:
        return _rows_at(node, source)
    if source.axis < batch and (outcome := aligned(node, 1, source)).rule_id:
        return RowsVerdict(source, outcome.rule_id, "takes other parts of each row")
    return RowsVerdict(
        source if source.axis < along else source.at(source.axis + index_rank - batch - 1)
    )


def _by_index(index: Rows | None, along: int, batch: int) -> RowsVerdict:
    if index is None or index.axis < batch:
        return undecided("takes other constants for each row")
    return RowsVerdict(index.at(index.axis + along - batch))


def _by_both(source: Rows, index: Rows, batch: int) -> RowsVerdict:
    if source == index and source.axis < batch:
        return RowsVerdict(source)
    return RowsVerdict(None, "BP304", "takes parts of rows as other rows say")


def _rows_at(node: Node, rows: Rows) -> RowsVerdict:
    places = node.static(1)
    if places is None:
        return undecided("takes rows in an order that is not constant")
    shape = node.input_shapes[0] or ()
    if places.ndim == 1 and np.array_equal(places, np.arange(shape[rows.axis] or -1)):
        return RowsVerdict(rows)
    return RowsVerdict(rows, "BP303", "takes the rows in another order, or only some of them")


def plain_gather(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """``Gather``, the first version: along axis 0."""
    if values[0].rows is None:
        return RowsVerdict(values[1].rows)
    if values[1].rows is not None:
        return RowsVerdict(None, "BP304", "takes parts of rows as other rows say")
    if values[0].rows.axis == 0:
        return _rows_at(node, values[0].rows)
    index_rank = rank_of(node.input_shapes[1])
    return (
        UNKNOWN
        if index_rank is None
        else RowsVerdict(values[0].rows.at(values[0].rows.axis + index_rank - 1))
    )


def gather_nd(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Elements by their coordinates: only constants can be told apart from rows."""
    index = node.input_shapes[1]
    if values[0].rows is None and values[1].rows is not None and index is not None:
        if values[1].rows.axis < len(index) - 1:
            return RowsVerdict(values[1].rows)
        return RowsVerdict(None, "BP304", "builds a coordinate from several rows")
    return undecided("takes elements at coordinates that may name other rows")


def one_hot(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Adds an axis of classes."""
    shape, rows = node.output_shapes[0], values[0].rows
    if shape is None or rows is None or any(value.rows for value in values[1:]):
        return UNKNOWN
    axis = axis_of(node.attr("axis"), len(shape))
    return RowsVerdict(rows.at(rows.axis + (axis <= rows.axis)))


def chosen(_node: Node, _values: Sequence[Value]) -> RowsVerdict:
    """Sorts, counts or picks by content; where an element goes depends on all others."""
    return RowsVerdict(None, "BP302", "sorts, counts or picks rows by their content")


def both_plain(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Every input holds one example on each index of axis 0, or is the same for all."""
    if not values[0].rows or any(value.rows not in (None, Rows(0)) for value in values):
        return undecided("works on something else than the rows")
    for index, value in enumerate(values):
        if value.free and (outcome := aligned(node, index, Rows(0))).rule_id:
            return outcome
    return RowsVerdict(Rows(0))


def counted(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Counts the numbers in each row of a matrix, or in a whole vector."""
    if rank_of(node.input_shapes[0]) != 2 or values[0].rows != Rows(0):  # noqa: PLR2004 - a matrix
        return chosen(node, values)
    # Without weights their place is taken by an empty tensor.
    if values[-1].free and node.input_shapes[-1] != (0,):
        return aligned(node, len(values) - 1, Rows(0))
    return RowsVerdict(Rows(0))


def list_from_tensor(_node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Takes axis 0 apart."""
    rows = values[0].rows
    if rows is None:
        return UNKNOWN
    return RowsVerdict(rows.at(rows.axis - 1))


def list_set(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Puts a tensor into a list; all of a list must be laid out alike."""
    place = len(values) - 1  # of the item: list, item; or list, index, item
    element, listed = values[place].rows, values[0].rows
    if listed is None and element is not None and values[0].free:
        return _into_constants(node, element)
    if listed is None or element == listed:
        return RowsVerdict(element or listed)
    if element is not None:
        return undecided("collects tensors whose rows are laid out in different ways")
    if listed.axis == LISTED:
        return undecided("puts something else in the place of a row")
    return aligned(node, place, listed) if values[place].free else RowsVerdict(listed)


def _into_constants(node: Node, element: Rows) -> RowsVerdict:
    """The other tensors of the list stay what they were."""
    same = node.uniform(0, element)
    if same:
        return RowsVerdict(element)
    if same is None:
        return RowsVerdict(element, "BP305", "joins a list that may differ from row to row")
    return RowsVerdict(element, "BP306", "joins a list with other constants for each row")


def list_get(_node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Takes a tensor out of a list."""
    rows = values[0].rows
    if rows is None or rows.axis == LISTED:
        return undecided("takes the rows one after the other")
    return RowsVerdict(rows)


def list_pop(node: Node, values: Sequence[Value]) -> Sequence[RowsVerdict]:
    """The rest of the list, and its last tensor."""
    return [RowsVerdict(values[0].rows), list_get(node, values)]


def list_stack(_node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Makes axis 0 of what was a list."""
    rows = values[0].rows
    return UNKNOWN if rows is None else RowsVerdict(rows.at(rows.axis + 1))


def list_gather(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Takes tensors out of a list, by their places."""
    if values[0].rows is not None and values[0].rows.axis == LISTED:
        return undecided("takes rows in an order that may not be theirs")
    return list_stack(node, values)


def list_kept(_node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Changes the length of a list."""
    return RowsVerdict(values[0].rows)


CHOICES: Final = kinds(
    "Where Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 DynamicPartition DynamicStitch "
    "ParallelDynamicStitch SegmentSum SegmentMean SegmentMax SegmentMin SegmentProd SegmentSumV2 "
    "SegmentMaxV2 SegmentMinV2 SegmentProdV2 UnsortedSegmentSum UnsortedSegmentMax "
    "UnsortedSegmentMin UnsortedSegmentProd SparseSegmentSum SparseSegmentMean SparseSegmentSqrtN "
    "Bincount ListDiff SetSize InvertPermutation EditDistance"
)

TRANSFERS: Final[Mapping[str, Transfer]] = {
    **dict.fromkeys(CHOICES, chosen),
    "GatherV2": gather,
    "ResourceGather": gather,
    "Gather": plain_gather,
    "GatherNd": gather_nd,
    "ResourceGatherNd": gather_nd,
    "OneHot": one_hot,
    "InTopK": both_plain,
    "InTopKV2": both_plain,
    "CombinedNonMaxSuppression": both_plain,
    "DenseBincount": counted,
    "TensorListFromTensor": list_from_tensor,
    "TensorListSetItem": list_set,
    "TensorListPushBack": list_set,
    "TensorListGetItem": list_get,
    "TensorListPopBack": list_pop,
    "TensorListStack": list_stack,
    "TensorListGather": list_gather,
    "TensorListResize": list_kept,
}
