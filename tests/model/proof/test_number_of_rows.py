"""The audit tells a number of rows in values, which answers depend on, from one in shapes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from batchproof_server.backends.saved_model.source import open_saved_model
from batchproof_server.base.backend import EngineSettings
from batchproof_server.proof.findings import Finding, Severity
from support.proof_fixtures import CHANNELS, GOOD_EXPORTS, GOOD_KERAS, Module, save_module
from support.proof_modules import GOOD_MODULES, Holder, flat, plain

ROW_COUNTS = (1, 2, 3, 8)
FEATURES = 144


def alarms(artefact: Path) -> list[Finding]:
    findings = open_saved_model(artefact, EngineSettings()).audit_graphs(ROW_COUNTS)
    return [finding for finding in findings if finding.severity is not Severity.NOTE]


def rows(batch: Any) -> Any:
    """The number of rows as a value."""
    return tf.cast(tf.shape(batch)[0], tf.float32)


def weighted(function: Callable[[Any, Any], Any]) -> Callable[[], Module]:
    """A module with a variable of one number for each channel."""
    weights = tf.Variable(tf.linspace(1.0, 2.0, CHANNELS))
    return lambda: Module(
        lambda batch: {"answer": function(batch, weights)}, Holder(weights=weights)
    )


IN_VALUES: Mapping[str, Callable[[], Module]] = {
    "added": plain(lambda x: x + 0.01 * rows(x)),
    "added but one": plain(lambda x: x + (rows(x) - 1.0)),
    "added to one class": flat(lambda x: x + (rows(x) - 1.0) * tf.one_hot([3], FEATURES)),
    "divided by": plain(lambda x: x / rows(x)),
    "divided by its root": plain(lambda x: x * tf.math.rsqrt(rows(x))),
    "the size of everything": plain(lambda x: x - tf.cast(tf.size(x), tf.float32)),
    "the product of the shape": plain(
        lambda x: x / tf.cast(tf.reduce_prod(tf.shape(x)), tf.float32)
    ),
    "of what was reshaped": flat(lambda x: x * rows(tf.reshape(x, [-1, 12]))),
    "times a weight": weighted(lambda x, weights: x + weights * rows(x)),
    "as a power": plain(lambda x: tf.nn.relu(x) ** rows(x)),
    "beside the answer": flat(
        lambda x: tf.concat([x, tf.fill([tf.shape(x)[0], 1], rows(x))], axis=1)
    ),
    "chooses between answers": plain(lambda x: tf.where(rows(x) > 2, x, -x)),
    "inside another function": plain(tf.function(lambda x: x + rows(x))),
    "alone": plain(lambda x: tf.fill([tf.shape(x)[0], 2], rows(x))),
}
UNDECIDED: Mapping[str, Callable[[], Module]] = {
    "picks a branch": plain(lambda x: tf.cond(rows(x) > 2, lambda: x, lambda: x * 1.0)),
    "picks a weight": weighted(
        lambda x, weights: x * tf.gather(weights, tf.minimum(tf.shape(x)[0], 3))
    ),
}
IN_SHAPES: Mapping[str, Callable[[], Module]] = {
    "ones for each row": plain(lambda x: x + tf.ones([tf.shape(x)[0], 1, 1, CHANNELS])),
    "weights for each row": weighted(
        lambda x, weights: x + tf.broadcast_to(weights, [tf.shape(x)[0], 6, 6, CHANNELS])
    ),
    "tiled for each row": weighted(
        lambda x, weights: x * tf.tile(weights[None, None, None], [tf.shape(x)[0], 1, 1, 1])
    ),
    "a fill of a weight": weighted(
        lambda x, weights: x * tf.fill([tf.shape(x)[0], 1, 1, 1], weights[0])
    ),
    "the other sizes": plain(lambda x: x / tf.cast(tf.shape(x)[1] * tf.shape(x)[2], tf.float32)),
    "the size of each row": plain(lambda x: x / tf.cast(tf.size(x) // tf.shape(x)[0], tf.float32)),
    "nothing for an empty batch": plain(
        lambda x: tf.cond(tf.shape(x)[0] > 0, lambda: x * 2, lambda: x)
    ),
    "times nothing": plain(lambda x: x + 0.0 * rows(x)),
}


@pytest.mark.parametrize("name", IN_VALUES)
def test_a_number_of_rows_in_the_values_is_a_fault(name: str, tmp_path: Path) -> None:
    found = alarms(save_module(IN_VALUES[name](), tmp_path / "saved"))
    assert {(each.rule_id, each.severity) for each in found} == {("BP310", Severity.FAIL)}


@pytest.mark.parametrize("name", UNDECIDED)
def test_what_the_number_of_rows_picks_is_undecided(name: str, tmp_path: Path) -> None:
    found = alarms(save_module(UNDECIDED[name](), tmp_path / "saved"))
    assert {each.rule_id for each in found} == {"BP305"}
    assert all("the number of rows" in each.detail for each in found)


@pytest.mark.parametrize("name", IN_SHAPES)
def test_a_number_of_rows_in_shapes_alone_raises_no_alarm(name: str, tmp_path: Path) -> None:
    assert alarms(save_module(IN_SHAPES[name](), tmp_path / "saved")) == []


@pytest.mark.parametrize("name", GOOD_MODULES)
def test_a_good_function_raises_no_alarm_beside_other_row_counts(name: str, tmp_path: Path) -> None:
    assert alarms(save_module(GOOD_MODULES[name](), tmp_path / "saved")) == []


@pytest.mark.parametrize("name", GOOD_EXPORTS)
def test_a_good_export_raises_no_alarm_beside_other_row_counts(name: str, tmp_path: Path) -> None:
    GOOD_KERAS[name]().export(tmp_path / "exported", verbose=False)
    assert alarms(tmp_path / "exported") == []
