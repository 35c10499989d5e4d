"""One step of the row analysis is never silent about what it does not know."""

import numpy as np
import pytest

from batchproof_server.proof.rows.elementwise import PASSED_ON, SAME_FOR_EACH
from batchproof_server.proof.rows.layout import FREE, Cause, Rows, Value
from batchproof_server.proof.rows.step import TRANSFERS, known, step
from support.nodes import ROWS, FakeNode

PLAIN = Value(Rows(0))
# They pass on what they get, whatever its shape, or need none.
SHAPELESS = {
    *PASSED_ON,
    *SAME_FOR_EACH,
    *("Merge", "LookupTableFind", "LookupTableFindV2", "BiasAdd", "Gather", "InTopK", "InTopKV2"),
    *("CombinedNonMaxSuppression", "ImageProjectiveTransformV3"),
}


def answer(node: FakeNode, *values: Value) -> Value:
    return step(node, "node", list(values), [True] * len(node.output_shapes))[0]


def rule(node: FakeNode, *values: Value) -> str:
    return ",".join(cause.rule_id for cause in answer(node, *values).causes)


NEEDS_A_RANK = sorted(
    kind
    for kind in TRANSFERS
    if kind not in SHAPELESS
    and not kind.startswith(("TensorList", "FusedBatch", "MaxPool", "AvgPool"))
    and kind not in ("SpaceToBatchND", "BatchToSpaceND", "Einsum", "ReverseSequence", "Pack")
    and "Conv" not in kind
    and "Resize" not in kind
)


@pytest.mark.parametrize("kind", NEEDS_A_RANK)
def test_no_operation_passes_rows_of_unknown_shape_in_silence(kind: str) -> None:
    inputs = 2 if "MatMul" in kind else 3
    node = FakeNode(kind, [None] * inputs, [None])
    value = answer(node, *[PLAIN, FREE, FREE][:inputs])
    quiet = ("Dilation2D", "ScaleAndTranslate", "LRN", "SpaceToDepth", "DepthToSpace")
    if value.rows is not None and (kind in quiet or kind.startswith(("Extract", "Image", "Data"))):
        assert value.rows == Rows(0)
    else:
        assert value.causes


def test_an_operation_that_no_table_knows_is_undecided() -> None:
    node = FakeNode("Enter", [(4, 3)], [(4, 3)])
    value = answer(node, PLAIN)
    assert {cause.rule_id for cause in value.causes} == {"BP305"}
    assert value.rows is None
    assert not known("Enter")
    assert known("Shape")
    assert known("Conv2D")


def test_a_shape_that_contradicts_the_rows_is_undecided() -> None:
    assert rule(FakeNode("Relu", [(4, 3)], [(5, 3)]), PLAIN) == "BP305"


def test_causes_travel_and_shapes_do_not_carry_them() -> None:
    cause = Cause("BP301", "mean", "reduces")
    met = Value(None, frozenset({cause}))
    assert answer(FakeNode("Relu", [(3,)], [(3,)]), met).causes == {cause}
    assert answer(FakeNode("Shape", [(3,)], [(1,)]), met) == FREE
    assert answer(FakeNode("Shape", [(None,)], [(1,)]), met).causes == {cause}
    assert answer(FakeNode("ZerosLike", [(4, 3)], [(4, 3)]), PLAIN) == PLAIN


ATTRIBUTES = {
    "axis": 0, "batch_dims": 0, "ksize": [2, 1, 1, 1], "data_format": b"NHWC", "seq_dim": 1,
    "batch_dim": 0, "squeeze_dims": [], "equation": b"ab,ab->b", "is_training": False,
}  # fmt: skip
UNDECIDED = Cause("BP305", "before", "undecided")
LOST = {
    "gone": Value(None, frozenset({UNDECIDED})),
    "somewhere along an axis": Value(Rows(0, 1, None), frozenset({UNDECIDED})),
}


@pytest.mark.parametrize("kind", sorted(TRANSFERS))
@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("place", range(3))
def test_nothing_is_held_against_rows_that_were_lost_before(
    kind: str, lost: str, place: int
) -> None:
    operands = 2 if "MatMul" in kind or kind == "Einsum" else 3
    values = [PLAIN] * operands
    values[min(place, operands - 1)] = LOST[lost]
    shapes = [(ROWS, ROWS)] * operands
    statics = {0: np.zeros((), int), 1: np.full(1, kind.endswith("ND")), 2: np.zeros((), int)}
    outputs = 2 if kind in ("Merge", "TensorListPopBack") else 3
    node = FakeNode(kind, shapes, [(ROWS, ROWS)] * outputs, ATTRIBUTES, statics, same=False)
    for value in step(node, "node", values, [True] * outputs):
        assert {cause.rule_id for cause in value.causes} <= {"BP305"}


@pytest.mark.parametrize(("same", "rule_id"), [(True, ""), (None, "BP305"), (False, "BP306")])
def test_constants_beside_rows_must_be_the_same_for_each(
    *, same: bool | None, rule_id: str
) -> None:
    add = FakeNode("AddV2", [(4, 3), (4, 1)], [(4, 3)], same=same)
    assert rule(add, PLAIN, FREE) == rule_id
    join = FakeNode("ConcatV2", [(4, 3), (4, 2), ()], [(4, 5)], statics={2: 1}, same=same)
    assert rule(join, PLAIN, FREE, FREE) == rule_id
    choose = FakeNode("Select", [(4,), (4, 3), (4, 3)], [(4, 3)], same=same)
    assert rule(choose, PLAIN, PLAIN, FREE) == rule_id


def test_an_old_select_by_another_axis_or_another_layout_is_found() -> None:
    node = FakeNode("Select", [(4,), (4, 4), (4, 4)], [(4, 4)])
    assert rule(node, PLAIN, Value(Rows(1)), FREE) == "BP304"
    wide = FakeNode("Select", [(8,), (8, 4), (8, 4)], [(8, 4)])
    assert rule(wide, Value(Rows(0, 2)), Value(Rows(0, 1, 2)), FREE) == "BP304"
    scalar = FakeNode("Select", [(), (4, 4), (4, 4)], [(4, 4)])
    assert rule(scalar, FREE, PLAIN, PLAIN) == ""


@pytest.mark.parametrize(
    ("node", "values", "rule_id"),
    [
        (FakeNode("BiasAdd", [(3, 4), (4,)], [(3, 4)]), (Value(Rows(1)), FREE), "BP306"),
        (FakeNode("BiasAdd", [(4, 4), (4,)], [(4, 4)]), (FREE, PLAIN), "BP304"),
        (
            FakeNode("Merge", [(4, 4), (4, 4)], [(4, 4), ()]),
            (PLAIN, Value(Rows(1))),
            "BP305",
        ),
        (FakeNode("SpaceToBatchND", [(3, 4), (1,), (1, 2)], [(6, 2)]), (Value(Rows(1)),), "BP303"),
        (FakeNode("BatchToSpaceND", [(4, 3), (1,), (1, 2)], [(2, 6)]), (PLAIN,), "BP303"),
        (
            FakeNode("BatchToSpaceND", [(4, 3), (1,), (1, 2)], [(2, 6)], statics={1: [2]}),
            (PLAIN,),
            "BP303",
        ),
        (FakeNode("Conv2D", [(3, 4), (1,)], [(3, 4)]), (Value(Rows(1)), FREE), "BP303"),
        (FakeNode("Conv2D", [(4, 4), (4,)], [(4, 4)]), (PLAIN, PLAIN), "BP304"),
        (
            FakeNode("MaxPool", [(4, 4)], [(3, 4)], {"ksize": [2, 1, 1, 1]}),
            (PLAIN,),
            "BP301",
        ),
        (
            FakeNode("FusedBatchNormV3", [(4, 4), (4,)], [(4, 4)], {"is_training": True}),
            (PLAIN, FREE),
            "BP201",
        ),
        (
            FakeNode("FusedBatchNormV3", [(4, 4), (4,)], [(4, 4)], {"is_training": False}),
            (PLAIN, PLAIN),
            "BP304",
        ),
        (
            FakeNode("ImageProjectiveTransformV3", [(4, 9), (4, 8)], [(4, 9)]),
            (PLAIN, Value(Rows(1))),
            "BP304",
        ),
        (
            FakeNode("ImageProjectiveTransformV3", [(4, 9), (4, 8)], [(4, 9)]),
            (PLAIN, FREE),
            "BP305",
        ),
        (FakeNode("ImageProjectiveTransformV3", [(4, 9), (1, 8)], [(4, 9)]), (PLAIN, FREE), ""),
        (FakeNode("Softmax", [(3, 4)], [(3, 4)]), (Value(Rows(1)),), "BP301"),
        (FakeNode("Gather", [(9, 2), (4,)], [(4, 2)]), (FREE, PLAIN), ""),
        (FakeNode("Gather", [(4, 2), (4,)], [(4, 2)]), (PLAIN, PLAIN), "BP304"),
        (FakeNode("Gather", [(4, 2), (4,)], [(4, 2)]), (PLAIN, FREE), "BP305"),
        (FakeNode("Gather", [(2, 4), (3,)], [(3, 4)]), (Value(Rows(1)), FREE), ""),
        (FakeNode("GatherNd", [(9, 2), (4, 1)], [(4, 2)]), (FREE, PLAIN), ""),
        (FakeNode("GatherNd", [(9, 2), (1, 4)], [(4, 2)]), (FREE, Value(Rows(1))), "BP304"),
        (FakeNode("OneHot", [(4,)], [(9, 4)], {"axis": 0}), (PLAIN,), ""),
        (FakeNode("InTopKV2", [(4, 9), (4,)], [(4,)]), (PLAIN, Value(Rows(0, 2))), "BP305"),
        (FakeNode("DenseBincount", [(4,)], [(9,)]), (PLAIN,), "BP302"),
        (
            FakeNode("ReverseSequence", [(4, 3), (3,)], [(4, 3)], {"seq_dim": 0}),
            (PLAIN, FREE),
            "BP303",
        ),
        (
            FakeNode("ReverseSequence", [(4, 3), (3,)], [(4, 3)], {"seq_dim": 2, "batch_dim": 1}),
            (PLAIN, FREE),
            "BP305",
        ),
        (
            FakeNode("Pack", [(4, 4), (4, 4)], [(2, 4, 4)], {"axis": 0}),
            (PLAIN, Value(Rows(1))),
            "BP304",
        ),
        (FakeNode("Unpack", [(3, 4)], [(4,)], {"axis": 0}), (Value(Rows(1)),), ""),
        (FakeNode("Unpack", [(4, 3)], [(3,)], {"axis": 0}), (PLAIN,), "BP305"),
        (FakeNode("ConcatV2", [(4, 3), (4, 3), ()], [(4, 6)]), (PLAIN, PLAIN, FREE), "BP305"),
        (
            FakeNode("ConcatV2", [(4, 4, 2), (4, 4, 2), ()], [(4, 4, 4)], statics={2: 2}),
            (PLAIN, Value(Rows(1)), FREE),
            "BP304",
        ),
        (
            FakeNode("ConcatV2", [(4, 3), (2, 3), ()], [(6, 3)], statics={2: 0}),
            (PLAIN, FREE, FREE),
            "BP303",
        ),
        (FakeNode("Tile", [(4, 3), (2,)], [(8, 3)]), (PLAIN, FREE), ""),
        (FakeNode("Tile", [(None, 3), (2,)], [(None, 3)]), (PLAIN, FREE), "BP305"),
        (FakeNode("Pad", [(None, 3), (2, 2)], [(None, 3)]), (PLAIN, FREE), "BP305"),
        (FakeNode("Pad", [(4, 3), (2, 2)], [(5, 3)]), (PLAIN, FREE), "BP303"),
        (FakeNode("Slice", [(None, 3), (2,), (2,)], [(None, 3)]), (PLAIN, FREE, FREE), "BP305"),
        (FakeNode("Split", [(), (4, 3)], [(None, 3)], statics={0: 0}), (FREE, PLAIN), "BP305"),
        (FakeNode("BatchMatMulV2", [(4, 2, 3), (4, 3, 2)], [(4, 2, 2)]), (PLAIN, PLAIN), ""),
        (FakeNode("TensorListGetItem", [(), (), ()], [(3,)]), (Value(Rows(-1)), FREE), "BP305"),
        (FakeNode("TensorListStack", [(), ()], [(4, 3)]), (Value(Rows(-1)), FREE), ""),
        (FakeNode("Conv2DBackpropInput", [(4,), (9,), (4, 3)], [(4, 3)]), (FREE, FREE, PLAIN), ""),
    ],
)
def test_single_operations(node: FakeNode, values: tuple[Value, ...], rule_id: str) -> None:
    assert rule(node, *values) == rule_id


BY_ROWS = {"axis": 1, "batch_dims": 1}
NO_MASKS = dict.fromkeys(
    ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"), 0
)


@pytest.mark.parametrize(
    ("node", "values", "rule_id"),
    [
        (FakeNode("AddV2", [None, ()], [(4, 3)]), (PLAIN, FREE), ""),
        (
            FakeNode("Merge", [(4, 3), (4, 3)], [(4, 3), ()], same=False),
            (PLAIN, FREE),
            "BP306",
        ),
        (
            FakeNode("GatherV2", [(4, 9), (4, 2), ()], [(4, 2)], BY_ROWS, {2: 1}, same=False),
            (PLAIN, FREE, FREE),
            "BP306",
        ),
        (
            FakeNode("GatherV2", [(4, 9), (4, 2), ()], [(4, 2)], BY_ROWS, {2: 1}),
            (FREE, PLAIN, FREE),
            "BP305",
        ),
        (
            FakeNode("InTopKV2", [(4, 9), (4,)], [(4,)], same=False),
            (PLAIN, FREE),
            "BP306",
        ),
        (FakeNode("InTopKV2", [(4, 9), None], [(4,)]), (PLAIN, FREE), "BP305"),
        (FakeNode("AddN", [(4, 3), None], [(4, 3)]), (PLAIN, FREE), "BP305"),
        (
            FakeNode("Einsum", [(4, 3), None], [(4, 2)], {"equation": b"bi,bio->bo"}),
            (PLAIN, FREE),
            "BP305",
        ),
        (
            FakeNode(
                "Einsum", [(4, 3), (4, 3, 2)], [(4, 2)], {"equation": b"bi,bio->bo"}, same=False
            ),
            (PLAIN, FREE),
            "BP306",
        ),
        (
            FakeNode(
                "Einsum", [(4, 3), (4, 3, 2)], [(4, 2)], {"equation": b"bi,bio->bo"}, same=True
            ),
            (PLAIN, FREE),
            "",
        ),
        (
            FakeNode("StridedSlice", [(4, 3), (2,), (2,), (2,)], [(4, 2)], NO_MASKS),
            (PLAIN, FREE, FREE, FREE),
            "BP305",
        ),
        (
            FakeNode("StridedSlice", [(4, 3), (2,), (2,), (2,)], [(4, 2)], NO_MASKS, {3: [1, 1]}),
            (PLAIN, FREE, FREE, FREE),
            "BP305",
        ),
        (  # x[..., 0:4] of a tensor whose last axis has the rows: all of them
            FakeNode(
                "StridedSlice",
                [(3, 2, 4), (2,), (2,), (2,)],
                [(3, 2, 4)],
                NO_MASKS | {"ellipsis_mask": 1},
                {1: [0, 0], 2: [0, 4], 3: [1, 1]},
            ),
            (Value(Rows(2)), FREE, FREE, FREE),
            "",
        ),
        (  # x[..., ::-1]
            FakeNode(
                "StridedSlice",
                [(3, 2, 4), (2,), (2,), (2,)],
                [(3, 2, 4)],
                NO_MASKS | {"ellipsis_mask": 1, "begin_mask": 2, "end_mask": 2},
                {1: [0, 0], 2: [0, 0], 3: [1, -1]},
            ),
            (Value(Rows(2)), FREE, FREE, FREE),
            "BP303",
        ),
        (FakeNode("TensorListSetItem", [()] * 3, [()]), (Value(Rows(-1)), FREE, FREE), "BP305"),
        (FakeNode("TensorListGather", [()] * 3, [()]), (Value(Rows(-1)), FREE, FREE), "BP305"),
    ],
)
def test_what_meets_the_rows_is_asked_for_whether_it_is_constant_or_not(
    node: FakeNode, values: tuple[Value, ...], rule_id: str
) -> None:
    assert rule(node, *values) == rule_id


def test_rows_that_lie_somewhere_are_told_in_words() -> None:
    assert str(Rows(2, 1, None)) == "somewhere along axis 2"


def test_lists_keep_the_layout_of_their_elements() -> None:
    def listed(
        kind: str, *values: Value, outputs: int = 1, same: bool | None = True
    ) -> list[Value]:
        node = FakeNode(kind, [()] * len(values), [()] * outputs, same=same)
        return step(node, "node", list(values), [False] * outputs)

    assert listed("TensorListSetItem", FREE, FREE, PLAIN) == [PLAIN]
    assert listed("TensorListPushBack", FREE, PLAIN) == [PLAIN]
    assert listed("TensorListResize", PLAIN, FREE) == [PLAIN]
    assert listed("TensorListFromTensor", Value(Rows(1)), FREE) == [PLAIN]
    assert listed("TensorListPopBack", PLAIN, FREE, outputs=2) == [PLAIN, PLAIN]
    (clash,) = listed("TensorListSetItem", Value(Rows(1)), FREE, PLAIN)
    assert {cause.rule_id for cause in clash.causes} == {"BP305"}
    for same, rule_id in ((False, "BP306"), (None, "BP305")):
        (joined,) = listed("TensorListSetItem", FREE, FREE, PLAIN, same=same)
        assert joined.rows == Rows(0)
        assert {cause.rule_id for cause in joined.causes} == {rule_id}
