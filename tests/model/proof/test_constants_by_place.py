"""Constants that differ from place to place: the audit says so wherever executing shows it.

Each case is one operation whose operand, index or order is a constant with another value for each
row. It is executed on rows and on the same rows in another order. Where the answers do not follow
their rows, the audit must fail or say that it cannot tell; where they do, the case is not about
places, and the test itself is wrong.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from batchproof_server.proof.graph import audit_functions
from batchproof_server.proof.rows import elementwise, indexing, products
from batchproof_server.proof.rows.layout import FREE, Rows, Value
from batchproof_server.proof.rows.operands import holds_rows
from batchproof_server.proof.rows.step import TRANSFERS, step
from support.nodes import FakeNode

ROWS: Final = 4
SIZE: Final = 4
Answer = Callable[[Any], Any]

# A value for each place, in the shapes that operands have.
PLACES: Final = tf.constant([0.0, 1.0, 2.0, 3.0])
BY_ROW: Final = PLACES[:, None, None]
INDEX: Final = tf.constant([0, 1, 2, 3])
raw = tf.raw_ops


PLACE_VALUES: Final = tf.broadcast_to((PLACES + 1.0)[:, None, None], [ROWS, SIZE, SIZE])
_LIKED: Final = (tf.float32, tf.int32, tf.bool, tf.string, tf.complex64)


def _op(kind: str) -> Any:
    return op_def_registry.get(kind)


def _arguments(kind: str) -> list[tuple[str, Any]]:
    """The names and types of an operation's operands; two where it takes any number."""
    allowed = {attr.name: attr.allowed_values.list.type for attr in _op(kind).attr}
    found = []
    for argument in _op(kind).input_arg:
        types = [argument.type] if argument.type else allowed.get(argument.type_attr) or _LIKED
        known = [tf.as_dtype(each) for each in types]
        dtype = next((each for each in _LIKED if each in known), known[0])
        many = argument.number_attr or argument.type_list_attr
        found += [(argument.name, dtype)] * (2 if many else 1)
    return found


def _attributes(kind: str) -> dict[str, Any]:
    """Those without a default that are no types."""
    return {"Tout": tf.complex64} if kind == "Complex" else {}


def _listed(rows: Any) -> Any:
    return tf.raw_ops.TensorListFromTensor(tensor=rows, element_shape=[SIZE, SIZE])


def _stacked(handle: Any) -> Any:
    return raw.TensorListStack(
        input_handle=handle, element_shape=[SIZE, SIZE], element_dtype=tf.float32
    )


def _one_row_overwritten(rows: Any) -> Any:
    changed = raw.TensorListSetItem(
        input_handle=_listed(rows), index=0, item=tf.zeros([SIZE, SIZE])
    )
    return _stacked(changed)


def _time_step_by_place(rows: Any) -> Any:
    steps = raw.TensorListFromTensor(
        tensor=tf.transpose(rows, [1, 0, 2]), element_shape=[ROWS, SIZE]
    )
    changed = raw.TensorListSetItem(
        input_handle=steps, index=0, item=tf.broadcast_to(PLACES[:, None], [ROWS, SIZE])
    )
    return _steps_together(changed)


def _gathered_from_a_list(rows: Any) -> Any:
    return raw.TensorListGather(
        input_handle=_listed(rows),
        indices=[1, 0, 3, 2],
        element_shape=[SIZE, SIZE],
        element_dtype=tf.float32,
    )


def _branch_of_places(rows: Any) -> Any:
    fixed = tf.broadcast_to(BY_ROW, [ROWS, SIZE, SIZE])
    return tf.cond(tf.constant(1.0) > tf.random.uniform([]) * 0, lambda: fixed, lambda: rows)


def _shift_register(rows: Any, length: int) -> Any:
    total = tf.reduce_sum(rows)
    cells = [tf.zeros([]) for _ in range(length)]
    last = tf.while_loop(
        lambda i, *_: i < length + 3,
        lambda i, *c: (i + 1, total + 0.0 * c[0], *c[:-1]),
        (0, *cells),
    )[-1]
    return rows + last


def _best_boxes(rows: Any) -> Any:
    boxes = tf.tile(rows[:, :, None, :], [1, 1, 1, 1])
    scores = tf.broadcast_to(PLACES[:, None, None] / 4.0, [ROWS, SIZE, 1])
    found = raw.CombinedNonMaxSuppression(
        boxes=boxes, scores=scores, max_output_size_per_class=2, max_total_size=2,
        iou_threshold=0.5, score_threshold=-1.0,
    )  # fmt: skip
    return found.nmsed_scores


def _pushed(rows: Any) -> Any:
    steps = raw.TensorListFromTensor(
        tensor=tf.transpose(rows, [1, 0, 2]), element_shape=[ROWS, SIZE]
    )
    longer = raw.TensorListPushBack(
        input_handle=steps, tensor=tf.broadcast_to(PLACES[:, None], [ROWS, SIZE])
    )
    return _steps_together(longer)


def _steps_together(handle: Any) -> Any:
    stacked = raw.TensorListStack(
        input_handle=handle, element_shape=[ROWS, SIZE], element_dtype=tf.float32
    )
    return tf.transpose(stacked, [1, 0, 2])


def _list_of_places() -> Any:
    places = tf.broadcast_to(PLACES[None, :, None], [SIZE, ROWS, SIZE])
    return raw.TensorListFromTensor(tensor=places, element_shape=[ROWS, SIZE])


def _into_places(rows: Any) -> Any:
    changed = raw.TensorListSetItem(input_handle=_list_of_places(), index=0, item=rows[:, 0])
    return _steps_together(changed)


def _filled_in_a_loop(rows: Any) -> Any:
    def turn(time: Any, steps: Any) -> Any:
        item = tf.gather(rows, time, axis=1)
        return time + 1, raw.TensorListSetItem(input_handle=steps, index=time, item=item)

    _, filled = tf.while_loop(lambda time, _: time < 2, turn, (0, _list_of_places()))
    return _steps_together(filled)


TABLE: Final = tf.Variable(np.diag(np.arange(4.0, dtype=np.float32)))


def _transforms(images: Any, transform: Any = raw.ImageProjectiveTransformV2, **more: Any) -> Any:
    shifts = np.tile(np.array([1, 0, 0, 0, 1, 0, 0, 0], np.float32), (ROWS, 1))
    shifts[:, 2] = np.arange(ROWS)
    return transform(
        images=images[..., None],
        transforms=shifts,
        output_shape=[SIZE, SIZE],
        interpolation="NEAREST",
        **more,
    )


CASES: Final[Mapping[str, tuple[str, Answer]]] = {
    "added": ("AddV2", lambda x: x + BY_ROW),
    "compared": ("Greater", lambda x: tf.cast(tf.greater(x, BY_ROW), tf.float32)),
    "selected": ("SelectV2", lambda x: tf.where(BY_ROW > 1.0, x, 0.0)),
    "selected the old way": ("Select", lambda x: raw.Select(condition=PLACES > 1.0, x=x, y=-x)),
    "put beside": (
        "ConcatV2",
        lambda x: tf.concat([x, tf.broadcast_to(BY_ROW, [ROWS, SIZE, 1])], 2),
    ),
    "stacked": ("Pack", lambda x: tf.stack([x, tf.broadcast_to(BY_ROW, x.shape)], 1)),
    "matrix for each row": (
        "BatchMatMulV2",
        lambda x: tf.matmul(x, tf.eye(SIZE)[None] * BY_ROW),
    ),
    "matrix from the left": (
        "BatchMatMulV2",
        lambda x: tf.matmul(tf.eye(SIZE)[None] * BY_ROW, x),
    ),
    "einsum with one value each": ("Einsum", lambda x: tf.einsum("nij,n->nij", x, PLACES)),
    "einsum with one matrix each": (
        "Einsum",
        lambda x: tf.einsum("nij,njk->nik", x, tf.eye(SIZE)[None] * BY_ROW),
    ),
    "gathered with batch dimensions": (
        "GatherV2",
        lambda x: tf.gather(x, INDEX[:, None], axis=1, batch_dims=1),
    ),
    "gathered in another order": ("GatherV2", lambda x: tf.gather(x, [1, 0, 3, 2])),
    "reversed by lengths": (
        "ReverseSequence",
        lambda x: tf.reverse_sequence(x, INDEX + 1, seq_axis=1, batch_axis=0),
    ),
    "targets": (
        "InTopKV2",
        lambda x: tf.cast(tf.math.in_top_k(INDEX, x[:, 0], 2), tf.float32),
    ),
    "weights of counts": (
        "DenseBincount",
        lambda x: raw.DenseBincount(
            input=tf.cast(x[:, 0], tf.int32) * 0,
            size=3,
            weights=tf.broadcast_to(PLACES[:, None], [ROWS, SIZE]),
        ),
    ),
    "matrix for each row, in the first version": (
        "BatchMatMul",
        lambda x: raw.BatchMatMul(x=x, y=tf.eye(SIZE)[None] * BY_ROW),
    ),
    "matrix for each row, in the third version": (
        "BatchMatMulV3",
        lambda x: raw.BatchMatMulV3(x=x, y=tf.eye(SIZE)[None] * BY_ROW, Tout=tf.float32),
    ),
    "rows weighed by their places": (
        "MatMul",
        lambda x: tf.matmul(tf.linalg.diag(PLACES), x[:, 0]),
    ),
    "added one by one": (
        "AddN",
        lambda x: raw.AddN(inputs=[x, tf.broadcast_to(BY_ROW, x.shape)]),
    ),
    "constants of each place": (
        "GatherV2",
        lambda x: tf.gather(tf.linalg.diag(PLACES), tf.argmax(x[:, 0], 1)[:, None], batch_dims=1),
    ),
    "a variable's values of each place": (
        "ResourceGather",
        lambda x: raw.ResourceGather(
            resource=TABLE.handle,
            indices=tf.argmax(x[:, 0], 1)[:, None],
            dtype=tf.float32,
            batch_dims=1,
        ),
    ),
    "gathered the old way": ("Gather", lambda x: raw.Gather(params=x, indices=[1, 0, 3, 2])),
    "gathered by coordinates": ("GatherNd", lambda x: tf.gather_nd(x, [[1], [0], [3], [2]])),
    "targets in the first version": (
        "InTopK",
        lambda x: tf.cast(raw.InTopK(predictions=x[:, 0], targets=INDEX, k=2), tf.float32),
    ),
    "scores of boxes": ("CombinedNonMaxSuppression", _best_boxes),
    "transformed, with a fill": (
        "ImageProjectiveTransformV3",
        lambda x: _transforms(x, raw.ImageProjectiveTransformV3, fill_value=0.0),
    ),
    "pushed behind others": ("TensorListPushBack", _pushed),
    "a list of places that gets a row": ("TensorListSetItem", _into_places),
    "a list of places that a loop fills in part": ("TensorListSetItem", _filled_in_a_loop),
    "transformed": ("ImageProjectiveTransformV2", _transforms),
    "one row overwritten": ("TensorListSetItem", _one_row_overwritten),
    "a time step of places": ("TensorListSetItem", _time_step_by_place),
    "gathered from a list": ("TensorListGather", _gathered_from_a_list),
    "a branch of places": ("Merge", _branch_of_places),
    "a long shift register": ("While", lambda x: _shift_register(x, 12)),
}  # fmt: skip


# What is known of operations whose other operands can be made for them: those of the same shape.
ALIKE: Final = sorted(
    kind
    for kind, transfer in TRANSFERS.items()
    if transfer is elementwise.elementwise and len(_arguments(kind)) > 1
)
SCALAR: Final = frozenset({"RegexReplace", "RegexFullMatch", "FakeQuantWithMinMaxVars"})
"""Their other operands are single values, which is checked by giving them one for each row."""


def _generated(kind: str, position: int) -> Answer:
    """An operation whose operand at ``position`` are the rows, and all others hold the places."""

    def answer(rows: Any) -> Any:
        operands = [rows if index == position else places for index in range(count)]
        made = [_as(dtype, each) for dtype, each in zip(dtypes, operands, strict=True)]
        if _op(kind).input_arg[0].number_attr:
            return _number(getattr(raw, kind)(**{names[0]: made}))
        result = getattr(raw, kind)(**dict(zip(names, made, strict=True)), **_attributes(kind))
        return _number(result)

    # Gradients are the same for all that is positive.
    places = PLACE_VALUES - 2.5 if kind.endswith("Grad") else PLACE_VALUES
    arguments = _arguments(kind)
    count, names = len(arguments), [name for name, _ in arguments]
    dtypes = [dtype for _, dtype in arguments]
    return answer


def _as(dtype: Any, values: Any) -> Any:
    if dtype == tf.string:
        return tf.strings.as_string(tf.cast(values, tf.int32), width=20, fill="0")
    if dtype == tf.bool:
        return values > 2.0
    if dtype.is_complex:
        return tf.complex(values, values)
    return tf.cast(values, dtype)


def _number(result: Any) -> Any:
    if result.dtype == tf.string:
        return tf.strings.to_hash_bucket_fast(result, 1 << 20)
    return tf.math.real(result) + tf.math.imag(result) if result.dtype.is_complex else result


@pytest.mark.parametrize(
    ("kind", "position"),
    [
        (kind, position)
        for kind in ALIKE
        for position in range(len(_arguments(kind)))
        if kind not in SCALAR
    ],
)
def test_an_operation_on_operands_alike_is_never_passed_in_silence(
    kind: str, position: int
) -> None:
    _judge(_generated(kind, position))


@pytest.mark.parametrize("kind", SCALAR)
def test_an_operand_that_must_be_one_value_refuses_one_for_each_row(kind: str) -> None:
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        _compiled(_generated(kind, 0))


def _rows(seed: int) -> Any:
    """Rows of any numbers, of shares of 1, and of the very values that the places have."""
    numbers = np.random.default_rng(seed)
    shape = (ROWS, SIZE, SIZE)
    kinds = (
        numbers.normal(2.0, 1.5, shape),
        numbers.uniform(0.05, 0.95, shape),
        numbers.integers(1, 5, shape),
    )
    return kinds[seed % len(kinds)].astype(np.float32)


def _compiled(answer: Answer) -> Any:
    return tf.function(
        lambda batch: {"answer": answer(batch)}, autograph=False
    ).get_concrete_function(tf.TensorSpec((ROWS, SIZE, SIZE), tf.float32))


def _judge(answer: Answer) -> None:
    """Executing shows that the place counts, and the audit does not pass it in silence."""
    compiled = _compiled(answer)
    order = [2, 0, 3, 1]
    follows = True
    for seed in range(9):
        rows = _rows(seed)
        there = compiled(tf.constant(rows))["answer"].numpy()
        moved = compiled(tf.constant(rows[order]))["answer"].numpy()
        equal_nan = there.dtype.kind == "f"
        follows = follows and np.array_equal(there[order], moved, equal_nan=equal_nan)
    assert not follows, "the case does not depend on the place"
    rules = {finding.rule_id for finding in audit_functions({ROWS: compiled})}
    assert rules & {"BP201", "BP301", "BP302", "BP303", "BP304", "BP305", "BP306", "BP307"}


@pytest.mark.parametrize("name", CASES)
def test_what_depends_on_the_place_is_never_passed_in_silence(name: str) -> None:
    _judge(CASES[name][1])


def test_every_operation_of_the_table_has_a_case_or_no_operand_for_one() -> None:
    """An operation that is added to the table is asked the same question, or this fails."""
    cased = {kind for kind, _ in CASES.values()} | set(ALIKE)
    always_found = {indexing.chosen, products.whole}
    missing = {
        kind
        for kind, transfer in TRANSFERS.items()
        if kind not in cased
        and transfer not in always_found
        and sum(holds_rows(kind, index) for index in range(len(_arguments(kind)))) > 1
    }
    assert missing == ONE_BY_ONE


ONE_BY_ONE: Final = {"IdentityN"}
"""Each of its outputs is one of its operands, so that none meets another."""


@pytest.mark.parametrize("kind", sorted(TRANSFERS))
def test_an_operand_that_says_how_to_compute_never_carries_rows_in_silence(kind: str) -> None:
    """An index, a size or an order that comes from the rows is a row of somebody else."""
    count = len(_arguments(kind))
    shapes = [(ROWS, SIZE, SIZE)] * count
    outputs = [(ROWS, SIZE, SIZE)] * max(len(_op(kind).output_arg), 1)
    attrs = {
        "axis": 0, "batch_dims": 0, "ksize": [1, 1, 1, 1], "data_format": b"NHWC", "seq_dim": 1,
        "batch_dim": 0, "squeeze_dims": [],
    }  # fmt: skip
    for told in (index for index in range(count) if not holds_rows(kind, index)):
        for first in (Value(Rows(0)), FREE):
            values = [first if holds_rows(kind, index) else FREE for index in range(count)]
            values[told] = Value(Rows(0))
            statics = {index: np.array([1]) for index in range(count) if index != told}
            node = FakeNode(kind, shapes, outputs, attrs, statics, same=True)
            found = step(node, "node", values, [True] * len(outputs))
            assert all(value.causes for value in found), f"operand {told}"


def test_the_cases_are_about_operations_that_the_audit_follows() -> None:
    kinds = {kind for kind, _ in CASES.values()} - {"While"}
    assert kinds <= set(TRANSFERS)
