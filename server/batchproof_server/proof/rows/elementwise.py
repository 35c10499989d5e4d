"""How rows pass operations that treat each element alone. Pure; names are TensorFlow's."""

from collections.abc import Mapping, Sequence
from typing import Final

from batchproof_server.proof.rows.layout import Rows, Value, broadcast
from batchproof_server.proof.rows.node import (
    Node,
    RowsVerdict,
    Transfer,
    aligned,
    kinds,
    undecided,
)

PASSED_ON: Final = frozenset(
    kinds(
        "Identity IdentityN StopGradient PreventGradient Snapshot EnsureShape CheckNumerics "
        "CheckNumericsV2 DeepCopy GuaranteeConst OptionalGetValue DebugIdentityV2"
    )
)
# What comes out depends on the shape of the input alone.
SHAPES_ONLY: Final = frozenset(
    kinds(
        "Shape ShapeN Size Rank TensorListLength TensorListElementShape VariableShape "
        "BroadcastArgs BroadcastGradientArgs Const TensorListReserve EmptyTensorList"
    )
)
SAME_FOR_EACH: Final = frozenset({"ZerosLike", "OnesLike"})
_UNARY: Final = kinds(
    "Abs Acos Acosh Angle Asin Asinh Atan Atanh BesselI0 BesselI0e BesselI1 BesselI1e BesselJ0 "
    "BesselJ1 BesselK0 BesselK0e BesselK1 BesselK1e BesselY0 BesselY1 Bucketize Cast Ceil "
    "ComplexAbs Conj Cos Cosh Dawsn Digamma Elu Erf Erfc Erfinv Exp Expint Expm1 "
    "FakeQuantWithMinMaxArgs Floor FresnelCos FresnelSin Imag Inv Invert IsFinite IsInf IsNan "
    "LeakyRelu Lgamma Log Log1p LogicalNot Ndtri Neg PopulationCount Real Reciprocal Relu Relu6 "
    "Rint Round Rsqrt Selu Sigmoid Sign Sin Sinh Softplus Softsign Spence Sqrt Square Tan Tanh "
    "AsString StringLength StringLower StringUpper StringStrip StringToNumber RegexReplace "
    "StaticRegexReplace RegexFullMatch StaticRegexFullMatch StringToHashBucketFast "
    "StringToHashBucketStrong StringToHashBucket DecodeBase64 EncodeBase64 Substr StringJoin"
)
_BINARY: Final = kinds(
    "Add AddV2 AddN ApproximateEqual Atan2 Betainc BitwiseAnd BitwiseOr BitwiseXor ClipByValue "
    "Complex Div DivNoNan Equal FakeQuantWithMinMaxVars FloorDiv FloorMod Greater GreaterEqual "
    "Igamma Igammac LeftShift Less LessEqual LogicalAnd LogicalOr Maximum Minimum Mod Mul "
    "MulNoNan NextAfter NotEqual Polygamma Pow RealDiv RightShift SelectV2 SquaredDifference Sub "
    "TruncateDiv TruncateMod Xdivy Xlog1py Xlogy Zeta EluGrad ReluGrad Relu6Grad SigmoidGrad "
    "TanhGrad SoftplusGrad LeakyReluGrad InvGrad RsqrtGrad SqrtGrad"
)


def elementwise(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Operands are broadcast as in NumPy."""
    shape = node.output_shapes[0]
    if shape is None or any(known is None for known in node.input_shapes):
        return _of_unknown_rank(node, values)
    found: Rows | None = None
    for value, known in zip(values, node.input_shapes, strict=True):
        if value.rows is None or known is None:
            continue
        rows = broadcast(value.rows, len(shape), known)
        if found is not None and rows != found:
            return RowsVerdict(None, "BP304", "combines every row with every other")
        found = rows
    return _with_constants(node, values, found, len(shape))


def _of_unknown_rank(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Numbers that meet each element alike move none."""
    met = zip(values, node.input_shapes, strict=True)
    rest = [value for value, shape in met if shape != ()]
    if len(rest) == 1 and rest[0].rows is not None:
        return RowsVerdict(rest[0].rows)
    return undecided("combines tensors of unknown rank")


def _with_constants(
    node: Node, values: Sequence[Value], rows: Rows | None, rank: int
) -> RowsVerdict:
    if rows is None:  # pragma: no cover - transfers are called for rows only
        return RowsVerdict()
    for index, (value, shape) in enumerate(zip(values, node.input_shapes, strict=True)):
        if not value.free or shape is None:
            continue
        outcome = aligned(node, index, rows.at(rows.axis - (rank - len(shape))))
        if outcome.rule_id:
            return RowsVerdict(rows, outcome.rule_id, outcome.detail)
    return RowsVerdict(rows)


def passed_on(_node: Node, values: Sequence[Value]) -> Sequence[RowsVerdict]:
    """Each output is its input."""
    return [RowsVerdict(value.rows) for value in values]


def select(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """The first ``tf.where``: a condition of rank 1 picks along axis 0."""
    condition, chosen = node.input_shapes[0], node.input_shapes[1]
    if condition is None or chosen is None or len(condition) == len(chosen):
        return elementwise(node, values)
    if values[0].rows is None and not condition:
        return elementwise(node, values)
    if all(value.rows is None or value.rows.axis == 0 for value in values):
        return elementwise_on_first_axis(node, values)
    return RowsVerdict(None, "BP304", "chooses between rows by another axis")


def elementwise_on_first_axis(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Every operand must carry its rows on axis 0, or be constant along it."""
    found = {value.rows for value in values if value.rows is not None}
    if len(found) != 1:
        return RowsVerdict(None, "BP304", "combines rows that are laid out in different ways")
    rows = found.pop()
    for index, value in enumerate(values):
        if value.free and (outcome := aligned(node, index, rows)).rule_id:
            return outcome
    return RowsVerdict(rows)


def bias_add(node: Node, values: Sequence[Value]) -> RowsVerdict:
    """Adds a vector along the channels."""
    rows, shape = values[0].rows, node.input_shapes[0]
    if rows is None or values[1].rows is not None or shape is None:
        return RowsVerdict(None, "BP304", "adds rows to channels")
    channels = 1 if node.attr("data_format") == b"NCHW" else len(shape) - 1
    if rows.axis == channels:
        return RowsVerdict(rows, "BP306", "adds other constants to each row")
    return RowsVerdict(rows)


def looked_up(_node: Node, values: Sequence[Value]) -> RowsVerdict:
    """A table maps each key alone."""
    return RowsVerdict(values[1].rows)


def merged(node: Node, values: Sequence[Value]) -> Sequence[RowsVerdict]:
    """The results of all branches, of which one is taken; and the index of that one."""
    found = {value.rows for value in values if value.rows is not None}
    if len(found) > 1:
        return [undecided("branches lay their rows out in different ways"), RowsVerdict()]
    rows = found.pop()
    for index, value in enumerate(values):
        if value.free and (outcome := aligned(node, index, rows)).rule_id:
            return [outcome, RowsVerdict()]
    return [RowsVerdict(rows), RowsVerdict()]


TRANSFERS: Final[Mapping[str, Transfer]] = {
    **dict.fromkeys(_UNARY, elementwise),
    **dict.fromkeys(_BINARY, elementwise),
    **dict.fromkeys(PASSED_ON, passed_on),
    **dict.fromkeys(SAME_FOR_EACH, passed_on),
    "Select": select,
    "BiasAdd": bias_add,
    "LookupTableFindV2": looked_up,
    "LookupTableFind": looked_up,
    "Merge": merged,
}
