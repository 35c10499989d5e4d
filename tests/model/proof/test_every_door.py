"""Every good model goes through every door and is read: no failure, nothing left to the probes.

The doors are: in memory, a ``.keras`` file, ``model.export()``, and a SavedModel of a concrete
function. Behind each the graph is another one: shapes are inferred anew, and sizes get lost.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import keras
import pytest
import tensorflow as tf

from batchproof_server.backends.examining import examine, open_audited
from batchproof_server.backends.keras.source import KerasSource
from batchproof_server.backends.saved_model.kind import KIND as SAVED_MODEL
from batchproof_server.backends.saved_model.source import open_saved_model
from batchproof_server.backends.source import Source
from batchproof_server.backends.tensorflow.engine import ENGINE
from batchproof_server.base.backend import EngineSettings
from batchproof_server.proof.findings import Finding, Severity
from support import model_fixtures
from support.proof_fixtures import (
    CHANNELS,
    GOOD_KERAS,
    IMAGE_SHAPE,
    PIXELS,
    ROWS,
    OwnBlock,
    functional,
    sequential,
)
from support.proof_modules import GOOD_MODULES, plain
from system.zoo import save_slow

layers = keras.layers
SETTINGS: Final = EngineSettings()
BUCKETS: Final = (1, 2, ROWS)


def _lines() -> Any:
    """The lines of a picture, one after the other."""
    return layers.Reshape((PIXELS, PIXELS * CHANNELS))


def _films() -> Any:
    return layers.Reshape((3, 2, PIXELS, CHANNELS))


RECURRENT: Final[Mapping[str, Callable[[], Any]]] = {
    "ConvLSTM over parts of a picture": lambda: sequential(
        _films(), layers.ConvLSTM2D(5, 1), layers.Flatten()
    ),
    "ConvLSTM with all its steps": lambda: functional(
        _films(), layers.ConvLSTM2D(5, 1, return_sequences=True), layers.Flatten()
    ),
    "LSTM over the lines of a picture": lambda: sequential(
        _lines(), layers.LSTM(7), layers.Dense(3)
    ),
    "LSTM before GRU": lambda: sequential(
        _lines(), layers.LSTM(7, return_sequences=True), layers.GRU(4), layers.Dense(3)
    ),
    "LSTM backwards": lambda: sequential(
        _lines(), layers.LSTM(7, go_backwards=True), layers.Dense(3)
    ),
    "LSTM both ways with all its steps": lambda: sequential(
        _lines(),
        layers.Bidirectional(layers.LSTM(7, return_sequences=True)),
        layers.GlobalAveragePooling1D(),
    ),
    "LSTM behind a mask": lambda: sequential(
        _lines(), layers.Masking(0.0), layers.LSTM(7), layers.Dense(3)
    ),
    "SimpleRNN without a loop": lambda: sequential(
        _lines(), layers.SimpleRNN(7, unroll=True), layers.Dense(3)
    ),
    "convolutions over parts of a picture": lambda: sequential(
        _films(), layers.TimeDistributed(layers.Conv2D(3, 1)), layers.Flatten()
    ),
}
GOOD: Final = {**GOOD_KERAS, **RECURRENT}


def _in_memory(model: Any, _: Path) -> Source:
    return KerasSource(model)


def _from_file(model: Any, directory: Path) -> Source:
    model.save(directory / "model.keras")
    loaded = keras.saving.load_model(
        directory / "model.keras", custom_objects={"OwnBlock": OwnBlock}, compile=False
    )
    return KerasSource(loaded)


def _exported(model: Any, directory: Path) -> Source:
    model.export(directory / "exported", verbose=False)
    return open_saved_model(directory / "exported", SETTINGS)


def _concrete(model: Any, directory: Path) -> Source:
    holder = tf.Module()
    holder.model = model
    return _saved(lambda batch: {"answer": model(batch, training=False)}, holder, directory)


def _saved(answer: Callable[[Any], Any], holder: Any, directory: Path) -> Source:
    spec = tf.TensorSpec((None, *IMAGE_SHAPE), tf.float32, name="image")
    function = tf.function(answer).get_concrete_function(spec)
    tf.saved_model.save(holder, directory / "saved", signatures={"serving_default": function})
    return open_saved_model(directory / "saved", SETTINGS)


DOORS: Final[Mapping[str, Callable[[Any, Path], Source]]] = {
    "in memory": _in_memory,
    ".keras": _from_file,
    "model.export()": _exported,
    "concrete function": _concrete,
}


def alarms(source: Source) -> list[str]:
    source.repair()
    return sentences((*source.audit(), *source.audit_graphs(BUCKETS)))


def sentences(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.sentence for finding in findings if finding.severity is not Severity.NOTE]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", GOOD)
def test_a_good_keras_model_is_read_behind_every_door(name: str, door: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    assert alarms(DOORS[door](GOOD[name](), tmp_path)) == []


@pytest.mark.parametrize("name", GOOD_MODULES)
def test_a_good_function_is_read_as_a_concrete_one(name: str, tmp_path: Path) -> None:
    module = GOOD_MODULES[name]()
    source = _saved(module.answer, module.owner or tf.Module(), tmp_path)
    assert alarms(source) == []


@pytest.mark.parametrize(
    "save", [save_slow, model_fixtures.save_exported, model_fixtures.save_table]
)
def test_the_models_that_other_tests_serve_are_read(
    save: Callable[[Path], Path], tmp_path: Path
) -> None:
    examined = examine(
        open_audited(SAVED_MODEL, save(tmp_path), SETTINGS), ENGINE, (2, ROWS), SETTINGS
    )
    examined.backend.close()
    assert sentences(examined.findings) == []


def _one_by_one(change: Callable[[Any], Any]) -> Callable[[], Any]:
    return plain(lambda x: tf.map_fn(change, x))


# Behind what the audit cannot follow, one picture looks as a batch of as many rows as it has lines.
AS_HIGH_AS_A_BATCH: Final = {
    "each picture by its own mean and deviation": _one_by_one(tf.image.per_image_standardization),
    "each picture less the mean of its lines": _one_by_one(lambda x: x - tf.reduce_mean(x, axis=0)),
    "each picture upside down": _one_by_one(tf.image.flip_up_down),
    "the middle of each picture": _one_by_one(lambda x: x[1:5]),
    "each picture times itself": _one_by_one(lambda x: tf.matmul(x[..., 0], x[..., 0])),
    "each line by a number of its own": _one_by_one(
        lambda x: x * tf.range(float(PIXELS))[:, None, None]
    ),
    "axes moved in an unknown order": plain(
        lambda x: tf.reduce_mean(
            tf.transpose(x, tf.argsort(tf.constant([0.0, 3.0, 1.0, 2.0]))), [1, 2, 3]
        )
    ),
    "both ways of a picture behind each other": plain(
        lambda x: tf.reduce_mean(
            tf.reshape(
                tf.concat([x, tf.map_fn(tf.image.flip_left_right, x)], 0),
                [2, -1, PIXELS, PIXELS, CHANNELS],
            ),
            axis=0,
        )
    ),
    "a loop that turns a picture round": plain(
        lambda x: tf.while_loop(
            lambda i, _: i < 2, lambda i, v: (i + 1, tf.transpose(v, [1, 0, 2, 3])), (0, x),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, None, None, CHANNELS])),
        )[1]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_HIGH_AS_A_BATCH)
def test_a_good_model_whose_layout_is_lost_is_undecided_and_never_fails(
    name: str, tmp_path: Path
) -> None:
    module = AS_HIGH_AS_A_BATCH[name]()
    findings = _saved(module.answer, tf.Module(), tmp_path).audit_graphs((2, PIXELS))
    assert {finding.rule_id for finding in findings} == {"BP305"}


LOST: Final = {
    "an unknown order": plain(
        lambda x: tf.transpose(x, tf.argsort(tf.constant([0.0, 1.0, 2.0, 3.0])))
    ),
    "rows one after the other": plain(lambda x: tf.map_fn(lambda row: row * 2.0, x)),
    "sizes that only a run knows": plain(
        lambda x: tf.reshape(
            tf.boolean_mask(tf.reshape(x, [-1]), tf.ones_like(tf.reshape(x, [-1]), tf.bool)),
            tf.shape(x),
        )
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_no_text_shows_how_the_analysis_is_made(name: str, tmp_path: Path) -> None:
    module = LOST[name]()
    findings = _saved(module.answer, tf.Module(), tmp_path).audit_graphs(BUCKETS)
    for finding in findings:
        for part in ("Rows(", "Value(", "axis=", "None", "<"):
            assert part not in finding.sentence


def test_an_output_whose_rows_lie_along_another_axis_fails_in_words(tmp_path: Path) -> None:
    turned = plain(lambda x: tf.transpose(x, [1, 0, 2, 3]))()
    (failed,) = _saved(turned.answer, tf.Module(), tmp_path).audit_graphs((PIXELS,))
    assert (failed.rule_id, failed.severity) == ("BP307", Severity.FAIL)
    assert failed.detail == "its rows lie along axis 1 with one index each"


def test_an_output_whose_rows_may_lie_anywhere_is_undecided(tmp_path: Path) -> None:
    turned = plain(lambda x: tf.transpose(tf.map_fn(lambda row: row * 2.0, x), [1, 0, 2, 3]))()
    findings = _saved(turned.answer, tf.Module(), tmp_path).audit_graphs((PIXELS,))
    assert {finding.rule_id for finding in findings} == {"BP305"}
