"""Presets against what they reproduce: Keras, Pillow and TensorFlow as installed, bit for bit."""

import importlib
import pkgutil
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from batchproof_server.backends.traced.on_demand import add_flavour
from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.imaging.presets import PRESETS
from batchproof_server.imaging.recipe import Recipe, pillow_plugs
from unit.imaging.pictures import (
    all_pictures,
    compiled,
    encoded,
    image,
    jpegs,
    oriented_exif,
    others,
    pngs,
)

PICTURES = all_pictures()
FAST_PICTURES = {
    name: file
    for name, file in PICTURES.items()
    # tf.io.decode_image has no 1-bit BMP, and WebP is not in the data set's list.
    if not name.startswith("webp") and name != "bmp 1"
}
FAMILIES = sorted(name.partition(":")[2] for name in PRESETS if ":" in name)
TARGET = (32, 24)


def both_flavours() -> Plugs:
    plugs = pillow_plugs()
    add_flavour(plugs)
    return plugs


def recipe(table: dict[str, Any], channels: int = 3, dtype: str = "float32") -> Recipe:
    return compiled(table, (*TARGET, channels), dtype, plugs=both_flavours())


def loaded(file: bytes, color: str = "rgb", method: str = "nearest") -> Array:
    picture = keras.utils.load_img(
        BytesIO(file), color_mode=color, target_size=TARGET, interpolation=method
    )
    array: Array = keras.utils.img_to_array(picture)
    return array


@pytest.mark.filterwarnings("ignore:Palette images with Transparency:UserWarning")  # Keras' path
@pytest.mark.parametrize("color", ["rgb", "grayscale"])
@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"])
def test_keras_load_img_is_reproduced_bit_for_bit(color: str, method: str) -> None:
    table = {"preset": "keras-load-img", "color": color, "resize": {"method": method}}
    ours = recipe(table, channels=1 if color == "grayscale" else 3)

    differing = [
        name
        for name, file in PICTURES.items()
        if not np.array_equal(ours.apply(file), loaded(file, color, method))
    ]

    assert differing == []


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_ignored_as_keras_does_or_applied_as_pillow_does(
    orientation: int, file_format: str
) -> None:
    file = encoded(image(), file_format, exif=oriented_exif(orientation))
    upright = ImageOps.exif_transpose(Image.open(BytesIO(file))).convert("RGB")
    expected = np.asarray(upright.resize(TARGET[::-1], Image.Resampling.NEAREST), np.float32)

    ignored = recipe({"preset": "keras-load-img"}).apply(file)
    applied = recipe({"preset": "keras-load-img", "orientation": "apply"}).apply(file)

    assert np.array_equal(ignored, loaded(file))
    assert np.array_equal(applied, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_preprocess_input_is_reproduced_bit_for_bit(family: str) -> None:
    module = importlib.import_module(f"keras.applications.{family}")
    ours = recipe({"preset": f"keras-applications:{family}"})

    for file in (*list(jpegs().values())[:4], *list(others().values())[:2]):
        batch = np.expand_dims(loaded(file), 0)
        assert np.array_equal(ours.apply(file), module.preprocess_input(batch)[0])


def test_every_keras_application_with_preprocess_input_has_a_preset() -> None:
    modules = [name for _, name, _ in pkgutil.iter_modules(keras.applications.__path__)]
    preprocessing = [
        name
        for name in modules
        if hasattr(importlib.import_module(f"keras.applications.{name}"), "preprocess_input")
    ]

    assert sorted(preprocessing) == FAMILIES


def data_set_rows(folder: Path, files: dict[str, bytes], **options: Any) -> dict[str, Array]:
    """What image_dataset_from_directory makes of the files, by name."""
    (folder / "one").mkdir()
    for index, (name, file) in enumerate(files.items()):
        (folder / "one" / f"{index:03d}.{name.split()[0]}").write_bytes(file)
    rows = keras.utils.image_dataset_from_directory(
        folder, labels=None, image_size=TARGET, batch_size=1, shuffle=False, verbose=0, **options
    )
    return dict(zip(files, (batch.numpy()[0] for batch in rows), strict=True))


@pytest.mark.parametrize(
    "method",
    [
        "nearest",
        "bilinear",
        "bicubic",
        "area",
        "lanczos3",
        "lanczos5",
        "gaussian",
        "mitchellcubic",
    ],
)
def test_keras_image_dataset_is_reproduced_bit_for_bit(method: str, tmp_path: Path) -> None:
    same_size = {"png same size": encoded(image(size=TARGET), "PNG")}
    files = FAST_PICTURES | same_size
    ours = recipe({"preset": "keras-image-dataset", "resize": {"method": method}})

    theirs = data_set_rows(tmp_path, files, interpolation=method)
    differing = [
        name for name, row in theirs.items() if not np.array_equal(ours.apply(files[name]), row)
    ]

    assert differing == []


def test_keras_image_dataset_in_grey_is_reproduced_bit_for_bit(tmp_path: Path) -> None:
    files = {
        name: file
        for name, file in (jpegs() | pngs()).items()
        if name not in ("jpeg cmyk", "jpeg ycck")  # TensorFlow cannot
    }
    ours = recipe({"preset": "keras-image-dataset", "color": "grayscale"}, channels=1)

    theirs = data_set_rows(tmp_path, files, color_mode="grayscale")
    differing = [
        name for name, row in theirs.items() if not np.array_equal(ours.apply(files[name]), row)
    ]

    assert differing == []


def test_the_two_keras_presets_differ_on_most_samples() -> None:
    file = encoded(image(size=(300, 400)), "JPEG", quality=75)

    one = recipe({"preset": "keras-load-img"}).apply(file)
    other = recipe({"preset": "keras-image-dataset"}).apply(file)

    assert np.mean(one != other) > 0.9


def test_tensorflow_rounding_is_that_of_the_keras_resizing_layer() -> None:
    table = {
        "resize": {"library": "tensorflow", "method": "bicubic", "rounding": "uint8"},
        "dtype": "uint8",
    }
    file = encoded(image(), "PNG")
    layer = keras.layers.Resizing(*TARGET, interpolation="bicubic", dtype="uint8")

    row = recipe(table, dtype="uint8").apply(file)

    assert np.array_equal(row, layer(np.asarray(image())[None]).numpy()[0])


def test_antialias_reaches_tensorflow() -> None:
    resize = {"library": "tensorflow", "method": "bilinear", "antialias": True}
    expected = tf.image.resize(np.asarray(image()), TARGET, antialias=True).numpy()

    assert np.array_equal(recipe({"resize": resize}).apply(encoded(image(), "PNG")), expected)


@pytest.mark.parametrize("color", ["rgb", "grayscale"])
def test_a_fast_decode_may_be_resized_by_pillow(color: str) -> None:
    table = {
        "decoder": "tensorflow-fast",
        "color": color,
        "orientation": "apply",
        "resize": {"library": "pillow", "method": "bilinear"},
    }
    file = encoded(image("L"), "PNG", exif=oriented_exif(6))
    grey = image("L").transpose(Image.Transpose.ROTATE_270)
    expected = np.asarray(grey.resize(TARGET[::-1], Image.Resampling.BILINEAR), np.float32)

    row = recipe(table, channels=1 if color == "grayscale" else 3).apply(file)

    assert np.array_equal(row, np.broadcast_to(expected[:, :, None], row.shape))


def test_the_fast_flavour_gives_the_same_bits_in_any_thread() -> None:
    ours = recipe({"preset": "keras-image-dataset"})
    files = [*FAST_PICTURES.values()] * 2

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda file: ours.apply(file).tobytes(), files))

    assert together == [ours.apply(file).tobytes() for file in files]


def test_grey_of_16_bits_is_refused_where_tensorflow_rounds_to_8() -> None:
    table = {
        "color": "grayscale",
        "resize": {"library": "tensorflow", "method": "bilinear", "rounding": "uint8"},
    }

    with pytest.raises(InvalidInput, match="16 bits a pixel, the recipe works in 8 bits"):
        recipe(table, channels=1).apply(encoded(image("I;16"), "PNG"))


@given(data=st.data())
def test_the_fast_decoder_gives_a_row_or_invalid_input(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FAST_PICTURES)))
    file = bytearray(FAST_PICTURES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    del file[data.draw(st.integers(1, len(file))) :]

    try:
        shape = recipe({"preset": "keras-image-dataset"}).apply(bytes(file)).shape
    except InvalidInput:
        shape = (*TARGET, 3)

    assert shape == (*TARGET, 3)
