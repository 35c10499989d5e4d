"""Real Keras models with one output, from their file to evaluation, profile and augmentation."""

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from batchproof_server.__main__ import main
from batchproof_server.drift.profile_form import parse_profile

PICTURES = Path(__file__).resolve().parents[1] / "data/fashion_mnist_1000.npz"
MANIFEST = """
format = 1
output = {{ kind = "binary_{kind}" }}
recipe = {{ color = "grayscale", normalize = {{ scale = 0.00392156862745098, offset = 0.0 }} }}
batching = {{ buckets_rows = [2, 8], max_queued_rows = 64 }}
"""
SHOES = (5, 7, 9)  # sandal, sneaker, ankle boot

Captured = pytest.CaptureFixture[str]
Array = NDArray[Any]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 pictures, labelled by whether they show a shoe."""
    file = tmp_path_factory.mktemp("shoes") / "shoes.npz"
    with np.load(PICTURES) as known:
        images, labels = known["images"], known["labels"]
    kept = np.arange(160)
    np.savez(file, images=images[kept], labels=np.isin(labels, SHOES)[kept].astype(np.int64))
    return file


def train(activation: str | None, data: Path) -> Any:
    """A small model with one output."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.layers.Input((28, 28, 1)),
            keras.layers.AveragePooling2D(4),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(1, activation=activation),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=activation is None)
    model.compile(keras.optimizers.Adam(0.02), loss)
    with np.load(data) as known:
        images, labels = known["images"][..., None] / 255.0, known["labels"]
    model.fit(images, labels, epochs=12, batch_size=32, verbose=0)
    return model


@pytest.fixture(scope="module", params=["logit-keras", "probability-keras", "logit-saved-model"])
def bundle(
    request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A bundle of each kind; the labels are no shoe and shoe."""
    kind, _, form = request.param.partition("-")
    folder = tmp_path_factory.mktemp(request.param) / "1"
    folder.mkdir()
    (folder / "batchproof.toml").write_text(MANIFEST.format(kind=kind))
    (folder / "labels.txt").write_text("other\nshoe\n")
    model = train(None if kind == "logit" else "sigmoid", data)
    if form == "keras":
        model.save(folder / "model.keras")
    else:
        model.export(folder, verbose=False)
    return folder


def document(capsys: Captured) -> Any:
    return json.loads(capsys.readouterr().out)


def test_it_is_evaluated_with_the_figures_of_its_second_class(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    assert main(["evaluate", str(bundle), "--no-recipe-search", "--data", str(data), "--json"]) == 0
    result = document(capsys)
    assert (result["verdict"], result["subject"]["verdict"]) == ("same", "proven")
    assert result["subject"]["labels"] == ["other", "shoe"]
    assert result["paths"][0]["accuracy"] > 0.9
    figures = result["second_class"]
    assert figures["roc_auc"] > 0.95
    cells = {(each["true"], each["answer"]): each["pictures"] for each in result["confusion"]}
    found = cells[1, 1]
    assert figures["recall"] == pytest.approx(found / (found + cells.get((1, 0), 0)))
    assert figures["precision"] == pytest.approx(found / (found + cells.get((0, 1), 0)))


def test_the_report_names_the_second_class(bundle: Path, data: Path, capsys: Captured) -> None:
    assert (
        main(["evaluate", str(bundle), "--no-recipe-search", "--data", str(data), "--limit", "40"])
        == 0
    )
    assert '  Class "shoe": precision ' in capsys.readouterr().out


def test_it_is_profiled_as_two_classes(bundle: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "profile.json"
    assert main(["profile", str(bundle), "--data", str(data), "-o", str(out)]) == 0
    profile = parse_profile(out.read_text())
    counts = profile.class_groups().counts
    assert len(counts) == 2
    assert counts.sum() == 160
    is_logit = "binary_logit" in (bundle / "batchproof.toml").read_text()
    assert ("energy" in profile.signals) == is_logit
    assert {"class", "confidence", "entropy", "margin"} <= {"class", *profile.signals}


def test_its_augmentation_is_evaluated(bundle: Path, data: Path, capsys: Captured) -> None:
    given = ["--data", str(data), "--limit", "60", "--policies", "flip", "--json"]
    assert main(["tta", "evaluate", str(bundle), *given, "--aggregations", "mean,logit_mean"]) == 0
    result = document(capsys)
    assert {trial["aggregation"] for trial in result["trials"]} == {"mean", "logit_mean"}
    assert result["plain"]["figures"]["accuracy"] > 0.9


def test_with_a_threshold_evaluation_and_profile_go_by_it(
    bundle: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    careful = tmp_path / "1"
    shutil.copytree(bundle, careful)
    manifest = careful / "batchproof.toml"
    manifest.write_text(
        manifest.read_text().replace('" }\nrecipe', '", threshold = 0.97 }\nrecipe')
    )
    found = []
    for each in (bundle, careful):
        assert (
            main(["evaluate", str(each), "--no-recipe-search", "--data", str(data), "--json"]) == 0
        )
        found.append(document(capsys))
    plain, result = found
    assert result["verdict"] == "same"
    assert result["second_class"]["recall"] < plain["second_class"]["recall"]
    assert result["second_class"]["precision"] >= plain["second_class"]["precision"]
    assert result["second_class"]["roc_auc"] == plain["second_class"]["roc_auc"]
    out = tmp_path / "profile.json"
    assert main(["profile", str(careful), "--data", str(data), "-o", str(out)]) == 0
    answered = sum(each["pictures"] for each in result["confusion"] if each["answer"] == 1)
    profile = parse_profile(out.read_text())
    assert sum(each.right for each in profile.classes) == result["paths"][0]["right"]
    assert profile.class_groups().counts.tolist() == [160 - answered, answered]
    capsys.readouterr()
    given = ["--data", str(data), "--limit", "60", "--policies", "flip", "--json"]
    assert main(["tta", "evaluate", str(careful), *given]) == 0
    limited = document(capsys)["plain"]["figures"]["accuracy"]
    assert (
        main(
            [
                "evaluate",
                str(careful),
                "--no-recipe-search",
                "--data",
                str(data),
                "--limit",
                "60",
                "--json",
            ]
        )
        == 0
    )
    assert document(capsys)["paths"][0]["accuracy"] == limited
