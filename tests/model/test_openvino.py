"""What is OpenVINO's own: it tells nobody, and refuses what it would compute otherwise."""

import errno
import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf

from batchproof_server.__main__ import main
from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.backends.keras import kind as keras_kind
from batchproof_server.backends.openvino import engine as openvino
from batchproof_server.backends.openvino.intermediate import OpenVinoSource
from batchproof_server.backends.saved_model import kind as saved_model
from batchproof_server.base.backend import EngineSettings, Shrinking
from batchproof_server.base.errors import ModelRefused
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import LoadingPlugs, load_version
from batchproof_server.proof.proving import Prover
from batchproof_server.proof.settings import Progress, ProofSettings
from support.backend_contract import random_rows
from support.keys import write_keys
from support.model_fixtures import save_two_headed
from support.plugs import load

BUCKETS = (1, 2, 4)

# Connects once itself, so that an empty list is a finding and not a deaf ear.
CONVERT = """
import socket, sys
heard = []
def hear(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        heard.append(event)
sys.addaudithook(hear)
try:
    socket.create_connection(("127.0.0.1", 9), timeout=1)
except OSError:
    pass
assert "socket.connect" in heard
heard.clear()
from batchproof_server.__main__ import main
assert main(["certify", sys.argv[1], "--engine", "openvino", "--json"]) == 0
import openvino
assert not heard, heard
assert sys.modules["openvino_telemetry"] is None
"""

# The library lends the thread that compiles a stack for signals, which it takes away with its core.
TWO_MODELS_AND_CTRL_C = """
import signal
import numpy as np
from openvino import Model, opset13 as ops
from batchproof_server.backends.openvino.execution import compile_buckets
from batchproof_server.backends.openvino.intermediate import OpenVinoSource
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.signature import Signature, TensorSpec

def compiled():
    rows = ops.parameter([-1, 4], np.float32, name="x")
    answer = ops.relu(rows)
    answer.output(0).set_names({"y"})
    rows.output(0).set_names({"x"})
    source = OpenVinoSource(Model([answer], [rows]), signature)
    return compile_buckets(source, (1, 2), EngineSettings())

form = lambda name: TensorSpec(name, np.dtype(np.float32), (4,))
signature = Signature((form("x"),), (form("y"),))
first, second = compiled(), compiled()
first.close()
del first
second.close()
del second
heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append("Ctrl-C"))
signal.raise_signal(signal.SIGINT)
assert heard == ["Ctrl-C"]
"""


def save_function(directory: Path, answer: Callable[[Any], Any], spec: Any) -> Path:
    module = tf.Module()
    module.served = tf.function(lambda x: {"y": answer(x)}, input_signature=[spec])
    tf.saved_model.save(module, str(directory), signatures=module.served)
    return directory


def of_numbers(dtype: str = "float32") -> Any:
    return tf.TensorSpec((None, 4), dtype, "x")


def test_neither_conversion_nor_execution_opens_a_connection(tmp_path: Path) -> None:
    bundle, home = tmp_path / "model" / "1", tmp_path / "home"
    home.mkdir()
    small_model().save(_made(bundle) / "model.keras")
    said = subprocess.run(
        [sys.executable, "-c", CONVERT, str(bundle)],
        env={**os.environ, "HOME": str(home), "CI": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(said.stdout)["subject"]["environment"]["engine"].startswith("openvino ")
    # Where its telemetry would keep its number.
    assert not (home / "intel").exists()


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory


def small_model() -> Any:
    keras.utils.set_random_seed(7)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(5, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )


def checked(x: Any) -> Any:
    with tf.control_dependencies([tf.debugging.assert_less(x, 5.0)]):
        return x * 2.0


@pytest.mark.parametrize(
    ("answer", "spec", "reason"),
    [
        (checked, of_numbers(), "leaves out the model's Assert"),
        (lambda x: tf.cast(x, tf.float32) / 3, of_numbers("int64"), "computes the int64"),
        (lambda x: tf.cast(x * 3.0, tf.float32), of_numbers("float64"), "computes the float64"),
        (
            lambda x: tf.cast(tf.cast(x, tf.float64) / 3, tf.float32),
            of_numbers(),
            "computes the f64 of this model in another precision",
        ),
        (
            lambda x: tf.cast(tf.cast(x, tf.float16) / 3, tf.float32),
            of_numbers(),
            "computes the f16 of this model in another precision",
        ),
        (lambda x: x / 3, tf.TensorSpec((None, None), "float32", "x"), "is given one size only"),
    ],
)
def test_what_openvino_would_compute_otherwise_is_refused_with_the_reason(
    tmp_path: Path, answer: Callable[[Any], Any], spec: Any, reason: str
) -> None:
    artefact = save_function(tmp_path / "model", answer, spec)
    with pytest.raises(ModelRefused) as refused:
        load(saved_model.KIND, artefact, BUCKETS, engines=(openvino.ENGINE,))
    assert reason in " ".join(refused.value.findings)


def test_an_output_that_comes_twice_and_one_named_as_an_inner_tensor_are_not_confused(
    tmp_path: Path,
) -> None:
    def answer(x: Any) -> dict[str, Any]:
        inner = tf.identity(x * 2.0, name="output_0")
        return {"b": inner, "a": inner + 1.0, "output_0": x * 3.0, "again": inner}

    module = tf.Module()
    module.served = tf.function(answer, input_signature=[of_numbers()])
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.served)
    backend = load(saved_model.KIND, tmp_path / "model", BUCKETS, engines=(openvino.ENGINE,))
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    outputs = backend.execute({"x": x})
    assert {name: array.tolist() for name, array in outputs.items()} == {
        "a": (x * 2 + 1).tolist(),
        "again": (x * 2).tolist(),
        "b": (x * 2).tolist(),
        "output_0": (x * 3).tolist(),
    }


def loaded(directory: Path, told: list[Progress], engine: str = "auto") -> LoadedModel:
    plugs = loading_plugs(Config(engine=EngineSettings(name=engine)), told.append)
    return load_version(Place("model", 1, directory), plugs)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    small_model().save(directory / "model.keras")
    return directory


def test_auto_takes_openvino_where_it_answers_as_tensorflow_and_says_how_near(
    bundle: Path,
) -> None:
    told: list[Progress] = []
    model = loaded(bundle, told)
    certificate = model.certificate
    assert certificate is not None
    assert model.backend.engine.startswith("openvino ")
    parity = certificate.measured.parity
    assert parity is not None
    assert parity.engine.startswith("tensorflow ")
    assert parity.rows > 10
    assert parity.greatest_difference is not None
    assert parity.greatest_difference < 1e-3
    assert certificate.passed_over == ()


def test_a_lone_row_is_not_padded_where_one_row_has_the_bits_of_all(bundle: Path) -> None:
    model = loaded(bundle, [])
    assert model.batching.buckets_rows[0] == 1
    row = np.random.default_rng(0).random((1, 8, 8, 3), np.float32)
    (name,) = (spec.name for spec in model.backend.signature.inputs)
    alone = model.backend.execute({name: row})
    beside = model.backend.execute({name: np.repeat(row, 4, axis=0)})
    for output, answer in alone.items():
        assert answer[0].tobytes() == beside[output][3].tobytes()


def test_the_named_engine_executes_the_model(bundle: Path) -> None:
    model = loaded(bundle, [], "tensorflow")
    assert model.backend.engine.startswith("tensorflow ")
    assert model.certificate is not None
    assert model.certificate.measured.parity is None


def test_the_manifest_names_the_engine_of_its_model_unless_the_server_does(tmp_path: Path) -> None:
    small_model().save(tmp_path / "model.keras")
    (tmp_path / "batchproof.toml").write_text('format = 1\nengine = "tensorflow"\n')
    assert loaded(tmp_path, []).backend.engine.startswith("tensorflow ")
    assert loaded(tmp_path, [], "openvino").backend.engine.startswith("openvino ")


def test_auto_passes_openvino_over_with_a_reason_in_log_and_certificate(tmp_path: Path) -> None:
    save_function(tmp_path, checked, of_numbers())
    told: list[Progress] = []
    model = loaded(tmp_path, told)
    assert model.backend.engine.startswith("tensorflow ")
    assert model.certificate is not None
    (passed_over,) = model.certificate.passed_over
    assert passed_over.engine == "openvino"
    assert "Assert" in passed_over.reasons[0]
    (line,) = [each for each in told if each.step == "engine passed over"]
    assert "Assert" in line.detail


def test_an_engine_that_was_passed_over_is_not_tried_again_while_it_stays_the_same(
    tmp_path: Path,
) -> None:
    save_function(tmp_path / "model", checked, of_numbers())
    told: list[Progress] = []
    proof = ProofSettings(certificate_directory=str(tmp_path / "kept"))
    plugs = loading_plugs(Config(proof=proof), told.append)
    place = Place("model", 1, tmp_path / "model")
    first = load_version(place, plugs)

    def convert(*_: Any) -> Any:
        raise AssertionError("it was tried again")

    conversion = openvino.ENGINE.conversion
    assert conversion is not None
    untried = replace(openvino.ENGINE, conversion=replace(conversion, convert=convert))
    engines = tuple(untried if each.name == "openvino" else each for each in plugs.engines)
    told.clear()
    again = load_version(place, replace(plugs, engines=engines))
    assert again.certificate == first.certificate
    assert [each.step for each in told] == ["certificate reused", "engine passed over"]
    assert "Assert" in told[1].detail

    newer = {**prover(plugs).versions, "openvino": "9999.0"}
    upgraded = replace(plugs, engines=engines, prove=replace(prover(plugs), versions=newer))
    with pytest.raises(AssertionError, match="tried again"):
        load_version(place, upgraded)


def prover(plugs: LoadingPlugs) -> Prover:
    assert isinstance(plugs.prove, Prover)
    return plugs.prove


def test_a_probed_model_that_was_converted_starts_without_tensorflow_too(tmp_path: Path) -> None:
    def undecided(x: Any) -> Any:
        return tf.map_fn(lambda row: row * tf.cast(tf.reduce_mean(row) < 105.0, tf.float32), x)

    save_function(tmp_path / "model", undecided, of_numbers())
    proof = ProofSettings(certificate_directory=str(tmp_path / "kept"))
    plugs = loading_plugs(Config(proof=proof))
    first = load_version(Place("model", 1, tmp_path / "model"), plugs)
    assert first.certificate is not None
    assert first.certificate.verdict == "probed"
    assert 105.0 in first.certificate.subject.thresholds
    assert first.backend.engine.startswith("openvino ")
    said = without_tensorflow(tmp_path / "model", tmp_path / "kept")
    assert said.stdout.split()[:1] == [first.certificate.digest]


def test_an_engine_that_was_asked_for_is_not_replaced(tmp_path: Path) -> None:
    save_function(tmp_path, checked, of_numbers())
    with pytest.raises(ModelRefused, match="OpenVINO does not compute this model as it is"):
        loaded(tmp_path, [], "openvino")


WITHOUT_TENSORFLOW = """
import sys
for name in ("tensorflow", "keras", "h5py"):
    sys.modules[name] = None
from pathlib import Path
from batchproof_server.__main__ import main
from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.errors import ModelRefused
from batchproof_server.models.discovery import Place
from batchproof_server.models.loading import load_version
from batchproof_server.proof.settings import ProofSettings
import numpy as np
bundle, kept, *keys = map(Path, sys.argv[1:])
proof = ProofSettings(certificate_directory=str(kept), trusted_keys=tuple(map(str, keys)))
config = Config(proof=proof)
try:
    model = load_version(Place("model", 1, bundle), loading_plugs(config))
except ModelRefused as refused:
    sys.exit(" ".join(refused.findings))
spec = model.backend.signature.inputs[0]
rows = np.random.default_rng(0).random((4, *spec.row_shape), np.float32)
(answer,) = model.backend.execute({spec.name: rows}).values()
print(model.certificate.digest, answer.tobytes().hex())
"""


def test_a_kept_conversion_starts_without_tensorflow_and_gives_the_same_bits(
    bundle: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    config = Config(proof=ProofSettings(certificate_directory=str(kept)))
    first = load_version(Place("model", 1, bundle), loading_plugs(config))
    said = without_tensorflow(bundle, kept)
    spec = first.backend.signature.inputs[0]
    sizes = tuple(size or 1 for size in spec.row_shape)
    rows = np.random.default_rng(0).random((4, *sizes), np.float32)
    (answer,) = first.backend.execute({spec.name: rows}).values()
    assert first.certificate is not None
    assert said.stdout.split() == [first.certificate.digest, answer.tobytes().hex()]


def without_tensorflow(*arguments: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_signed_bundle_is_served_without_tensorflow_and_an_unsigned_one_says_what_to_do(
    bundle: Path, tmp_path: Path
) -> None:
    carried = tmp_path / "model" / "1"
    shutil.copytree(bundle, carried)
    key, public = write_keys(tmp_path)
    refused = without_tensorflow(carried, tmp_path / "kept", public)
    assert "certify BUNDLE --sign KEYFILE" in refused.stderr
    assert main(["certify", str(carried), "--sign", str(key)]) == 0
    assert without_tensorflow(carried, tmp_path / "kept", public).returncode == 0
    weights = carried / "converted" / "model.bin"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    assert without_tensorflow(carried, tmp_path / "kept", public).returncode == 1


def test_a_conversion_that_was_changed_is_made_and_proven_anew(
    bundle: Path, tmp_path: Path
) -> None:
    kept, told = tmp_path / "kept", list[Progress]()
    config = Config(proof=ProofSettings(certificate_directory=str(kept)))
    load_version(Place("model", 1, bundle), loading_plugs(config))
    weights = kept / "model-1.converted" / "model.bin"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    load_version(Place("model", 1, bundle), loading_plugs(config, told.append))
    assert "it is not what the certificate is of" in told[0].detail


def test_what_was_converted_keeps_its_weights_when_the_library_lets_go_of_them(
    tmp_path: Path,
) -> None:
    artefact = save_two_headed(tmp_path)
    known = load(keras_kind.KIND, artefact, BUCKETS)
    rows = random_rows(known, 4, 0)
    expected = known.execute(rows)
    for _ in range(5):
        backend = load(keras_kind.KIND, artefact, BUCKETS, engines=(openvino.ENGINE,))
        gc.collect()
        # What is given back is taken again, and overwritten.
        taken = [np.full(size, 1e30, np.float32) for size in range(1, 4_000)]
        for name, answer in backend.execute(rows).items():
            np.testing.assert_allclose(answer, expected[name], rtol=1e-4, atol=1e-4)
        del taken


def test_a_version_that_was_loaded_gives_back_what_its_probes_took(tmp_path: Path) -> None:
    layers = [keras.layers.Input((256, 256, 3))]
    layers += [keras.layers.Conv2D(32, 3, padding="same") for _ in range(2)]
    artefact = tmp_path / "model.keras"
    keras.Sequential([*layers, keras.layers.GlobalMaxPooling2D()]).save(artefact)
    backend = load(keras_kind.KIND, artefact, (1, 8), engines=(openvino.ENGINE,))
    assert isinstance(backend, Shrinking)
    rows = random_rows(backend, 8, 0)
    (answer,) = backend.execute(rows).values()
    process = psutil.Process()
    before_bytes = process.memory_info().rss
    backend.keep_buckets((8,))
    assert before_bytes - process.memory_info().rss > 8 * 256 * 256 * 32 * 4
    (again,) = backend.execute(rows).values()
    assert again.tobytes() == answer.tobytes()


def test_without_a_temporary_directory_the_next_engine_executes_the_model(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_directory: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "secret"))

    monkeypatch.setattr(OpenVinoSource, "write", lambda _self, directory: full(directory))
    model = loaded(bundle, [])
    assert model.backend.engine.startswith("tensorflow ")
    assert model.certificate is not None
    (passed_over,) = model.certificate.passed_over
    assert "No space left on device" in passed_over.reasons[0]
    assert "TMPDIR" in passed_over.reasons[0]
    assert "secret" not in passed_over.reasons[0]


def test_ctrl_c_reaches_a_process_whose_models_are_gone_again() -> None:
    done = subprocess.run([sys.executable, "-c", TWO_MODELS_AND_CTRL_C], check=False)
    assert done.returncode == 0
