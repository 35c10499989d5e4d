"""How rows pass sums and products over axes. Pure; names are TensorFlow's."""

from collections.abc import Mapping, Sequence
from typing import Final

from batchproof_server.proof.rows.layout import Rows, Value, broadcast
from batchproof_server.proof.rows.node import (
    UNKNOWN,
    Node,
    RowsVerdict,
    Transfer,
    aligned,
    axis_of,
    first_input,
    kinds,
    undecided,
)

_OVER_ROWS: Final = "reduces over the rows"
_PAIRS: Final = "multiplies rows with rows"
_SUMS: Final = "sums products over the rows"


def reduction(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """``tf.reduce_...``: the second input are the axes."""
    axes, first = node.static(1), first_input(node, values)
    if axes is None or first is None:
        return undecided("reduces over unknown axes")
    rows, shape = first
    gone = {axis_of(int(axis), len(shape)) for axis in axes.ravel()}
    if rows.axis in gone:
        return RowsVerdict(None, "BP301", _OVER_ROWS)
    kept = bool(node.attr("keep_dims"))
    return RowsVerdict(
        rows if kept else rows.at(rows.axis - sum(axis < rows.axis for axis in gone))
    )


def whole(_node: Node, _values: Sequence[Value]) -> RowsVerdict:
    """Reduces the whole tensor."""
    return RowsVerdict(None, "BP301", _OVER_ROWS)


def arg_reduction(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """``ArgMax`` and ``ArgMin``: the axis goes away."""
    axis, first = node.static(1), first_input(node, values)
    if axis is None or first is None:
        return undecided("reduces over an unknown axis")
    rows, shape = first
    gone = axis_of(int(axis.item()), len(shape))
    if gone == rows.axis:
        return RowsVerdict(None, "BP302", "looks for the best of the rows")
    return RowsVerdict(rows.at(rows.axis - (gone < rows.axis)))


def scan(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Running sums and products."""
    axis, first = node.static(1), first_input(node, values)
    if axis is None or first is None:
        return undecided("adds up along an unknown axis")
    rows, shape = first
    if axis_of(int(axis.item()), len(shape)) == rows.axis:
        return RowsVerdict(rows, "BP301", "adds up over the rows before")
    return RowsVerdict(rows)


def mat_mul(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Matrices, with leading axes that are broadcast."""
    left, right = node.input_shapes
    if left is None or right is None:
        return UNKNOWN
    suffix = ("transpose_a", "transpose_b") if node.kind == "MatMul" else ("adj_x", "adj_y")
    rank = max(len(left), len(right))
    found = [
        _factor(value.rows, shape, rank, swapped=bool(node.attr(name)))
        for value, shape, name in zip(values, (left, right), suffix, strict=True)
    ]
    outcome = _product(found[0], found[1], rank)
    rows = outcome.rows
    if outcome.rule_id or rows is None or rows.axis >= rank - 2:
        return outcome
    # Rows on an axis of many matrices: each must meet the same matrix.
    for index, shape in enumerate((left, right)):
        if values[index].free:
            met = aligned(node, index, rows.at(rows.axis - (rank - len(shape))))
            outcome = met if met.rule_id else outcome
    return RowsVerdict(rows, outcome.rule_id, outcome.detail)


def _factor(
    rows: Rows | None, shape: Sequence[int | None], rank: int, *, swapped: bool
) -> Rows | None:
    """The rows of a factor as if it were not transposed, in the coordinates of the product."""
    if rows is None:
        return None
    moved = broadcast(rows, rank, shape)
    if swapped and moved.axis >= rank - 2:
        return moved.at(2 * rank - 3 - moved.axis)
    return moved


def _product(left: Rows | None, right: Rows | None, rank: int) -> RowsVerdict:
    if (left and left.axis == rank - 1) or (right and right.axis == rank - 2):
        return RowsVerdict(None, "BP304", _SUMS)
    if left and right and left != right:
        return RowsVerdict(None, "BP304", _PAIRS)
    return RowsVerdict(left or right)


def einsum(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Sums of products by letters."""
    equation = node.attr("equation").decode().replace(" ", "")
    terms, _, result = equation.partition("->")
    found: set[tuple[str, Rows]] = set()
    for value, term, shape in zip(values, terms.split(","), node.input_shapes, strict=True):
        if value.rows is not None and shape is not None:
            found.add((_letters(term, len(shape))[value.rows.axis], value.rows.at(0)))
    output = node.output_shapes[0]
    if len(found) != 1 or output is None:
        return RowsVerdict(None, "BP304", _PAIRS)
    letter, rows = found.pop()
    letters = _letters(result, len(output))
    if letter not in letters:
        return RowsVerdict(None, "BP304", _SUMS)
    there = rows.at(letters.index(letter))
    for index, (value, term) in enumerate(zip(values, terms.split(","), strict=True)):
        known = node.input_shapes[index]
        if value.free and known is None:
            return RowsVerdict(there, "BP305", "meets constants of unknown shape")
        if value.free and known is not None and letter in (own := _letters(term, len(known))):
            outcome = aligned(node, index, rows.at(own.index(letter)))
            if outcome.rule_id:
                return RowsVerdict(there, outcome.rule_id, outcome.detail)
    return RowsVerdict(there)


def _letters(term: str, rank: int) -> list[str]:
    """One name for each axis; those under an ellipsis are counted from the back."""
    head, dots, tail = term.partition("...")
    if not dots:
        return list(term)
    hidden = rank - len(head) - len(tail)
    return [*head, *(f".{index}" for index in range(hidden, 0, -1)), *tail]


def on_first_axis(_node: Node, values: Sequence[Value]) -> RowsVerdict:
    """The first input holds one example on each index of axis 0; all others are the same for all.

    Convolutions, pooling over the other axes, resizing, and their kind.
    """
    rows = values[0].rows
    if rows is None or any(value.rows is not None for value in values[1:]):
        return RowsVerdict(None, "BP304", _PAIRS)
    if rows.axis:
        return RowsVerdict(None, "BP303", "takes the rows for something else than examples")
    return RowsVerdict(rows)


def pooling(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """A window over axis 0 would span rows."""
    if node.attr("ksize")[0] != 1:
        return RowsVerdict(None, "BP301", "pools over the rows")
    return on_first_axis(node, values)


def transposed_convolution(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """The third input holds the examples."""
    return on_first_axis(node, [values[2], values[1]])


def warped(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Images, each with its transformation on axis 0."""
    found = {value.rows for value in values if value.rows is not None}
    if found != {Rows(0)}:
        return RowsVerdict(None, "BP304", "transforms rows by other rows")
    shape = node.input_shapes[1]
    if values[0].rows is None or (values[1].rows is None and (not shape or shape[0] != 1)):
        return undecided("transforms each row by constants that may differ")
    return RowsVerdict(Rows(0))


def inference_batch_norm(node: Node, values: Sequence[Value]) -> Sequence[RowsVerdict]:
    """Fused BatchNorm: with stored statistics it treats each row alone."""
    rows = values[0].rows
    if node.attr("is_training") or rows is None or rows.axis:
        return [RowsVerdict(rows, "BP201", "normalises by the statistics of the batch")] * _outputs(
            node
        )
    if any(value.rows is not None for value in values[1:]):
        return [RowsVerdict(rows, "BP304", _PAIRS)] * _outputs(node)
    return [RowsVerdict(rows), *[RowsVerdict()] * (_outputs(node) - 1)]


def _outputs(node: Node) -> int:
    return len(node.output_shapes)


def on_leading_axes(last: int) -> Transfer:
    """Operations on each vector, matrix or picture in the ``last`` axes of the first input."""

    def transfer(node: Node, values: Sequence[Value]) -> RowsVerdict:
        first = first_input(node, values)
        if first is None or any(value.rows is not None for value in values[1:]):
            return undecided("works on something else than the rows")
        rows, shape = first
        if rows.axis >= len(shape) - last:
            return RowsVerdict(None, "BP301", "computes over the rows")
        return RowsVerdict(rows)

    return transfer


_REDUCTIONS: Final = ("Sum", "Mean", "Prod", "Max", "Min", "All", "Any", "EuclideanNorm")
_EXAMPLES: Final = kinds(
    "Conv Conv2D Conv3D DepthwiseConv2dNative Dilation2D ResizeBilinear ResizeBicubic ResizeArea "
    "ResizeNearestNeighbor ScaleAndTranslate LRN SpaceToDepth DepthToSpace ExtractImagePatches "
    "ExtractVolumePatches QuantizedConv2D DataFormatDimMap"
)
_POOLS: Final = ("MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D", "MaxPoolWithArgmax")
_LEADING: Final = {
    1: "Softmax LogSoftmax TopKV2 TopK FFT IFFT RFFT IRFFT RGBToHSV HSVToRGB MatrixDiag "
    "MatrixDiagV2 MatrixDiagV3 NthElement AdjustHue AdjustSaturation",
    2: "MatrixInverse MatrixDeterminant LogMatrixDeterminant Cholesky Qr Svd SelfAdjointEigV2 "
    "MatrixBandPart MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 FFT2D IFFT2D RFFT2D IRFFT2D "
    "MatrixExponential MatrixSquareRoot MatrixLogarithm",
    3: "AdjustContrastv2 FFT3D IFFT3D RFFT3D IRFFT3D",
}

TRANSFERS: Final[Mapping[str, Transfer]] = {
    **dict.fromkeys(_REDUCTIONS, reduction),
    **dict.fromkeys(("ArgMax", "ArgMin"), arg_reduction),
    **dict.fromkeys(("Cumsum", "Cumprod", "CumulativeLogsumexp"), scan),
    **dict.fromkeys(("L2Loss", "HistogramFixedWidth"), whole),
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), mat_mul),
    **dict.fromkeys(_EXAMPLES, on_first_axis),
    **dict.fromkeys(_POOLS, pooling),
    **dict.fromkeys(("Conv2DBackpropInput", "Conv3DBackpropInputV2"), transposed_convolution),
    **dict.fromkeys(
        ("DepthwiseConv2dNativeBackpropInput", "Conv3DBackpropInput"), transposed_convolution
    ),
    **dict.fromkeys(
        ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), inference_batch_norm
    ),
    **{kind: on_leading_axes(last) for last, names in _LEADING.items() for kind in kinds(names)},
    "Einsum": einsum,
    "ImageProjectiveTransformV2": warped,
    "ImageProjectiveTransformV3": warped,
}
