"""A real Keras model with independent labels, from its file to evaluation and profile."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from batchproof_server.__main__ import main
from batchproof_server.drift.profile_form import parse_profile, profile_json

PICTURES = Path(__file__).resolve().parents[1] / "data/fashion_mnist_1000.npz"
MANIFEST = """
format = 1
output = { kind = "multilabel_logits", thresholds = [0.5, 0.5, 0.6] }
recipe = { color = "grayscale", normalize = { scale = 0.00392156862745098, offset = 0.0 } }
batching = { buckets_rows = [2, 8], max_queued_rows = 64 }
"""
# Shoe, upper part of the body, has sleeves.
LABELS = ((5, 7, 9), (0, 2, 3, 4, 6), (2, 4, 6))
COUNT = 200

Captured = pytest.CaptureFixture[str]


def sets(classes: Any) -> Any:
    return np.stack([np.isin(classes, members) for members in LABELS], axis=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("labels") / "data.npz"
    with np.load(PICTURES) as known:
        np.savez(file, images=known["images"][:COUNT], labels=sets(known["labels"][:COUNT]))
    return file


@pytest.fixture(scope="module")
def bundle(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.layers.Input((28, 28, 1)),
            keras.layers.AveragePooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(24, activation="relu"),
            keras.layers.Dense(3),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    with np.load(data) as known:
        images, labels = known["images"][..., None] / 255.0, known["labels"].astype(np.float32)
    model.fit(images, labels, epochs=15, batch_size=32, verbose=0)
    folder = tmp_path_factory.mktemp("model") / "1"
    folder.mkdir()
    (folder / "batchproof.toml").write_text(MANIFEST)
    (folder / "labels.txt").write_text("shoe\nupper\nsleeves\n")
    model.save(folder / "model.keras")
    return folder


def test_it_is_evaluated_with_the_figures_of_each_label(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    assert main(["evaluate", str(bundle), "--no-recipe-search", "--data", str(data), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["verdict"], result["subject"]["verdict"]) == ("same", "proven")
    assert (result["confusion"], result["second_class"]) == ([], None)
    found = result["several_labels"]
    assert [each["label"] for each in found["labels"]] == ["shoe", "upper", "sleeves"]
    with np.load(data) as known:
        there = known["labels"].sum(axis=0).tolist()
    assert [each["pictures"] for each in found["labels"]] == there
    assert found["labels"][0]["figures"]["roc_auc"] > 0.95
    assert found["label_accuracy"] > result["paths"][0]["accuracy"] > 0.7
    assert (
        main(["evaluate", str(bundle), "--no-recipe-search", "--data", str(data), "--limit", "40"])
        == 0
    )
    assert "all, each alike (micro)" in capsys.readouterr().out


def test_its_profile_is_of_sets_of_labels(bundle: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "profile.json"
    assert main(["profile", str(bundle), "--data", str(data), "-o", str(out)]) == 0
    profile = parse_profile(out.read_text())
    assert profile.is_multi_label
    assert [each.label for each in profile.classes] == ["shoe", "upper", "sleeves", "(none)"]
    assert sum(each.answered for each in profile.classes) == COUNT
    assert {"labels", "confidence", "energy"} <= set(profile.signals)
    assert sum(profile.calibration.right) == round(profile.accuracy_ratio * COUNT)
    assert parse_profile(profile_json(profile)) == profile
    (bundle / "profile.json").write_text(out.read_text())
    assert main(["profile", "show", str(bundle / "profile.json"), "--json"]) == 0
    merged = tmp_path / "merged.json"
    assert main(["profile", "merge", str(out), str(out), "-o", str(merged)]) == 0
    assert parse_profile(merged.read_text()).accuracy_ratio == profile.accuracy_ratio
    (bundle / "profile.json").unlink()


def test_data_of_one_class_a_picture_and_studies_of_augmentation_are_refused(
    bundle: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    classes = tmp_path / "classes.npz"
    np.savez(classes, images=np.zeros((3, 28, 28), np.uint8), labels=np.arange(3))
    assert main(["evaluate", str(bundle), "--no-recipe-search", "--data", str(classes)]) == 2
    assert "expected a CSV file with the columns file,labels" in capsys.readouterr().err
    assert main(["tta", "evaluate", str(bundle), "--data", str(data), "--policies", "flip"]) == 2
    assert "compare single classes" in capsys.readouterr().err
