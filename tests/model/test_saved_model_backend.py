"""The SavedModel backend: what it serves, and that what is broken is refused with a sentence."""

import gc
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from batchproof_server.backends.saved_model.source import open_saved_model
from batchproof_server.backends.tensorflow.execution import TensorFlowBackend, compile_functions
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import BackendFailed, ModelRefused
from support.backend_contract import random_rows
from support.model_fixtures import cnn, save_exported, save_function, save_functions, save_table

SETTINGS = EngineSettings()
VECTOR = tf.TensorSpec((None, 3), tf.float32, name="vector")


def load(artefact: Path, buckets_rows: tuple[int, ...] = (2,)) -> TensorFlowBackend:
    return compile_functions(open_saved_model(artefact, SETTINGS), buckets_rows, SETTINGS)


def findings(artefact: Path, buckets_rows: tuple[int, ...] = (2,)) -> str:
    with pytest.raises(ModelRefused) as refused:
        load(artefact, buckets_rows)
    assert refused.value.findings
    assert str(artefact.parent) not in " ".join((str(refused.value), *refused.value.findings))
    return "\n".join(refused.value.findings)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_exported(tmp_path_factory.mktemp("exported"))


def doubled(vector: Any) -> dict[str, Any]:
    return {"doubled": vector * 2}


def test_inputs_and_outputs_have_the_names_of_the_signature(exported: Path, tmp_path: Path) -> None:
    signature = load(exported).signature
    assert [f"{spec.name} {spec}" for spec in signature.inputs] == [
        "image float32 [rows, 16, 16, 3]"
    ]
    assert [f"{spec.name} {spec}" for spec in signature.outputs] == ["output_0 float32 [rows, 5]"]
    table = load(save_table(tmp_path)).signature
    assert [f"{spec.name} {spec}" for spec in table.inputs] == ["codes int32 [rows, 3]"]
    assert [spec.name for spec in table.outputs] == ["doubled", "values"]


def test_the_engine_names_tensorflow(exported: Path) -> None:
    assert load(exported).engine == f"tensorflow {tf.__version__}"


def test_answers_are_those_of_the_exported_model_in_inference_mode(exported: Path) -> None:
    backend = load(exported)
    inputs = random_rows(backend, 2, 0)
    expected = np.asarray(cnn()(inputs["image"], training=False))
    np.testing.assert_allclose(backend.execute(inputs)["output_0"], expected, rtol=1e-5)


def test_a_table_is_initialised(tmp_path: Path) -> None:
    codes = np.array([[1, 2, 3], [0, 3, 9]], np.int32)
    outputs = load(save_table(tmp_path)).execute({"codes": codes})
    np.testing.assert_array_equal(outputs["values"], [[0.5, 1.5, 2.5], [-1, 2.5, -1]])
    np.testing.assert_array_equal(outputs["doubled"], [[1, 3, 5], [-2, 5, -2]])


def test_the_only_signature_is_served_whatever_its_name(tmp_path: Path) -> None:
    backend = load(save_function(tmp_path, doubled, VECTOR, key="mine"))
    ones = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(backend.execute({"vector": ones})["doubled"], ones * 2)


def test_serving_default_is_preferred(tmp_path: Path) -> None:
    functions = {"another": lambda vector: {"negated": -vector}, "serving_default": doubled}
    backend = load(save_functions(tmp_path, functions, VECTOR))
    assert [spec.name for spec in backend.signature.outputs] == ["doubled"]


def test_several_other_signatures_are_refused_by_their_names(tmp_path: Path) -> None:
    artefact = save_functions(tmp_path, {"b": doubled, "a": doubled}, VECTOR)
    assert 'found "a", "b", expected "serving_default"' in findings(artefact)


def test_a_saved_model_without_signatures_is_refused(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), tmp_path / "empty")
    assert "found none" in findings(tmp_path / "empty")


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (tf.TensorSpec(None, tf.float32, name="x"), "unknown rank"),
        (tf.TensorSpec((), tf.float32, name="x"), "is a scalar"),
        (tf.TensorSpec((4, 3), tf.float32, name="x"), "built for exactly 4 rows"),
        (tf.TensorSpec((None,), tf.string, name="x"), "holds strings"),
        (tf.TensorSpec((None, 3), tf.bfloat16, name="x"), "is bfloat16"),
        (tf.TensorSpec((None, 3), tf.complex64, name="x"), "is complex64"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_an_input_that_cannot_be_served_is_refused(
    tmp_path: Path, spec: Any, sentence: str
) -> None:
    artefact = save_function(tmp_path, lambda x: {"same": tf.identity(x)}, spec)
    assert sentence in findings(artefact)


def test_texts_are_left_out_of_what_is_served_beside_numbers(tmp_path: Path) -> None:
    def named(vector: Any) -> dict[str, Any]:
        return {"doubled": 2 * vector, "name": tf.as_string(vector)}

    artefact = save_function(tmp_path, named, VECTOR)
    assert [spec.name for spec in load(artefact).signature.outputs] == ["doubled"]
    source = open_saved_model(artefact, SETTINGS)
    assert source.anatomy().left_out == ("name",)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda vector: {"out": tf.as_string(vector)}, "export a signature without it"),
        (lambda vector: {"out": tf.reduce_sum(vector)}, "is a scalar"),
        (lambda vector: {"out": tf.reduce_sum(vector, 0, keepdims=True)}, "1 rows for 2 rows"),
        (lambda vector: {"out": tf.cast(vector, tf.bfloat16)}, "is bfloat16"),
    ],
    ids=["string", "scalar", "one row", "bfloat16"],
)
def test_an_output_that_cannot_be_served_is_refused(
    tmp_path: Path, function: Callable[[Any], dict[str, Any]], sentence: str
) -> None:
    assert sentence in findings(save_function(tmp_path, function, VECTOR))


def test_a_signature_built_for_one_row_count_serves_exactly_that_bucket(tmp_path: Path) -> None:
    spec = tf.TensorSpec((4, 3), tf.float32, name="vector")
    backend = load(save_function(tmp_path, doubled, spec), (4,))
    outputs = backend.execute({"vector": np.ones((4, 3), np.float32)})
    assert outputs["doubled"].shape == (4, 3)


def test_a_failure_of_tensorflow_is_a_backend_failure_with_its_cause(tmp_path: Path) -> None:
    def picky(vector: Any) -> dict[str, Any]:
        with tf.control_dependencies([tf.debugging.assert_less(vector, 5.0)]):
            return {"out": tf.identity(vector)}

    backend = load(save_function(tmp_path, picky, VECTOR))
    with pytest.raises(BackendFailed) as failed:
        backend.execute({"vector": np.full((2, 3), 9, np.float32)})
    assert isinstance(failed.value.__cause__, tf.errors.InvalidArgumentError)
    assert backend.execute({"vector": np.ones((2, 3), np.float32)})


def test_an_output_that_drops_rows_is_a_backend_failure(tmp_path: Path) -> None:
    def positive(vector: Any) -> dict[str, Any]:
        return {"out": tf.boolean_mask(vector, vector[:, 0] > 0)}

    backend = load(save_function(tmp_path, positive, VECTOR))
    assert backend.execute({"vector": np.ones((2, 3), np.float32)})["out"].shape == (2, 3)
    with pytest.raises(BackendFailed, match=r'output "out" is float32 \[0, 3\]'):
        backend.execute({"vector": -np.ones((2, 3), np.float32)})


def test_a_closed_backend_lets_the_model_go(exported: Path) -> None:
    model = open_saved_model(exported, SETTINGS)
    gone = weakref.ref(model.owner)
    backend = compile_functions(model, (2, 4), SETTINGS)
    del model
    gc.collect()
    backend.execute(random_rows(backend, 2, 0))  # it is still there
    backend.close()
    del backend
    gc.collect()
    assert gone() is None


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no such directory": shutil.rmtree,
    "no graph": lambda at: (at / "saved_model.pb").unlink(),
    "an empty graph": lambda at: (at / "saved_model.pb").write_bytes(b""),
    "a graph of noise": lambda at: (at / "saved_model.pb").write_bytes(b"\xff" * 1000),
    "half a graph": lambda at: cut(at / "saved_model.pb", 3000),
    "no variables": lambda at: shutil.rmtree(at / "variables"),
    "no index": lambda at: (at / "variables/variables.index").unlink(),
    "an index of noise": lambda at: (at / "variables/variables.index").write_bytes(b"\0" * 50),
    "half the variables": lambda at: cut(at / "variables/variables.data-00000-of-00001", 100),
}


def cut(file: Path, size_bytes: int) -> None:
    file.write_bytes(file.read_bytes()[:size_bytes])


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_broken_directory_is_refused(
    exported: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    copy = Path(shutil.copytree(exported, tmp_path / "copy"))
    damage(copy)
    assert findings(copy).startswith("copy: ")


@given(position=st.integers(0, 1 << 20), flip=st.integers(1, 255))
@settings(max_examples=25, deadline=None)
def test_a_damaged_graph_loads_or_is_refused_and_nothing_else(
    exported: Path, tmp_path_factory: pytest.TempPathFactory, position: int, flip: int
) -> None:
    copy = Path(shutil.copytree(exported, tmp_path_factory.mktemp("damaged") / "copy"))
    content = bytearray((copy / "saved_model.pb").read_bytes())
    content[position % len(content)] ^= flip
    (copy / "saved_model.pb").write_bytes(content)
    try:
        said = tuple(spec.name for spec in load(copy).signature.outputs)
    except ModelRefused as refused:
        said = refused.findings
    assert said


def test_a_saved_model_of_tensorflow_1_is_served(tmp_path: Path) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        vector = v1.placeholder(tf.float32, (None, 3), name="vector")
        factors = v1.get_variable("factors", initializer=[1.0, 2.0, 3.0], use_resource=True)
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(tmp_path / "old"))
        definition = v1.saved_model.predict_signature_def(
            {"vector": vector}, {"product": vector * factors}
        )
        builder.add_meta_graph_and_variables(
            session, ["serve"], signature_def_map={"serving_default": definition}
        )
        builder.save()
    outputs = load(tmp_path / "old").execute({"vector": np.ones((2, 3), np.float32)})
    np.testing.assert_array_equal(outputs["product"], [[1, 2, 3], [1, 2, 3]])
