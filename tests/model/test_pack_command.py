"""``batchproof-server pack`` on models of every usual kind, each saved as a user would save it."""

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]  # it ships no types
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from batchproof.command_line import INTERRUPTED
from batchproof_server.__main__ import main
from batchproof_server.base.signature import Array
from batchproof_server.models.bundle import Bundle, read_bundle

Captured = pytest.CaptureFixture[str]
layers = keras.layers

GARMENTS = Path(__file__).resolve().parents[2] / "examples/garments/models/garments/1"
SIDE = 12
COLOURS = ("blue", "green", "red")
PLACES = (2, 1, 0)
PICTURES = 42


def dense(
    units: int, kernel: Array, bias: float, activation: str | None, name: str = "answer"
) -> Any:
    """Answers that are known: a kernel [channels, units] over the means of the channels."""
    layer = layers.Dense(units, activation=activation, name=name)
    layer.build((None, kernel.shape[0]))
    layer.set_weights([kernel.astype("f4"), np.full(units, bias, "f4")])
    return layer


def colour_kernel(scale: float) -> Array:
    kernel = np.zeros((3, 3))
    kernel[PLACES, range(3)] = scale
    return kernel


def colours(scale: float, activation: str | None, *before: Any, bias: float = 0.0) -> keras.Model:
    """Which channel is the brightest, of levels that ``scale`` makes logits of."""
    image = rows = keras.Input((SIDE, SIDE, 3), name="image")
    for layer in before:
        rows = layer(rows)
    means = layers.GlobalAveragePooling2D()(rows)
    return keras.Model(image, dense(3, colour_kernel(scale), bias, activation)(means))


def shares() -> keras.Model:
    """Of shares 0..1 of a level, and of nothing else: levels themselves are all alike to it."""
    image = keras.Input((SIDE, SIDE, 3), name="image")
    means = layers.GlobalAveragePooling2D()(image)
    dark = dense(3, -np.eye(3), 1.0, "relu", "dark")(means)
    return keras.Model(image, dense(3, colour_kernel(-7.65), 0.0, "softmax")(dark))


def brightness(activation: str | None) -> keras.Model:
    """Whether a picture is dark or light, of levels 0..255."""
    image = keras.Input((SIDE, SIDE, 3), name="image")
    means = layers.GlobalAveragePooling2D()(image)
    return keras.Model(image, dense(1, np.full((3, 1), 0.02), -7.5, activation)(means))


def channels_first() -> keras.Model:
    image = keras.Input((3, SIDE, SIDE), name="image")
    means = layers.GlobalAveragePooling2D(data_format="channels_first")(image)
    return keras.Model(image, dense(3, colour_kernel(0.03), 0.0, "softmax")(means))


def grey() -> keras.Model:
    image = keras.Input((SIDE, SIDE, 1), name="image")
    means = layers.GlobalAveragePooling2D()(image)
    kernel = np.array([[-0.03, 0.03]])
    both = layers.Dense(2, activation="softmax", name="answer")
    both.build((None, 1))
    both.set_weights([kernel.astype("f4"), np.array([3.75, -3.75], "f4")])
    return keras.Model(image, both(means))


def any_size() -> keras.Model:
    image = keras.Input((None, None, 3), name="image")
    means = layers.GlobalAveragePooling2D()(layers.Resizing(SIDE, SIDE)(image))
    return keras.Model(image, dense(3, colour_kernel(0.03), 0.0, None)(means))


@dataclass(frozen=True)
class Kind:
    """A model, and what its bundle must say."""

    make: Callable[[], keras.Model]
    output: str
    data: str = "colours"
    file: str = "mine.keras"
    divisor: float | None = None
    layout: str = "channels_last"
    color: str = "rgb"


KINDS = {
    "logits of levels": Kind(lambda: colours(0.03, None), "logits"),
    "softmax of levels": Kind(lambda: colours(0.03, "softmax"), "probabilities"),
    "softmax of shares": Kind(shares, "probabilities", divisor=255.0),
    "own rescaling": Kind(
        lambda: colours(7.65, "softmax", layers.Rescaling(1 / 255)), "probabilities"
    ),
    "sigmoid": Kind(lambda: brightness("sigmoid"), "binary_probability", "light"),
    "one logit": Kind(lambda: brightness(None), "binary_logit", "light"),
    "several sigmoids": Kind(
        lambda: colours(0.06, "sigmoid", bias=-7.0), "multilabel_probabilities", "sets"
    ),
    "several logits": Kind(lambda: colours(0.06, None, bias=-7.0), "multilabel_logits", "sets"),
    "channels first": Kind(channels_first, "probabilities", layout="channels_first"),
    "grey": Kind(grey, "probabilities", "light", color="grayscale"),
    "any size": Kind(any_size, "logits"),
    "SavedModel": Kind(lambda: colours(0.03, "softmax"), "probabilities", file="mine"),
    "HDF5": Kind(lambda: colours(0.03, "softmax"), "probabilities", file="mine.h5"),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three kinds of labelled pictures, some of them labelled wrongly as in life."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(4)
    for number in range(PICTURES):
        pixels = random.integers(0, 60, (SIDE, SIDE, 3)).astype(np.uint8)
        true = number % 3
        pixels[..., PLACES[true]] += np.uint8(150)
        label = COLOURS[(true + (number % 21 == 0)) % 3]
        write(folder / "colours" / label / f"{number}.png", pixels)
        light = number % 2
        level = random.normal(85 + 80 * light, 25)
        pixels = np.clip(random.normal(level, 20, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
        write(folder / "light" / ("dark", "light")[light] / f"{number}.png", pixels)
    (folder / "sets").mkdir()
    (folder / "sets" / "truth.csv").write_text("\n".join(sets(folder / "sets", random)))
    return folder


def write(file: Path, pixels: Array) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def sets(folder: Path, random: np.random.Generator) -> Iterator[str]:
    """Each channel is bright or not, whatever the others are."""
    yield f"file,{','.join(COLOURS)}"
    for number in range(PICTURES):
        pixels = random.integers(0, 60, (SIDE, SIDE, 3)).astype(np.uint8)
        truth = [int(random.random() < 0.5) for _ in COLOURS]
        for place, is_true in zip(PLACES, truth, strict=True):
            pixels[..., place] += np.uint8(160 * is_true)
        write(folder / f"{number}.png", pixels)
        yield f"{number}.png,{','.join(map(str, truth))}"


def saved(kind: Kind, folder: Path) -> Path:
    path = folder / kind.file
    model = kind.make()
    if path.suffix:
        model.save(path)
    else:
        model.export(path, verbose=False)
    return path


def packed(model: Path, out: Path, *more: str) -> Bundle:
    assert main(["pack", str(model), "--out", str(out), *more]) == 0
    return read_bundle("mine", 1, out / "mine" / "1")


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_model_is_packed_with_one_command(
    name: str, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    kind = KINDS[name]
    labelled = data / kind.data
    labelled = labelled / "truth.csv" if kind.data == "sets" else labelled

    bundle = packed(saved(kind, tmp_path), tmp_path / "models", "--data", str(labelled))

    said = capsys.readouterr().out
    recipe = bundle.manifest.recipe
    assert recipe is not None
    assert bundle.manifest.output.kind == kind.output, said
    assert bundle.labels == (("dark", "light") if kind.data == "light" else COLOURS)
    assert (recipe.layout or "channels_last") == kind.layout
    assert (recipe.color or "rgb") == kind.color
    divisor = None if recipe.normalize is None else recipe.normalize.divisor
    assert divisor == kind.divisor, said
    directory = tmp_path / "models" / "mine" / "1"
    certificate: Any = json.loads((directory / "certificate.json").read_text())
    assert certificate["verdict"] in ("proven", "probed")
    assert len(list((directory / "samples").iterdir())) == 20
    assert [each.name for each in (tmp_path / "models").iterdir()] == ["mine"]


def everything(top: Path) -> list[str]:
    return sorted(path.relative_to(top).as_posix() for path in top.rglob("*"))


def refused(model: Path, out: Path, capsys: Captured, *more: str, code: int = 1) -> str:
    """What is said of a model that is not packed; nothing is left of the attempt."""
    out.mkdir(exist_ok=True)
    before = everything(out)
    assert main(["pack", str(model), "--out", str(out), *more]) == code
    assert everything(out) == before
    return capsys.readouterr().err


def hdf5(path: Path, config: object) -> Path:
    """As Keras 2 would have saved it, but for its weights."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.15.0"
    return path


LAMBDA = {
    "class_name": "Sequential",
    "config": {"name": "s", "layers": [{"class_name": "Lambda", "config": {"name": "run_me"}}]},
}


def test_hdf5_that_carries_code_is_refused_before_keras_sees_it(
    tmp_path: Path, capsys: Captured
) -> None:
    said = refused(hdf5(tmp_path / "old.h5", LAMBDA), tmp_path / "models", capsys)
    assert 'BP012 layer "run_me": it is a Lambda layer' in said
    assert """python -c "import keras; keras.saving.load_model('old.h5', compile=False)""" in said


def test_hdf5_that_leads_out_of_its_file_or_is_none_is_refused(
    tmp_path: Path, capsys: Captured
) -> None:
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["weights"] = h5py.ExternalLink("/etc/passwd", "/")
    assert "BP014" in refused(tmp_path / "old.h5", tmp_path / "models", capsys)
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF")
    assert "BP002 cut.h5" in refused(tmp_path / "cut.h5", tmp_path / "models", capsys)


def test_a_file_of_keras_2_is_refused_with_the_lines_that_convert_it(
    tmp_path: Path, capsys: Captured
) -> None:
    config = {"module": "tf_keras.src.engine.functional", "class_name": "Functional", "config": {}}
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", hdf5(tmp_path / "weights.h5", {}).read_bytes())
    said = refused(tmp_path / "old.keras", tmp_path / "models", capsys)
    assert "old.keras: Keras 2.15.0 saved it, and Keras 3 cannot read it" in said
    assert "pip install tf_keras" in said
    assert "tf_keras.models.load_model('old.keras', compile=False, safe_mode=True)" in said
    assert "batchproof-server pack old.h5" in said


def test_a_model_that_writes_files_is_refused_unexecuted(tmp_path: Path, capsys: Captured) -> None:
    def answer(x: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(str(tmp_path / "written"), "text")]):
            return {"y": tf.reduce_mean(x, (1, 2))}

    module = tf.Module()
    spec = tf.TensorSpec((None, 4, 4, 3), "float32", "x")
    module.answer = tf.function(answer, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.answer)
    assert "BP206" in refused(tmp_path / "saved", tmp_path / "models", capsys)
    assert not (tmp_path / "written").exists()


def test_nothing_is_overwritten_and_what_cannot_be_used_is_said_at_once(
    data: Path, tmp_path: Path, capsys: Captured
) -> None:
    model, out = tmp_path / "mine.keras", tmp_path / "models"
    colours(0.03, None).save(model)
    (out / "mine" / "1").mkdir(parents=True)
    labelled = ["--data", str(data / "colours")]
    assert "exists already" in refused(model, out, capsys, *labelled, code=2)
    again = ["--version", "2"]
    (tmp_path / "labels.txt").write_text("a\nb\n")
    few = ["--labels", str(tmp_path / "labels.txt")]
    assert "has 3 classes; name all" in refused(model, out, capsys, *again, *few, code=2)
    for more, word in (
        (["--recipe", "torch"], 'unknown "torch"'),
        (["--version", "0"], "expected 1 or more"),
        (["--limit", "0"], "expected 1 or more"),
        (["--name", "a/b"], "the name of a folder"),
        (["--data", str(tmp_path / "none")], "no such file or folder"),
    ):
        assert word in refused(model, out, capsys, *again, *more, code=2)
    assert "is a bundle already" in refused(GARMENTS, out, capsys, code=2)


def test_labels_in_another_order_are_not_believed_unless_they_were_given(
    data: Path, tmp_path: Path, capsys: Captured
) -> None:
    for here, there in zip(COLOURS, (*COLOURS[1:], COLOURS[0]), strict=True):
        shutil.copytree(data / "colours" / here, tmp_path / "data" / there)
    colours(0.03, "softmax").save(tmp_path / "mine.keras")
    labelled = ["--data", str(tmp_path / "data")]
    said = refused(tmp_path / "mine.keras", tmp_path / "models", capsys, *labelled, code=2)
    assert "the order of the labels may be another one" in said
    assert "--labels FILE" in said


def test_an_interrupted_pack_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    async def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("batchproof_server.commands.pack.packing.prove_and_profile", interrupt)
    colours(0.03, "softmax").save(tmp_path / "mine.keras")
    given = ["pack", str(tmp_path / "mine.keras"), "--out", str(tmp_path / "models")]
    assert main(given) == INTERRUPTED
    assert everything(tmp_path) == ["mine.keras"]
    assert "certificate" not in capsys.readouterr().out


def test_without_pictures_the_recipe_is_a_guess_or_given_and_there_is_no_profile(
    tmp_path: Path, capsys: Captured
) -> None:
    colours(0.03, "softmax").save(tmp_path / "mine.keras")
    bundle = packed(tmp_path / "mine.keras", tmp_path / "models", "--recipe", "keras-image-dataset")
    said = capsys.readouterr().out
    assert "given    keras-image-dataset: as given with --recipe" in said
    assert "drift has no reference" in said
    assert bundle.manifest.recipe is not None
    assert bundle.manifest.recipe.preset == "keras-image-dataset"
