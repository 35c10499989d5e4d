"""The audit judges models that keep rows apart and models that do not: no miss, no false alarm.

Every test runs its model as well: a model counts as bad only if it breaks the promise when it runs.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from batchproof_server.backends.saved_model.source import open_saved_model
from batchproof_server.backends.tensorflow.execution import TensorFlowBackend, compile_functions
from batchproof_server.base.backend import EngineSettings
from batchproof_server.proof.artefact.checking import audit_artefact
from batchproof_server.proof.findings import Finding, Severity
from batchproof_server.proof.graph import audit_functions
from batchproof_server.proof.keras.model import audit_keras_model
from support.proof_fixtures import (
    BAD_EXPORTS,
    BAD_KERAS,
    GOOD_EXPORTS,
    GOOD_KERAS,
    IMAGE_SHAPE,
    ROWS,
    Answers,
    Module,
    breaks_the_promise,
    save_module,
    weights_of,
)
from support.proof_modules import BAD_MODULES, GOOD_MODULES


def alarms(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.sentence for finding in findings if finding.severity is not Severity.NOTE]


def traced(answer: Callable[[Any], dict[str, Any]]) -> Any:
    spec = tf.TensorSpec((ROWS, *IMAGE_SHAPE), tf.float32)
    return tf.function(answer, input_signature=[spec], autograph=False).get_concrete_function()


def runner(function: Callable[[Any], Any]) -> Callable[[np.ndarray[Any, Any]], Answers]:
    def run(batch: np.ndarray[Any, Any]) -> Answers:
        answers = function(tf.constant(batch))
        return {name: np.asarray(answer) for name, answer in answers.items()}

    return run


def as_called(model: Any) -> Any:
    """What an unaware caller gets: ``model(x)``, without saying ``training=False``."""
    return traced(lambda batch: {"answer": model(batch)})


def served(artefact: Path) -> TensorFlowBackend:
    settings = EngineSettings()
    return compile_functions(open_saved_model(artefact, settings), (ROWS,), settings)


def served_run(backend: TensorFlowBackend) -> Callable[[np.ndarray[Any, Any]], Answers]:
    (spec,) = backend.signature.inputs
    return lambda batch: backend.execute({spec.name: batch})


@pytest.mark.parametrize("name", BAD_KERAS)
def test_a_bad_keras_model_is_found_in_its_file_in_memory_and_in_its_graph(
    name: str, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(0)
    model = BAD_KERAS[name]()
    function = as_called(model)
    assert breaks_the_promise(runner(function), lambda: weights_of(model)), "the model is not bad"
    assert alarms(audit_keras_model(model))
    assert alarms(audit_functions({ROWS: function}))
    model.save(tmp_path / "model.keras")
    assert alarms(audit_artefact(tmp_path / "model.keras"))


@pytest.mark.parametrize("name", GOOD_KERAS)
def test_a_good_keras_model_raises_no_alarm_anywhere(name: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = GOOD_KERAS[name]()
    function = as_called(model)
    assert not breaks_the_promise(runner(function), lambda: weights_of(model)), (
        "the model is not good"
    )
    assert not alarms(audit_keras_model(model))
    assert not alarms(audit_functions({ROWS: function}))
    model.save(tmp_path / "model.keras")
    found = alarms(audit_artefact(tmp_path / "model.keras"))
    assert not [text for text in found if "OwnBlock" not in text]


@pytest.mark.parametrize("name", BAD_EXPORTS)
def test_a_bad_export_is_found(name: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    BAD_KERAS[name]().export(tmp_path / "exported", verbose=False)
    backend = served(tmp_path / "exported")
    assert breaks_the_promise(served_run(backend), lambda: None), "the model is not bad"
    assert alarms(audit_functions(backend.functions))


@pytest.mark.parametrize("name", GOOD_EXPORTS)
def test_a_good_export_raises_no_alarm(name: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    GOOD_KERAS[name]().export(tmp_path / "exported", verbose=False)
    backend = served(tmp_path / "exported")
    assert not breaks_the_promise(served_run(backend), lambda: None), "the model is not good"
    assert not alarms(audit_functions(backend.functions))
    assert not alarms(audit_artefact(tmp_path / "exported"))


@pytest.mark.parametrize("name", BAD_MODULES)
def test_a_bad_function_is_found(name: str) -> None:
    module = BAD_MODULES[name]()
    function = traced(module.answer)
    assert breaks_the_promise(runner(function), module.snapshot), "the function is not bad"
    assert alarms(audit_functions({ROWS: function}))


@pytest.mark.parametrize(
    "name", sorted(BAD_MODULES.keys() - {"a Python function", "rows as channels", "fills a queue"})
)
def test_a_bad_saved_function_is_found(name: str, tmp_path: Path) -> None:
    backend = served(save_module(BAD_MODULES[name](), tmp_path / "saved"))
    assert alarms(audit_functions(backend.functions))


@pytest.mark.parametrize("name", GOOD_MODULES)
def test_a_good_function_raises_no_alarm(name: str) -> None:
    module: Module = GOOD_MODULES[name]()
    function = traced(module.answer)
    assert not breaks_the_promise(runner(function), module.snapshot), "the function is not good"
    assert not alarms(audit_functions({ROWS: function}))


@pytest.mark.parametrize("name", GOOD_MODULES)
def test_a_good_saved_function_raises_no_alarm(name: str, tmp_path: Path) -> None:
    artefact = save_module(GOOD_MODULES[name](), tmp_path / "saved")
    assert not alarms(audit_functions(served(artefact).functions))
    assert not alarms(audit_artefact(artefact))


def test_the_corpus_is_large_enough() -> None:
    assert len(BAD_KERAS) + len(BAD_EXPORTS) + len(BAD_MODULES) >= 60
    assert len(GOOD_KERAS) + len(GOOD_EXPORTS) + len(GOOD_MODULES) >= 60
