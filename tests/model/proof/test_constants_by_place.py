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

from batchproof_server.proof.graph import audit_functions
from batchproof_server.proof.rows.step import TRANSFERS

ROWS: Final = 4
SIZE: Final = 4
Answer = Callable[[Any], Any]

# A value for each place, in the shapes that operands have.
PLACES: Final = tf.constant([0.0, 1.0, 2.0, 3.0])
BY_ROW: Final = PLACES[:, None, None]
INDEX: Final = tf.constant([0, 1, 2, 3])
raw = tf.raw_ops


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
    stacked = raw.TensorListStack(
        input_handle=changed, element_shape=[ROWS, SIZE], element_dtype=tf.float32
    )
    return tf.transpose(stacked, [1, 0, 2])


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


def _transforms(images: Any) -> Any:
    shifts = np.tile(np.array([1, 0, 0, 0, 1, 0, 0, 0], np.float32), (ROWS, 1))
    shifts[:, 2] = np.arange(ROWS)
    return raw.ImageProjectiveTransformV2(
        images=images[..., None],
        transforms=shifts,
        output_shape=[SIZE, SIZE],
        interpolation="NEAREST",
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
    "transformed": ("ImageProjectiveTransformV2", _transforms),
    "one row overwritten": ("TensorListSetItem", _one_row_overwritten),
    "a time step of places": ("TensorListSetItem", _time_step_by_place),
    "gathered from a list": ("TensorListGather", _gathered_from_a_list),
    "a branch of places": ("Merge", _branch_of_places),
    "a long shift register": ("While", lambda x: _shift_register(x, 12)),
}  # fmt: skip


def _rows(seed: int) -> Any:
    return np.random.default_rng(seed).normal(2.0, 1.5, (ROWS, SIZE, SIZE)).astype(np.float32)


@pytest.mark.parametrize("name", CASES)
def test_what_depends_on_the_place_is_never_passed_in_silence(name: str) -> None:
    _, answer = CASES[name]
    compiled = tf.function(
        lambda batch: {"answer": answer(batch)}, autograph=False
    ).get_concrete_function(tf.TensorSpec((ROWS, SIZE, SIZE), tf.float32))
    order = [2, 0, 3, 1]
    follows = True
    for seed in range(5):
        rows = _rows(seed)
        there = compiled(tf.constant(rows))["answer"].numpy()
        moved = compiled(tf.constant(rows[order]))["answer"].numpy()
        follows = follows and np.array_equal(there[order], moved)
    assert not follows, "the case does not depend on the place"
    rules = {finding.rule_id for finding in audit_functions({ROWS: compiled})}
    assert rules & {"BP301", "BP302", "BP303", "BP304", "BP305", "BP306", "BP307"}


def test_the_cases_are_about_operations_that_the_audit_follows() -> None:
    kinds = {kind for kind, _ in CASES.values()} - {"While"}
    assert kinds <= set(TRANSFERS)
