"""The Keras backend: what it serves, and that whatever is broken is refused with a sentence."""

import gc
import shutil
import weakref
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchproof_server.backends.keras.source import KerasSource, load_model, open_keras
from batchproof_server.backends.tensorflow.execution import TensorFlowBackend, compile_functions
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import ModelRefused
from support.backend_contract import random_rows, same_bits
from support.model_fixtures import (
    save_any_size,
    save_cnn,
    save_keras,
    save_sequential,
    save_two_headed,
    save_two_headed_nested,
)

layers = keras.layers
SETTINGS = EngineSettings()


def load(artefact: Path, buckets_rows: tuple[int, ...] = (2,)) -> TensorFlowBackend:
    return compile_functions(open_keras(artefact, SETTINGS), buckets_rows, SETTINGS)


def findings(artefact: Path, buckets_rows: tuple[int, ...] = (2,)) -> str:
    with pytest.raises(ModelRefused) as refused:
        load(artefact, buckets_rows)
    assert refused.value.findings
    assert str(artefact.parent) not in " ".join((str(refused.value), *refused.value.findings))
    return "\n".join(refused.value.findings)


def named(backend: TensorFlowBackend) -> tuple[dict[str, str], dict[str, str]]:
    signature = backend.signature
    return (
        {spec.name: str(spec) for spec in signature.inputs},
        {spec.name: str(spec) for spec in signature.outputs},
    )


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_cnn(tmp_path_factory.mktemp("cnn"))


def test_a_functional_model_is_named_by_its_input_and_its_last_layer(cnn: Path) -> None:
    assert named(load(cnn)) == (
        {"image": "float32 [rows, 16, 16, 3]"},
        {"scores": "float32 [rows, 5]"},
    )


def test_a_sequential_model_is_named_by_its_input_and_its_last_layer(tmp_path: Path) -> None:
    inputs, outputs = named(load(save_sequential(tmp_path)))
    assert inputs == {"pixels": "uint8 [rows, 8, 8, 1]"}
    assert outputs == {"scores": "float32 [rows, 5]"}


def test_dictionaries_are_named_by_their_keys(tmp_path: Path) -> None:
    inputs, outputs = named(load(save_two_headed(tmp_path)))
    assert inputs == {"codes": "int32 [rows, 4]", "image": "float32 [rows, 8, 8, 3]"}
    assert outputs == {"alpha": "float32 [rows, 3]", "zeta": "float32 [rows, 5]"}


def test_lists_are_named_by_their_layers(tmp_path: Path) -> None:
    inputs, outputs = named(load(save_two_headed_nested(tmp_path)))
    assert list(inputs) == ["image", "codes"]
    assert list(outputs) == ["logits", "vector"]


def test_nested_dictionaries_are_named_by_their_paths(tmp_path: Path) -> None:
    image = keras.Input((4,), name="image")
    heads = {"heads": {"a": layers.Dense(1)(image), "b": layers.Dense(2)(image)}}
    _, outputs = named(load(save_keras(keras.Model(image, heads), tmp_path)))
    assert outputs == {"heads.a": "float32 [rows, 1]", "heads.b": "float32 [rows, 2]"}


def test_a_layer_with_several_outputs_gives_each_its_own_name(tmp_path: Path) -> None:
    series = keras.Input((4, 3), name="series")
    states = layers.LSTM(2, return_state=True, name="memory")(series)
    clash = layers.Dense(1, name="memory_1")(states[0])
    _, outputs = named(load(save_keras(keras.Model(series, [*states, clash]), tmp_path)))
    assert list(outputs) == ["memory", "memory_2", "memory_3", "memory_1"]


def test_a_dimension_of_any_size_takes_any_size(tmp_path: Path) -> None:
    backend = load(save_any_size(tmp_path))
    assert named(backend)[0] == {"image": "float32 [rows, any, any, 3]"}
    for pixels in (5, 9):
        scores = backend.execute({"image": np.ones((2, pixels, 7, 3), np.float32)})["scores"]
        assert scores.shape == (2, 5)


def test_the_engine_names_tensorflow_and_keras(cnn: Path) -> None:
    assert load(cnn).engine.endswith(f", keras {keras.__version__}")


def test_answers_are_those_of_the_model_in_inference_mode(cnn: Path) -> None:
    backend = load(cnn)
    model = keras.saving.load_model(cnn)
    inputs = random_rows(backend, 2, 0)
    expected = np.asarray(model(inputs["image"], training=False))
    np.testing.assert_allclose(backend.execute(inputs)["scores"], expected, rtol=1e-5)
    trained = np.asarray(model(inputs["image"], training=True))
    assert not np.allclose(backend.execute(inputs)["scores"], trained, rtol=1e-2)


def test_executing_changes_no_variable(tmp_path: Path) -> None:
    model = load_model(save_any_size(tmp_path))
    before = [np.array(variable.numpy()) for variable in model.variables]
    backend = compile_functions(KerasSource(model), (2,), SETTINGS)
    for seed in range(5):
        backend.execute(random_rows(backend, 2, seed))
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_a_loaded_model_can_be_mended_before_it_is_compiled(cnn: Path) -> None:
    model = load_model(cnn)
    model.get_layer("scores").bias.assign([9, 0, 0, 0, 0])
    backend = compile_functions(KerasSource(model), (2,), SETTINGS)
    scores = backend.execute(random_rows(backend, 2, 0))["scores"]
    assert (scores.argmax(axis=1) == 0).all()
    assert set(backend.functions) == {2}


def test_a_closed_backend_lets_the_model_go(cnn: Path) -> None:
    model = load_model(cnn)
    backend = compile_functions(KerasSource(model), (2, 4), SETTINGS)
    gone = weakref.ref(model)
    del model
    gc.collect()
    backend.execute(random_rows(backend, 2, 0))  # it is still there
    backend.close()
    gc.collect()
    assert gone() is None


def test_two_loads_of_one_file_answer_bit_for_bit_the_same(cnn: Path) -> None:
    first, second = load(cnn), load(cnn)
    inputs = random_rows(first, 2, 0)
    assert same_bits(first.execute(inputs), second.execute(inputs))


def fixed_rows(directory: Path) -> Path:
    image = keras.Input(batch_shape=(4, 3), name="image")
    return save_keras(keras.Model(image, layers.Dense(2, name="scores")(image)), directory)


def test_a_model_built_for_one_row_count_serves_exactly_that_bucket(tmp_path: Path) -> None:
    artefact = fixed_rows(tmp_path)
    assert named(load(artefact, (4,)))[0] == {"image": "float32 [rows, 3]"}
    for buckets_rows in ((2,), (2, 4)):
        assert "built for exactly 4 rows" in findings(artefact, buckets_rows)


def test_an_output_without_rows_is_refused(tmp_path: Path) -> None:
    image = keras.Input((3,), name="image")
    mean = keras.Model(image, keras.ops.mean(image, axis=0, keepdims=True))
    assert "has 1 rows for 2 rows of input" in findings(save_keras(mean, tmp_path))
    scalar = keras.Model(image, keras.ops.mean(image))
    assert "is a scalar" in findings(save_keras(scalar, tmp_path))


def test_string_sparse_and_ragged_inputs_are_refused(tmp_path: Path) -> None:
    text = keras.Input((1,), dtype="string", name="text")
    hashed = keras.Model(text, layers.Hashing(8)(text))
    assert "holds strings" in findings(save_keras(hashed, tmp_path))
    sparse = keras.Input((8,), sparse=True, name="words")
    dense = keras.Model(sparse, layers.Dense(2)(sparse))
    assert "expected a dense tensor" in findings(save_keras(dense, tmp_path))
    ragged = keras.Input((None,), ragged=True, dtype="int32", name="words")
    identity = keras.Model(ragged, layers.Identity()(ragged))
    assert "expected a dense tensor" in findings(save_keras(identity, tmp_path))


def test_an_output_that_the_contract_cannot_carry_is_refused(tmp_path: Path) -> None:
    image = keras.Input((3,), name="image")
    halved = keras.Model(image, layers.Dense(2, dtype="bfloat16")(image))
    assert "is bfloat16" in findings(save_keras(halved, tmp_path))


def test_a_model_without_known_inputs_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential([layers.Dense(2)])
    with pytest.warns(UserWarning, match="not yet been built"):
        artefact = save_keras(model, tmp_path)
    assert "without symbolic inputs" in findings(artefact)


def test_a_lambda_layer_and_a_custom_layer_are_refused(tmp_path: Path) -> None:
    class Own(keras.Layer):  # type: ignore[misc]
        """A layer that no other process knows."""

        def call(self, image: Any) -> Any:
            return image

    image = keras.Input((3,), name="image")
    both = keras.Model(image, layers.Lambda(lambda x: x * 2)(Own()(image)))
    text = findings(save_keras(both, tmp_path))
    assert "is a Lambda layer" in text
    assert 'custom class "Own"' in text


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in findings(tmp_path / "model.keras")


def without(artefact: Path, directory: Path, prefix: str) -> Path:
    """A copy of the archive without the members that begin with ``prefix``."""
    copy = directory / "model.keras"
    with zipfile.ZipFile(artefact) as source, zipfile.ZipFile(copy, "w") as target:
        for member in source.namelist():
            if not member.startswith(prefix):
                target.writestr(member, source.read(member))
    return copy


def test_an_archive_without_weights_is_refused(cnn: Path, tmp_path: Path) -> None:
    assert findings(without(cnn, tmp_path, "model.weights"))


def test_an_archive_with_the_weights_of_another_model_is_refused(cnn: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = save_sequential(tmp_path / "other")
    copy = without(cnn, tmp_path, "model.weights")
    with zipfile.ZipFile(other) as source, zipfile.ZipFile(copy, "a") as target:
        target.writestr("model.weights.h5", source.read("model.weights.h5"))
    assert findings(copy)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "model.keras"


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_loads_or_is_refused_and_nothing_else(
    cnn: Path, damaged: Path, data: st.DataObject
) -> None:
    content = bytearray(cnn.read_bytes())
    end = data.draw(st.integers(0, len(content)), label="end")
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
        content[position] ^= data.draw(st.integers(1, 255))
    damaged.write_bytes(content[:end] if data.draw(st.booleans(), label="cut") else content)
    try:
        signature = load(damaged).signature
    except ModelRefused as refused:
        said = refused.findings
    else:
        said = ("served",) if signature == load(cnn).signature else ()
    assert said


def test_another_keras_backend_is_refused(cnn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert 'KERAS_BACKEND is "jax"' in findings(cnn)


def test_a_copy_of_the_file_needs_nothing_of_the_original(cnn: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(cnn, tmp_path / "model.keras"))
    backend = load(copy)
    copy.unlink()
    assert backend.execute(random_rows(backend, 2, 0))["scores"].shape == (2, 5)
