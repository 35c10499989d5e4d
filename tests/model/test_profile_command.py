"""``profile`` on real models: the embedded one, and a SavedModel."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from batchproof_server.__main__ import main
from batchproof_server.backends.keras.penultimate import penultimate
from batchproof_server.drift.counters import Ruler
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.profile_form import parse_profile
from support.model_fixtures import save_function
from support.proof_fixtures import functional, layers

ROOT = Path(__file__).resolve().parents[2]
EMBEDDED = ROOT / "examples/fashion_mnist/models/fashion-mnist/1"
PICTURES = ROOT / "tests/data/fashion_mnist_1000.npz"
MANIFEST = """
format = 1
output = { kind = "logits" }
recipe = { color = "grayscale", normalize = { scale = 0.00392156862745098, offset = 0.0 } }
batching = { buckets_rows = [2, 8], max_queued_rows = 16 }
"""

Captured = pytest.CaptureFixture[str]


def build(bundle: Path, out: Path, *more: str) -> ReferenceProfile:
    given = ["profile", str(bundle), "--data", str(PICTURES), "-o", str(out), *more]
    assert main(given) == 0
    return parse_profile(out.read_text())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[ReferenceProfile, Path]:
    """The profile of the tests' 1,000 images, with samples beside it."""
    folder = tmp_path_factory.mktemp("profile")
    return build(EMBEDDED, folder / "profile.json", "--samples", "20"), folder


def test_the_embedded_model_is_profiled_by_what_the_server_answers(
    built: tuple[ReferenceProfile, Path],
) -> None:
    made, _ = built
    assert made.pictures == 1000
    assert sum(each.right for each in made.classes) == 938
    assert {each.pictures for each in made.classes} == {100}
    for signal in made.signals.values():
        assert sum(signal.counts) == 1000
    assert len(made.signals) == 10
    assert 0.8 < made.calibration.temperature < 1.6


def test_the_shipped_profile_is_of_the_shipped_model_and_its_counts_are_like_the_others(
    built: tuple[ReferenceProfile, Path], capsys: Captured
) -> None:
    made, _ = built
    shipped = parse_profile((EMBEDDED / "profile.json").read_text())
    assert main(["profile", "show", str(EMBEDDED / "profile.json")]) == 0
    assert "PROFILE of 5,000 pictures" in capsys.readouterr().out
    assert shipped.model_digest == made.model_digest
    assert shipped.recipe_digest == made.recipe_digest
    for name, signal in shipped.signals.items():
        shift = abs(made.signals[name].mean - signal.mean)
        assert shift <= 0.15 * signal.scale
    assert Ruler(shipped).names == Ruler(made).names


def test_samples_have_the_embedding_that_keras_computes(
    built: tuple[ReferenceProfile, Path],
) -> None:
    _, folder = built
    listed = json.loads((folder / "reference/samples.json").read_text())
    embeddings = np.load(folder / "reference/embeddings.npy")
    assert listed["layer"] == "embedding"
    assert embeddings.shape == (20, 96)
    assert {each["label"] for each in listed["samples"]} == {
        line for line in (EMBEDDED / "labels.txt").read_text().splitlines() if line
    }
    model: Any = keras.saving.load_model(EMBEDDED / "model.keras", compile=False)
    layer = keras.Model(model.inputs, model.get_layer("embedding").output)
    with np.load(PICTURES) as data:
        place = int(listed["samples"][7]["name"].removeprefix("image "))
        row = data["images"][place].reshape(1, 28, 28, 1).astype(np.float32) / 255
    expected = np.asarray(layer([row], training=False))
    assert embeddings[7] == pytest.approx(expected[0], abs=1e-4)


def test_a_saved_model_gets_thumbnails_and_the_reason_why_no_embeddings(
    tmp_path: Path, capsys: Captured
) -> None:
    weights = tf.constant(np.random.default_rng(0).normal(size=(784, 10)), tf.float32)

    def answer(image: Any) -> dict[str, Any]:
        return {"scores": tf.matmul(tf.reshape(image, (-1, 784)), weights)}

    spec = tf.TensorSpec((None, 28, 28, 1), tf.float32, name="image")
    bundle = save_function(tmp_path, answer, spec)
    (bundle / "batchproof.toml").write_text(MANIFEST)
    made = build(bundle, bundle / "profile.json", "--samples", "5", "--limit", "300")
    assert made.pictures == 300
    assert "no embeddings: " in capsys.readouterr().out
    assert not (bundle / "reference/embeddings.npy").exists()
    assert len(list((bundle / "reference").glob("*.png"))) == 5
    # The folder and the profile are no part of the artefact.
    assert main(["profile", "show", str(bundle / "profile.json")]) == 0


def test_the_layer_before_the_scores_is_found_behind_activations_and_dropout() -> None:
    model = functional(
        layers.Flatten(),
        layers.Dense(5, name="seen"),
        layers.Dropout(0.5),
        layers.Dense(3, name="scores"),
        layers.Softmax(),
        shape=(4, 4, 1),
    )
    found = penultimate(model)
    assert found is not None
    assert found.layer == "seen"
    row = np.random.default_rng(0).normal(size=(2, 4, 4, 1)).astype(np.float32)
    assert found(row).shape == (2, 5)


def test_a_feature_map_before_the_scores_becomes_its_mean() -> None:
    model = functional(
        layers.Conv2D(6, 3, name="seen"), layers.GlobalAveragePooling2D(), shape=(8, 8, 1)
    )
    found = penultimate(model)
    assert found is not None
    assert found(np.ones((2, 8, 8, 1), np.float32)).shape == (2, 6)


def test_a_model_whose_scores_have_two_sources_or_one_layer_has_no_such_layer() -> None:
    image = keras.Input((4,))
    both = layers.Add()([layers.Dense(3)(image), layers.Dense(3)(image)])
    assert penultimate(keras.Model(image, both)) is None
    assert penultimate(keras.Sequential([keras.Input((4,)), layers.Softmax()])) is None
