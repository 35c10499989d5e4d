"""The committed demo bundle is what its record says, and answers one picture as it answers many."""

import gzip
import importlib.util
import json
import re
import struct
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from support.even_kernels import skip_where_kernels_are_uneven

REPOSITORY = Path(__file__).resolve().parents[2]
BUNDLE = REPOSITORY / "examples/fashion_mnist/models/fashion-mnist/1"
SAMPLES = sorted((BUNDLE / "samples").glob("*.png"))
CLASSES = 10
BUCKET_ROWS = 8

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Run = Callable[[Floats], Floats]


@pytest.fixture(scope="module")
def model() -> Any:
    return keras.models.load_model(BUNDLE / "model.keras")


@pytest.fixture(scope="module")
def run(model: Any) -> Run:
    """Executes exactly eight rows in inference mode, as one compiled function."""
    shape = tf.TensorSpec((BUCKET_ROWS, 28, 28, 1), tf.float32)
    compiled = tf.function(lambda x: model(x, training=False), input_signature=[shape])
    return lambda rows: np.asarray(compiled(tf.constant(rows)))


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return tomllib.loads((BUNDLE / "batchproof.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((BUNDLE / "training.json").read_text("utf-8"))
    return parsed


@pytest.fixture(scope="module")
def labels() -> list[str]:
    return (BUNDLE / "labels.txt").read_text("utf-8").splitlines()


@pytest.fixture(scope="module")
def pictures() -> tuple[Bytes, Bytes]:
    with np.load(REPOSITORY / "tests/data/fashion_mnist_1000.npz") as sample:
        return sample["images"], sample["labels"]


def as_input(images: Bytes, manifest: dict[str, Any]) -> Floats:
    scale = np.float32(manifest["recipe"]["normalize"]["scale"])
    return images[..., np.newaxis].astype(np.float32) * scale


def slug(label: str) -> str:
    return re.sub(r"[^a-z]+", "-", label.lower())


def logits_of(run: Run, rows: Floats) -> Floats:
    batches = rows.reshape(-1, BUCKET_ROWS, 28, 28, 1)
    return np.concatenate([run(batch) for batch in batches])


def test_the_record_promises_the_accuracy_on_the_whole_test_set(record: dict[str, Any]) -> None:
    assert record["test"]["images"] == 10_000
    assert record["test"]["accuracy"] >= 0.925
    assert record["test"]["correct"] == round(record["test"]["accuracy"] * 10_000)
    assert record["data"]["train_images"] == 60_000
    assert len(record["history"]) == record["epochs"]


def test_the_accuracy_of_each_class_averages_to_the_whole(
    record: dict[str, Any], labels: list[str]
) -> None:
    per_class = record["test"]["accuracy_per_class"]
    assert list(per_class) == labels
    assert np.mean(list(per_class.values())) == pytest.approx(record["test"]["accuracy"], abs=1e-4)


def test_the_committed_pictures_are_a_hundred_of_each_class(
    pictures: tuple[Bytes, Bytes],
) -> None:
    images, classes = pictures
    assert images.shape == (1_000, 28, 28)
    assert images.dtype == np.uint8
    assert np.bincount(classes).tolist() == [100] * CLASSES


def test_the_model_is_as_accurate_on_the_committed_pictures_as_recorded(
    run: Run, manifest: dict[str, Any], record: dict[str, Any], pictures: tuple[Bytes, Bytes]
) -> None:
    images, classes = pictures
    answers = logits_of(run, as_input(images, manifest)).argmax(axis=1)
    # Another CPU rounds otherwise, which may turn a picture that lies on the edge of two classes.
    assert abs(int((answers == classes).sum()) - record["test_sample"]["correct"]) <= 2


def test_the_bundle_is_small_and_complete() -> None:
    files = {path for path in BUNDLE.rglob("*") if path.is_file()}
    assert sum(path.stat().st_size for path in files) < 1_000_000
    assert (BUNDLE / "model.keras").stat().st_size < 700_000
    assert {path.name for path in files - set(SAMPLES)} == {
        "model.keras",
        "batchproof.toml",
        "labels.txt",
        "training.json",
        "profile.json",
    }


def test_the_manifest_says_what_the_model_takes_and_gives(
    model: Any, manifest: dict[str, Any]
) -> None:
    assert manifest["signature"] == {
        "inputs": [_described(tensor, tensor.name) for tensor in model.inputs],
        "outputs": [
            _described(tensor, name)
            for tensor, name in zip(model.outputs, model.output_names, strict=True)
        ],
    }
    assert model.inputs[0].shape[0] is None


def _described(tensor: Any, name: str) -> dict[str, Any]:
    return {"name": name, "dtype": tensor.dtype, "shape": list(tensor.shape[1:])}


def test_the_manifest_says_logits_and_the_model_ends_without_a_softmax(
    model: Any, manifest: dict[str, Any]
) -> None:
    assert manifest["output"] == {"kind": "logits"}
    assert model.layers[-1].activation is keras.activations.linear


def test_the_model_holds_what_inference_mode_must_switch_off(model: Any) -> None:
    kinds = {type(layer).__name__ for layer in model.layers}
    assert {"BatchNormalization", "Dropout"} <= kinds


def test_the_model_is_saved_without_an_optimizer_and_within_its_size(
    model: Any, record: dict[str, Any]
) -> None:
    assert getattr(model, "optimizer", None) is None
    assert model.count_params() == record["parameters"] <= 150_000


def test_the_layer_before_the_logits_is_the_embedding(model: Any) -> None:
    assert model.get_layer("embedding").output.shape == (None, 96)


def test_a_picture_alone_in_padding_gets_the_bits_it_gets_in_company_at_any_place(
    run: Run, manifest: dict[str, Any], pictures: tuple[Bytes, Bytes]
) -> None:
    skip_where_kernels_are_uneven()
    rows = as_input(pictures[0][: 8 * BUCKET_ROWS], manifest)
    together = logits_of(run, rows)
    moved = logits_of(run, rows[::-1])[::-1]
    alone = np.stack([run(np.repeat(row[np.newaxis], BUCKET_ROWS, axis=0))[0] for row in rows])
    assert alone.tobytes() == together.tobytes()
    assert alone.tobytes() == moved.tobytes()


def test_the_samples_are_four_of_each_class_and_named_by_it(labels: list[str]) -> None:
    assert len(labels) == CLASSES
    assert [path.stem for path in SAMPLES] == [
        f"{index:02d}-{slug(label)}-{nth}"
        for index, label in enumerate(labels)
        for nth in range(1, 5)
    ]


def test_the_samples_are_grey_pictures_from_the_test_set(pictures: tuple[Bytes, Bytes]) -> None:
    images, classes = pictures
    for path in SAMPLES:
        label, nth = int(path.stem[:2]), int(path.stem[-1])
        with Image.open(path) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (28, 28))
            assert np.array_equal(np.asarray(picture), images[classes == label][nth - 1])


def test_the_model_names_nearly_all_samples(run: Run, manifest: dict[str, Any]) -> None:
    images = np.stack([np.asarray(Image.open(path)) for path in SAMPLES])
    answers = logits_of(run, as_input(images, manifest)).argmax(axis=1)
    assert (answers == [int(path.stem[:2]) for path in SAMPLES]).sum() >= 34


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "train_fashion_mnist", REPOSITORY / "examples/fashion_mnist/train.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def write_idx(path: Path, values: Bytes) -> None:
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes()))


def test_training_names_the_missing_file_and_where_to_get_the_data(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["train.py", "--data", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"train-images-idx3-ubyte\.gz is missing.*--data"):
        script.main()


def test_training_refuses_a_file_that_is_not_idx(script: ModuleType) -> None:
    with pytest.raises(ValueError, match="labels is no IDX file"):
        script.parse_idx("labels", b"\x00\x00\x0d\x01")


# Keras 3.15 saves variables through np.array, which TensorFlow 2.21 does not serve as numpy 2 asks.
@pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning:keras"
)
def test_training_makes_a_bundle_of_the_same_files_again(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    for part, rows in (("train", 250), ("t10k", 1_000)):
        images = random.integers(0, 256, (rows, 28, 28), dtype=np.uint8)
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images)
        classes = np.arange(rows, dtype=np.uint8) % CLASSES
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", classes)
    flags = ["--data", tmp_path, "--output", tmp_path / "1", "--test-sample", tmp_path / "s.npz"]
    monkeypatch.setattr("sys.argv", ["train.py", "--epochs", "1", *map(str, flags)])
    assert script.main() == 1  # noise cannot be learnt, and that is said
    made = {path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*")}
    # The profile is made by the server, of the trained model: `batchproof-server profile`.
    made_by_training = set(BUNDLE.rglob("*")) - {BUNDLE / "profile.json"}
    assert made == {path.relative_to(BUNDLE) for path in made_by_training}
    for name in ("batchproof.toml", "labels.txt"):
        assert (tmp_path / "1" / name).read_bytes() == (BUNDLE / name).read_bytes()
