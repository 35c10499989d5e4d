"""``evaluate`` on real models: the embedded one, one that needs repair, one beyond repair."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from batchproof_server.__main__ import main
from batchproof_server.application.config import Config
from support.proof_fixtures import functional, layers, trained

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


def evaluate(bundle: Path, limit: int, *more: str) -> int:
    given = ["evaluate", str(bundle), "--data", str(PICTURES), "--limit", str(limit), *more]
    return main(given)


def document(capsys: Captured) -> Any:
    return json.loads(capsys.readouterr().out)


def batch_dependent() -> Any:
    """Ten logits of 28 x 28 pixels, normalised by whatever else is in the batch."""
    keras.utils.set_random_seed(5)
    return functional(
        layers.Conv2D(4, 5, strides=3),
        trained(layers.BatchNormalization()),
        layers.Flatten(),
        layers.Dense(10, name="scores"),
        shape=(28, 28, 1),
    )


def write_bundle(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "batchproof.toml").write_text(MANIFEST)
    return directory


def test_the_embedded_model_answers_alone_as_in_any_batch_and_as_in_a_notebook(
    capsys: Captured,
) -> None:
    assert evaluate(EMBEDDED, 200, "--json") == 0
    result = document(capsys)
    assert result["verdict"] == "same"
    single, *together, predict = result["paths"]
    assert single["accuracy"] > 0.9
    assert 0 <= single["ece"] < 0.1
    assert [path["batch_rows"] for path in together] == [1, 2, 8, 32]
    for path in together:
        assert path["difference"]["bits_pictures"] == 0
        assert path["difference"]["must_agree_pictures"] == 200
        assert path["nll"] == single["nll"]
    assert predict["path"] == "keras_predict"
    assert predict["difference"]["top1_pictures"] == 0
    assert predict["difference"]["greatest"] < 1e-4
    assert not result["keras_note"] or result["keras_note"].startswith("rounding")


def test_a_model_that_looks_at_its_neighbours_exits_1(tmp_path: Path, capsys: Captured) -> None:
    bundle = write_bundle(tmp_path / "neighbours" / "1")
    batch_dependent().export(bundle, verbose=False)
    assert evaluate(bundle, 40) == 1
    assert "REFUSED" in capsys.readouterr().err
    assert evaluate(bundle, 40, "--allow-unproven", "--json") == 1
    result = document(capsys)
    assert (result["verdict"], result["subject"]["verdict"]) == ("different", "unproven")
    worst = result["paths"][-1]["difference"]
    assert worst["broken_pictures"] == worst["must_agree_pictures"] > 0
    assert worst["greatest"] > 0.01
    assert any("get other bits than alone" in failure for failure in result["failures"])
    assert result["keras_note"].startswith("not available: 1 is no .keras file")


def test_a_repaired_model_agrees_with_itself_and_with_predict_where_keras_does_well(
    tmp_path: Path, capsys: Captured
) -> None:
    bundle = write_bundle(tmp_path / "repaired" / "1")
    batch_dependent().save(bundle / "model.keras")
    assert evaluate(bundle, 20, "--batch-sizes", "2,8", "--json") == 0
    *together, predict = document(capsys)["paths"][1:]
    assert [path["difference"]["bits_pictures"] for path in together] == [0, 0]
    assert predict["difference"]["top1_pictures"] == 0


def test_a_notebook_that_normalises_by_the_batch_is_told_why_and_exits_1(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from batchproof_server.backends.keras import source as backend  # noqa: PLC0415 - TensorFlow

    def predict(model: Any, inputs: Any, _batch_rows: int) -> Any:
        """What versions of Keras do whose ``predict`` forgets that it is no training."""
        return {"scores": np.asarray(model(inputs["image"], training=True))}

    monkeypatch.setattr(backend, "predict", predict)
    bundle = write_bundle(tmp_path / "repaired" / "1")
    batch_dependent().save(bundle / "model.keras")
    assert evaluate(bundle, 40, "--batch-sizes", "2,8") == 1
    said = capsys.readouterr().out
    assert "Keras predict: predict runs the file as it was saved" in said
    assert "BP104" in said
    (line,) = [line for line in said.splitlines() if line.startswith("  FAILED")]
    assert "Keras predict, 32 together:" in line
    assert "get another class than alone" in line


def test_a_predict_that_fails_is_a_note(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from batchproof_server.backends.keras import source as backend  # noqa: PLC0415 - TensorFlow

    monkeypatch.setattr(backend, "predict", lambda *_: {})
    bundle = write_bundle(tmp_path / "repaired" / "1")
    batch_dependent().save(bundle / "model.keras")
    assert evaluate(bundle, 3, "--json") == 0
    result = document(capsys)
    assert result["keras_note"] == "not available: predict failed: 'scores'"
    assert {path["path"] for path in result["paths"]} == {"single", "in_process"}


def test_what_keras_cannot_load_as_it_is_does_not_end_the_evaluation(tmp_path: Path) -> None:
    from batchproof_server.commands.evaluate.command import open_keras  # noqa: PLC0415 - TensorFlow
    from batchproof_server.models.bundle import read_bundle  # noqa: PLC0415 - TensorFlow

    bundle = write_bundle(tmp_path / "torn" / "1")
    (bundle / "model.keras").write_bytes(b"PK torn")
    source, reason = open_keras(read_bundle("torn", 1, bundle), Config())
    assert source is None
    assert reason.startswith("not available: ")


def test_predict_is_what_the_model_itself_answers() -> None:
    from batchproof_server.backends.keras.source import predict  # noqa: PLC0415 - TensorFlow

    model = batch_dependent()
    rows = np.random.default_rng(0).random((5, 28, 28, 1), np.float32)
    assert np.array_equal(
        predict(model, {"image": rows}, 2)["scores"], model.predict(rows, batch_size=2, verbose=0)
    )
