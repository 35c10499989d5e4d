"""``diagnose`` of the embedded model, which has BatchNorm and Dropout."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batchproof_server.__main__ import main
from batchproof_server.base.backend import EngineSettings

BUNDLE = Path(__file__).resolve().parents[2] / "examples/fashion_mnist/models/fashion-mnist/1"
PICTURE = BUNDLE / "samples/06-shirt-1.png"


def test_scores_of_batch_norm_in_training_mode_are_known_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from batchproof_server.backends.keras.source import open_keras  # noqa: PLC0415 - TensorFlow

    source = open_keras(BUNDLE / "model.keras", EngineSettings())
    levels = np.asarray(Image.open(io.BytesIO(PICTURE.read_bytes())), np.float32)
    row = levels[np.newaxis, :, :, np.newaxis] / np.float32(255)
    scores = source.in_training_mode({"image": row}, statistics=True, dropout=False)["logits"]
    np.save(tmp_path / "scores.npy", scores)
    assert main(["diagnose", str(BUNDLE), str(PICTURE), "--json",
                 "--scores", str(tmp_path / "scores.npy")]) == 0  # fmt: skip
    (found,) = json.loads(capsys.readouterr().out)["diagnoses"]
    assert found["causes"][0]["cause"] == "mode:statistics"
    assert len(found["neighbours"]) == 4
    assert {each["family"] for each in found["curves"]} >= {"noise", "rotation", "blur"}
    texts = [one["evidence"] for each in found["checks"] for one in each["findings"]]
    assert any(text.startswith("tensorflow 2") and "Shirt" in text for text in texts)
    assert any(text.startswith("Dropout drawn 50 times") for text in texts)
    for way in ("model.predict", "the model called as a function"):
        assert any(text.startswith(f"Keras, {way}: Shirt") for text in texts)
    assert np.shape(found["occlusion"]) == (8, 8)
