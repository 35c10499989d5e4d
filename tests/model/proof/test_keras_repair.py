"""Repair puts every loaded Keras model into inference mode, and changes nothing else."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from batchproof_server.backends.keras.source import KerasSource
from batchproof_server.backends.tensorflow.execution import TensorFlowBackend, compile_functions
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import ModelRefused
from batchproof_server.proof.findings import Severity
from batchproof_server.proof.graph import audit_functions
from batchproof_server.proof.keras.model import audit_keras_model
from batchproof_server.proof.keras.repair import repair
from support.even_kernels import skip_where_kernels_are_uneven
from support.proof_fixtures import (
    BAD_KERAS,
    GOOD_KERAS,
    ROWS,
    OwnBlock,
    functional,
    pictures,
    sequential,
    trained,
    weights_of,
)

layers = keras.layers
COMPOSITIONS = 1_000
BUCKETS = (2, ROWS)


def reloaded(model: Any, directory: Path) -> Any:
    model.save(directory / "model.keras")
    return keras.saving.load_model(
        directory / "model.keras", custom_objects={"OwnBlock": OwnBlock}, compile=False
    )


def compile_model(model: Any, buckets_rows: tuple[int, ...]) -> TensorFlowBackend:
    return compile_functions(KerasSource(model), buckets_rows, EngineSettings())


def compositions(backend: TensorFlowBackend, count: int) -> set[bytes]:
    """The answers for one picture beside random others, at random places and among other values."""
    picture, strangers = pictures(0, 1)[0], pictures(1, 64)
    numbers = np.random.default_rng(3)
    answers: set[bytes] = set()
    for _ in range(count):
        place = int(numbers.integers(ROWS))
        batch = strangers[numbers.integers(64, size=ROWS)] * np.float32(numbers.uniform(0, 9))
        batch[place] = picture
        (answer,) = backend.execute({"image": batch}).values()
        answers.add(answer[place].tobytes())
    return answers


@pytest.mark.parametrize("name", BAD_KERAS)
def test_a_repaired_model_answers_bit_for_bit_the_same_in_any_company(
    name: str, tmp_path: Path
) -> None:
    skip_where_kernels_are_uneven()
    keras.utils.set_random_seed(0)
    model = reloaded(BAD_KERAS[name](), tmp_path)
    assert repair(model)
    findings = audit_keras_model(model)
    assert not [found.sentence for found in findings if found.severity is not Severity.NOTE]
    before = weights_of(model)
    backend = compile_model(model, BUCKETS)
    graph = audit_functions(backend.functions)
    assert not [found.sentence for found in graph if found.severity is not Severity.NOTE]
    assert len(compositions(backend, COMPOSITIONS)) == 1
    assert weights_of(model) == before


@pytest.mark.parametrize("name", BAD_KERAS)
def test_repairing_again_changes_nothing(name: str, tmp_path: Path) -> None:
    model = reloaded(BAD_KERAS[name](), tmp_path)
    assert repair(model)
    assert repair(model) == ()
    again = reloaded(model, tmp_path)
    # Keras writes no nodes for a sequential model, and a custom layer writes what it likes.
    lost = ("sequential", "own_block")
    assert all(any(name in change.where for name in lost) for change in repair(again))


@pytest.mark.parametrize("name", GOOD_KERAS)
def test_a_good_model_answers_as_before_to_the_last_bit(name: str) -> None:
    model = GOOD_KERAS[name]()
    batch = {"image": pictures(0)}
    before, weights = compile_model(model, (ROWS,)).execute(batch), weights_of(model)
    repair(model)
    after = compile_model(model, (ROWS,)).execute(batch)
    assert weights_of(model) == weights
    for output, answer in before.items():
        np.testing.assert_array_equal(after[output], answer)


def test_a_repair_says_what_it_changed_and_where() -> None:
    norm = layers.BatchNormalization(name="norm")
    model = functional(trained(norm), trained(layers.Dropout(0.5, name="drop")))
    changes = [(change.rule_id, change.where.partition("/")[2]) for change in repair(model)]
    assert changes == [("BP104", "norm"), ("BP101", "norm"), ("BP104", "drop")]


def test_repair_reaches_layers_inside_models_wrappers_and_lists() -> None:
    wrapped = layers.TimeDistributed(layers.BatchNormalization(name="wrapped"))
    inner = sequential(layers.BatchNormalization(name="inner"))
    model = functional(inner, OwnBlock(name="own"), wrapped)
    places = {change.where.rpartition("/")[2] for change in repair(model)}
    assert {"wrapped", "inner"} <= places
    norms = [
        layer for layer in model._flatten_layers() if isinstance(layer, layers.BatchNormalization)
    ]
    assert len(norms) == 3
    assert not any(norm.trainable for norm in norms)


def test_a_keras_that_stores_nodes_elsewhere_is_refused_and_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = functional(layers.Flatten())
    for layer in model.layers:
        monkeypatch.delattr(layer, "_inbound_nodes")
    with pytest.raises(ModelRefused, match="inference mode") as refused:
        repair(model)
    assert "_inbound_nodes" in refused.value.findings[0]
    (finding,) = audit_keras_model(model)
    assert finding.rule_id == "BP107"


def test_the_installed_keras_keeps_a_nodes_arguments_where_repair_changes_them() -> None:
    norm = layers.BatchNormalization()
    model = functional(trained(norm), layers.GlobalAveragePooling2D())
    (node,) = norm._inbound_nodes
    assert node.arguments.kwargs["training"] is True
    batch = pictures(0)
    alone = np.asarray(model(batch))[0], np.asarray(model(batch[:1]))[0]
    assert not np.allclose(*alone)
    node.arguments.kwargs["training"] = False
    assert np.allclose(np.asarray(model(batch))[0], np.asarray(model(batch[:1]))[0])
