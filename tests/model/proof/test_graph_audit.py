"""What the audit of graphs says about single operations, and about what it cannot decide."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf

from batchproof_server.proof.findings import Finding, Severity
from batchproof_server.proof.graph import audit_functions
from batchproof_server.proof.keras.model import audit_keras_model
from batchproof_server.proof.keras.modes import TRAINING_BY_DEFAULT
from support.proof_fixtures import functional

layers = keras.layers
ROWS = 4


def findings(
    function: Callable[[Any], Any], shape: tuple[int | None, ...] = (6, 6), rows: int = ROWS
) -> tuple[Finding, ...]:
    spec = tf.TensorSpec((rows, *shape), tf.float32)
    answer = tf.function(lambda batch: {"answer": function(batch)}, autograph=False)
    return audit_functions({rows: answer.get_concrete_function(spec)})


def rules(function: Callable[[Any], Any], shape: tuple[int | None, ...] = (6, 6)) -> set[str]:
    return {found.rule_id for found in findings(function, shape)}


def _printed(batch: Any) -> Any:
    tf.print("rows", tf.shape(batch)[0])
    return batch * 2


def _asserted(batch: Any) -> Any:
    tf.debugging.assert_less(batch, 1e9)
    return batch * 2


@pytest.mark.parametrize(
    ("rule_id", "function"),
    [
        ("BP301", lambda x: x - tf.reduce_max(x, axis=0)),
        ("BP301", lambda x: tf.cumsum(x, axis=0)),
        ("BP301", lambda x: tf.nn.softmax(x, axis=0)),
        ("BP301", lambda x: x * tf.nn.l2_loss(x)),
        ("BP202", lambda x: x - sum(tf.nn.moments(x, [0, 1]))),
        ("BP302", lambda x: tf.cast(tf.argmin(x, axis=0), tf.float32) + x),
        ("BP302", lambda x: x + x[:1]),
        ("BP302", lambda x: x + x[0]),
        ("BP302", lambda x: tf.repeat(x[::2], 2, axis=0)),
        ("BP302", lambda x: x + tf.slice(x, [1, 0, 0], [1, -1, -1])),
        ("BP302", lambda x: x + tf.split(x, 4, axis=0)[1]),
        ("BP302", lambda x: x + tf.reduce_sum(tf.boolean_mask(x, x[:, 0, 0] > 0))),
        ("BP303", lambda x: tf.reverse(x, [0])),
        ("BP303", lambda x: x[::-1]),
        ("BP303", lambda x: tf.roll(x, 1, 0)),
        ("BP303", lambda x: tf.gather(x, [1, 0, 2, 3])),
        ("BP303", lambda x: tf.concat([x[:, :1], tf.zeros([4, 1, 6])], 0)[:4]),
        ("BP303", lambda x: tf.reduce_sum(tf.pad(x, [[1, 0], [0, 0], [0, 0]]), 2)[:4]),
        ("BP303", lambda x: tf.reverse_sequence(x, [4] * 6, seq_axis=0, batch_axis=1)),
        ("BP304", lambda x: tf.tensordot(x[:, 0], tf.transpose(x[:, 0]), 1)),
        ("BP304", lambda x: x[:, 0, :4] + tf.transpose(x[:, 1, :4])),
        ("BP304", lambda x: tf.linalg.matmul(tf.eye(4) + 1, x[:, 0])),
        ("BP304", lambda x: tf.einsum("nij,mij->nm", x, x)),
        ("BP304", lambda x: tf.einsum("nij->ij", x)),
        ("BP304", lambda x: tf.gather(x, tf.cast(x[:, 0, 0] > 0, tf.int32))),
        ("BP304", lambda x: tf.stack([x[:, :4, :4], tf.transpose(x[:, :4, :4], [1, 0, 2])], 1)),
        ("BP305", lambda x: tf.stack([row * 2 for row in tf.unstack(x)])),
        ("BP305", lambda x: tf.map_fn(lambda row: row * 2, x)),
        ("BP305", lambda x: tf.gather_nd(x, [[0], [1], [2], [3]])),
        ("BP306", lambda x: x + tf.range(4.0)[:, None, None]),
        ("BP306", lambda x: x + tf.random.stateless_normal([4, 6, 6], [1, 2])),
        ("BP306", lambda x: tf.concat([x, tf.ones([4, 1, 6]) * tf.range(4.0)[:, None, None]], 1)),
        ("BP307", lambda x: tf.transpose(x[:, :4, :4], [1, 0, 2])),
        ("BP307", lambda x: tf.concat([x, x], 0)),
        ("BP308", tf.ones_like),
        ("BP212", _printed),
        ("BP211", lambda x: tf.debugging.check_numerics(x, "not finite")),
        ("BP211", _asserted),
    ],
)
def test_each_rule_meets_its_case(rule_id: str, function: Callable[[Any], Any]) -> None:
    assert rule_id in rules(function)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[:, tf.newaxis, ..., 0],
        lambda x: tf.slice(x, [0, 1, 0], [4, 2, -1]),
        lambda x: tf.slice(x, [0, 1, 0], [-1, 2, -1]),
        lambda x: tf.concat([x, x], 0)[:4],
        lambda x: tf.split(tf.concat([x, x], 0), 2)[1],
        lambda x: tf.tile(x, [2, 1, 1])[4:],
        lambda x: tf.reverse_sequence(x, [3, 3, 3, 3], seq_axis=1),
        lambda x: tf.gather(x, [0, 1, 2, 3]),
        lambda x: tf.gather(x, [2, 0], axis=1),
        lambda x: tf.gather(tf.eye(6), tf.cast(x > 0, tf.int32)),
        lambda x: tf.squeeze(tf.expand_dims(x, 0)),
        lambda x: tf.squeeze(tf.expand_dims(tf.expand_dims(x, 1), 0), [0, 2]),
        lambda x: tf.linalg.inv(x + 9 * tf.eye(6)),
        lambda x: tf.matmul(x, x, transpose_a=True),
        lambda x: tf.matmul(tf.ones([6, 6]), x),
        lambda x: tf.transpose(tf.matmul(tf.ones([6, 6]), x[:, 0], transpose_b=True)),
        lambda x: tf.einsum("...ij,jk->...ik", x, tf.ones([6, 2])),
        lambda x: tf.broadcast_to(x[:, :1], [4, 5, 6]),
        lambda x: tf.concat([x, tf.zeros([4, 1, 6])], 1),
        lambda x: tf.concat([x, tf.broadcast_to(tf.ones([1, 1, 6]), [4, 1, 6])], 1),
        lambda x: tf.concat([x, tf.tile(tf.ones([1, 1, 6]), [4, 1, 1])], 1),
        lambda x: x + tf.reshape(tf.fill([4 * 36], 2.0), [4, 6, 6]),
        lambda x: x + tf.transpose(tf.fill([6, 4, 6], 2.0) * 2, [1, 0, 2]),
        lambda x: tf.math.in_top_k([1, 1, 1, 1], x[:, 0], 2),
        lambda x: tf.raw_ops.DenseBincount(
            input=tf.cast(x[:, 0] > 0, tf.int32), size=2, weights=tf.zeros([4, 6])
        ),
        lambda x: tf.stack([x, tf.zeros([4, 6, 6])], axis=2),
        lambda x: tf.nn.bias_add(x, tf.ones([6])),
        lambda x: tf.where(x[:, 0, 0] > 0, x[:, 0, 0], 0.0),
        lambda x: tf.compat.v1.where(x[:, 0, 0] > 0, x, tf.zeros([4, 6, 6])),
        lambda x: tf.reduce_sum(x, axis=[]),
        lambda x: tf.reduce_logsumexp(x, axis=[1, 2], keepdims=True),
        lambda x: tf.image.rgb_to_grayscale(x[:, :, :3, None] * tf.ones([1, 1, 1, 3])),
        lambda x: tf.identity_n([x, x])[1],
    ],
)
def test_what_keeps_rows_apart_raises_no_alarm(function: Callable[[Any], Any]) -> None:
    found = findings(function)
    assert not [each.sentence for each in found if each.severity is not Severity.NOTE]


def test_pictures_of_any_size_are_followed() -> None:
    def answer(batch: Any) -> Any:
        size = tf.shape(batch)
        seen = tf.reshape(batch, [size[0], size[1] * size[2], 3])
        return tf.reduce_mean(tf.nn.softmax(seen, axis=1), axis=1)

    assert [found.sentence for found in findings(answer, (None, None, 3))] == []
    assert rules(lambda x: x - tf.reduce_mean(x, 0), (None, None, 3)) == {"BP301"}


def _looped(start: Any, turn: Callable[[Any], Any], batch: Any) -> Any:
    return tf.while_loop(
        lambda step, _: step < 3, lambda step, state: (step + 1, turn(state) + batch), (0, start)
    )[1]


def test_a_loop_that_starts_from_zeros_keeps_rows_apart_and_one_from_places_does_not() -> None:
    def same(state: Any) -> Any:
        return state / 2

    assert rules(lambda x: _looped(tf.zeros([ROWS, 6, 6]), same, x)) == set()
    places = tf.reshape(tf.range(ROWS * 36.0), [ROWS, 6, 6])
    assert "BP306" in rules(lambda x: _looped(tf.constant(places.numpy()), same, x))
    held = tf.Variable(places)
    assert "BP306" in rules(lambda x: _looped(held.read_value(), same, x))


def test_a_loop_that_turns_its_rows_round_is_found() -> None:
    def turn(state: Any) -> Any:
        return tf.transpose(state, [1, 0, 2])

    found = rules(lambda x: _looped(x, turn, x), (4, 2))
    assert found & {"BP304", "BP305"}


def test_a_loop_whose_tensor_grows_is_undecided() -> None:
    def grown(batch: Any) -> Any:
        return tf.while_loop(
            lambda step, _: step < 3,
            lambda step, state: (step + 1, tf.concat([state, batch], axis=1)),
            (0, batch),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([ROWS, None, 6])),
        )[1]

    assert "BP305" in rules(grown)


def test_a_composite_batch_norm_in_training_mode_is_told_from_other_reductions() -> None:
    found = findings(
        lambda x: tf.nn.batch_normalization(x, *tf.nn.moments(x, [0, 1]), None, None, 1e-3)
    )
    assert {each.rule_id for each in found} == {"BP202"}
    assert rules(lambda x: x - tf.reduce_mean(x, axis=0)) == {"BP301"}


def test_an_operation_of_somebody_else_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(tf.raw_ops, "Relu6")
    assert "BP210" in rules(tf.nn.relu6)


def test_alone_a_row_meets_nobody() -> None:
    assert findings(lambda x: x - tf.reduce_mean(x, axis=0), rows=1) == ()


def test_a_reduction_that_no_answer_depends_on_is_no_finding() -> None:
    def answer(batch: Any) -> Any:
        tf.reduce_mean(batch, axis=0)
        return batch * 2

    assert rules(answer) == set()


def test_every_reduction_is_named_not_only_the_first() -> None:
    def answer(batch: Any) -> Any:
        once = batch - tf.reduce_mean(batch, axis=0, name="first")
        return once / tf.reduce_max(once, axis=0, name="second")

    assert {found.where for found in findings(answer)} == {"first", "second"}


def test_a_write_that_no_answer_reads_is_a_warning_and_one_that_is_read_a_failure() -> None:
    counter = tf.Variable(0.0)

    def silent(batch: Any) -> Any:
        counter.assign_add(1.0)
        return batch * 2

    def heard(batch: Any) -> Any:
        counter.assign_add(1.0)
        return batch * counter

    (mild,) = findings(silent)
    assert (mild.rule_id, mild.severity) == ("BP203", Severity.WARN)
    (hard,) = findings(heard)
    assert (hard.rule_id, hard.severity) == ("BP203", Severity.FAIL)


def test_a_variable_that_one_bucket_writes_and_another_reads_is_a_failure() -> None:
    counter = tf.Variable(1.0)

    def traced(rows: int, function: Callable[[Any], Any]) -> Any:
        spec = tf.TensorSpec((rows, 3), tf.float32)
        answer = tf.function(lambda batch: {"answer": function(batch)}, autograph=False)
        return answer.get_concrete_function(spec)

    def writing(batch: Any) -> Any:
        counter.assign_add(1.0)
        return batch * 2

    found = audit_functions({2: traced(2, writing), 4: traced(4, lambda batch: batch * counter)})
    assert [(each.rule_id, each.severity) for each in found] == [("BP203", Severity.FAIL)]


def test_a_random_number_that_no_answer_depends_on_is_a_note() -> None:
    def answer(batch: Any) -> Any:
        tf.random.normal([3])
        return batch * 2

    (found,) = findings(answer)
    assert (found.rule_id, found.severity) == ("BP204", Severity.NOTE)


def test_the_installed_keras_has_no_other_layers_that_default_to_training_mode() -> None:
    names = {
        name
        for name, kind in vars(layers).items()
        if isinstance(kind, type) and issubclass(kind, layers.Layer) and _trains_by_default(kind)
    }
    assert names == TRAINING_BY_DEFAULT


def _trains_by_default(kind: Any) -> bool:
    training = inspect.signature(kind.call).parameters.get("training")
    return training is not None and training.default is True


def test_a_model_in_half_precision_or_for_fixed_rows_is_reported() -> None:
    half = functional(layers.Dense(2, dtype="mixed_float16"))
    assert [found.rule_id for found in audit_keras_model(half)] == ["BP401"]
    image = keras.Input(batch_shape=(4, 3))
    fixed = keras.Model(image, layers.Dense(2)(image))
    assert [found.rule_id for found in audit_keras_model(fixed)] == ["BP309"]


def test_lambda_and_custom_layers_in_memory_are_noted() -> None:
    own = functional(layers.Lambda(lambda tensor: tensor * 2))
    assert [found.rule_id for found in audit_keras_model(own)] == ["BP108"]
