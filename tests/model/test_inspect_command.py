"""``batchproof-server inspect`` on real models."""

import json
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

from batchproof_server.__main__ import main
from batchproof_server.imaging.resize import ResizeSettings
from batchproof_server.models.manifest import parse_manifest

SIZE = (32, 32, 3)


def inspected(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main(["inspect", str(path), *more]) == 0
    return capsys.readouterr().out


def manifest_in(text: str) -> str:
    return "format = 2" + text.partition("format = 2")[2].partition("Labelled pictures")[0]


def classifier(
    *inner: keras.layers.Layer, units: int = 3, activation: str | None = None
) -> keras.Model:
    pixels = keras.Input(SIZE, name="image")
    rows = pixels
    for layer in inner:
        rows = layer(rows)
    flat = keras.layers.GlobalAveragePooling2D()(rows)
    return keras.Model(
        pixels, keras.layers.Dense(units, activation=activation, name="answer")(flat)
    )


@pytest.mark.parametrize(
    ("units", "activation", "kind"),
    [
        (3, None, "logits"),
        (3, "softmax", "probabilities"),
        (3, "sigmoid", "multilabel_probabilities"),
        (1, None, "binary_logit"),
        (1, "sigmoid", "binary_probability"),
    ],
)
@pytest.mark.parametrize("door", ["keras", "exported"])
def test_the_ending_is_read_from_every_kind_of_file(
    door: str,
    units: int,
    activation: str | None,
    kind: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = classifier(units=units, activation=activation)
    path = tmp_path / "mine.keras" if door == "keras" else tmp_path / "saved"
    model.save(path) if door == "keras" else model.export(path, verbose=False)
    found = json.loads(inspected(path, capsys, "--json"))
    (output,) = found["outputs"].values()
    assert output["likely_kind"] == kind


def test_what_it_prints_is_a_manifest_that_a_bundle_can_begin_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backbone = keras.applications.MobileNetV2(
        input_shape=SIZE, weights=None, include_top=False, alpha=0.35
    )
    classifier(backbone, units=4, activation="softmax").save(tmp_path / "model.keras")
    text = inspected(tmp_path / "model.keras", capsys)
    assert "image: float32 [rows, 32, 32, 3]" in text
    assert "answer: float32 [rows, 4], ends with a softmax" in text
    assert 'a part is called "mobilenetv2_0.35_32"' in text
    assert "and 51 more: trainable=True is now trainable=False" in text
    (tmp_path / "batchproof.toml").write_text(manifest_in(text))
    assert main(["certify", str(tmp_path)]) == 0
    assert "keras-applications" not in capsys.readouterr().err


def test_layers_that_prepare_pictures_are_named_and_grey_ones_said_to_be_grey(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = keras.Input((8, 8, 1))
    scaled = keras.layers.Rescaling(1 / 255)(keras.layers.Resizing(4, 4)(pixels))
    answer = keras.layers.Dense(2)(keras.layers.Flatten()(scaled))
    keras.Model(pixels, answer).save(tmp_path / "model.keras")
    text = inspected(tmp_path, capsys)
    assert "Resizing(height=4, width=4, interpolation=bilinear)" in text
    assert "the model scales by itself: Rescaling(scale=0.00392156862745098, offset=0.0)" in text
    assert 'color = "grayscale"' in text


def test_several_outputs_are_named_each_with_its_kind_and_one_is_watched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = keras.Input(SIZE, name="image")
    means = keras.layers.GlobalAveragePooling2D()(pixels)
    animal = keras.layers.Dense(5, activation="softmax", name="animal")(means)
    is_tame = keras.layers.Dense(1, activation="sigmoid", name="is_tame")(means)
    keras.Model(pixels, [animal, is_tame, pixels]).save(tmp_path / "model.keras")
    read = parse_manifest(manifest_in(inspected(tmp_path / "model.keras", capsys)))
    assert {name: head.kind for name, head in read.outputs.items()} == {
        "animal": "probabilities",
        "is_tame": "binary_probability",
    }
    assert read.output.name == "animal"


def test_the_form_of_the_input_is_in_the_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = keras.Input((1, 8, 8), dtype="uint8")
    means = keras.layers.GlobalAveragePooling2D(data_format="channels_first")(
        keras.layers.Rescaling(1 / 255)(pixels)
    )
    keras.Model(pixels, keras.layers.Dense(2)(means)).save(tmp_path / "model.keras")
    recipe = parse_manifest(manifest_in(inspected(tmp_path / "model.keras", capsys))).recipe
    assert recipe is not None
    assert (recipe.layout, recipe.color, recipe.dtype) == ("channels_first", "grayscale", "uint8")


def test_a_model_that_resizes_itself_gets_a_recipe_that_does_it_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = keras.Input((None, None, 3))
    means = keras.layers.GlobalAveragePooling2D()(keras.layers.Resizing(6, 9)(pixels))
    keras.Model(pixels, keras.layers.Dense(2)(means)).save(tmp_path / "model.keras")
    recipe = parse_manifest(manifest_in(inspected(tmp_path / "model.keras", capsys))).recipe
    assert recipe is not None
    assert recipe.resize == ResizeSettings(
        height=6, width=9, library="tensorflow", method="bilinear", rounding="none"
    )


def test_what_cannot_be_opened_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.h5").write_bytes(b"HDF")
    assert main(["inspect", str(tmp_path / "old.h5")]) == 1
    assert "`batchproof-server pack old.h5` judges it" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "nothing.keras")]) == 1
    assert "expected one model: model.keras, saved_model.pb" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path)]) == 1


def test_nothing_unsafe_is_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(x: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(str(tmp_path / "written"), "text")]):
            return {"y": tf.identity(x)}

    module = tf.Module()
    spec = tf.TensorSpec((None, 4), "float32", "x")
    module.answer = tf.function(answer, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.answer)
    assert main(["inspect", str(tmp_path / "saved")]) == 1
    assert "BP206" in capsys.readouterr().err
    assert not (tmp_path / "written").exists()
