"""Bundles of OpenVINO's own form and of ONNX: served, and what could not be read is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.backends.openvino.runtime import openvino
from batchproof_server.base.errors import ModelRefused
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import load_version
from support.onnx_files import linear_model

WEIGHTS = np.random.default_rng(3).normal(size=(6, 4)).astype(np.float32)


def loaded(directory: Path, config: Config | None = None) -> LoadedModel:
    return load_version(Place("model", 1, directory), loading_plugs(config or Config()))


def save_ir(directory: Path, answer: Any = None) -> None:
    image = openvino.opset13.parameter([-1, 6], np.float32, name="image")
    image.output(0).set_names({"image"})
    weights = openvino.opset13.constant(WEIGHTS)
    scores = openvino.opset13.matmul(image, weights, transpose_a=False, transpose_b=False)
    if answer is not None:
        scores = answer(scores)
    scores.output(0).set_names({"scores"})
    model = openvino.Model([scores], [image], "linear")
    openvino.save_model(model, directory / "model.xml", compress_to_fp16=False)


def save_onnx(directory: Path) -> None:
    (directory / "model.onnx").write_bytes(linear_model(WEIGHTS))


@pytest.mark.parametrize("save", [save_ir, save_onnx])
def test_it_is_served_under_its_names_and_the_verdict_says_that_it_was_not_read(
    tmp_path: Path, save: Any
) -> None:
    save(tmp_path)
    (tmp_path / "batchproof.toml").write_text('format = 1\noutput = { kind = "logits" }\n')
    model = loaded(tmp_path)
    certificate = model.certificate
    assert certificate is not None
    assert certificate.verdict == "probed"
    assert ["does not read graphs of OpenVINO" in each for each in certificate.undecided] == [True]
    rows = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)
    scores = model.backend.execute({"image": rows})["scores"]
    assert scores == pytest.approx(rows @ WEIGHTS, rel=1e-5)


def test_operations_with_state_or_chance_are_refused(tmp_path: Path) -> None:
    def noisy(scores: Any) -> Any:
        opset = openvino.opset13
        noise = opset.random_uniform(
            opset.constant([1, 4], np.int64), opset.constant(0.0, np.float32),
            opset.constant(1.0, np.float32), "f32",
        )  # fmt: skip
        return opset.add(scores, noise)

    save_ir(tmp_path, noisy)
    with pytest.raises(ModelRefused) as refused:
        loaded(tmp_path)
    assert "BP204 RandomUniform" in " ".join(refused.value.findings)


def test_an_onnx_model_that_names_other_files_is_refused_unopened(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(WEIGHTS.tobytes())
    bundle = tmp_path / "1"
    bundle.mkdir()
    (bundle / "model.onnx").write_bytes(linear_model(WEIGHTS, "../secret"))
    with pytest.raises(ModelRefused, match="not safe to load") as refused:
        loaded(bundle)
    assert "BP206 model.onnx: its tensors name other files" in refused.value.findings[0]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"model.onnx": b"no model"}, "model.onnx"),
        ({"model.onnx": b""}, "model.onnx"),
        ({"model.xml": b"<net/>", "model.bin": b""}, "model.xml"),
        ({"model.xml": b"no xml", "model.bin": b""}, "model.xml"),
        ({"model.xml": b"<net/>"}, "BP001 model.bin"),
    ],
)
def test_what_is_damaged_is_refused_with_its_name(
    tmp_path: Path, files: dict[str, bytes], said: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelRefused) as refused:
        loaded(tmp_path)
    text = " ".join(refused.value.findings)
    assert said in text
    assert str(tmp_path) not in text
