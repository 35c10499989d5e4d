"""What Keras cuts or fills before it resizes, the layout, and WebP: as installed, bit for bit."""

import logging
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from batchproof_server.backends.traced.on_demand import add_flavour
from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.base.validation import InvalidSettings, parse_settings
from batchproof_server.imaging.fit import fit_to_input
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.imaging.recipe import Recipe, RecipeSettings, compile_recipe, pillow_plugs
from batchproof_server.imaging.settings import recipe_plan
from unit.imaging.pictures import image

# Heights and widths: wider, higher, odd by one, one line of pixels, equal, larger and smaller.
SIZES = (
    (37, 53), (53, 37), (33, 32), (31, 32), (24, 32), (48, 64), (1, 40), (40, 1), (7, 3),
    (199, 301), (300, 200), (101, 75), (480, 641), (1001, 77),
)  # fmt: skip
TARGETS = ((24, 32), (32, 32), (33, 17), (1, 5))
METHODS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")
TENSORFLOW = {"decoder": "tensorflow-fast", "resize": {"library": "tensorflow"}}


def plugs() -> Plugs:
    made = pillow_plugs()
    add_flavour(made)
    return made


def compiled(table: dict[str, Any], shape: tuple[int | None, ...]) -> Recipe:
    spec = TensorSpec("x", np.dtype(np.float32), shape)
    settings = parse_settings(RecipeSettings, table)
    return compile_recipe(settings, spec, plugs(), ImageLimits())


@cache
def png(size: tuple[int, int], mode: str = "RGB") -> bytes:
    file = BytesIO()
    image(mode, size, seed=sum(size)).save(file, "PNG")
    return file.getvalue()


def with_policy(policy: str, method: str, **keys: object) -> dict[str, Any]:
    resize = {"library": "tensorflow", "method": method, "policy": policy, **keys}
    return TENSORFLOW | {"resize": resize}


def decoded(file: bytes) -> Any:
    return tf.io.decode_image(file, channels=3, expand_animations=False)


@pytest.mark.parametrize("policy", ["crop_to_aspect_ratio", "pad_to_aspect_ratio"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("antialias", [False, True])
def test_the_resizing_layer_is_reproduced_bit_for_bit(
    policy: str, method: str, *, antialias: bool
) -> None:
    if antialias and method == "nearest":
        return  # has none
    differing = []
    for target in TARGETS:
        layer = keras.layers.Resizing(
            *target, interpolation=method, antialias=antialias, **{policy: True}
        )
        resize = tf.function(layer, input_signature=[tf.TensorSpec((None, None, 3), tf.float32)])
        ours = compiled(with_policy(policy, method, antialias=antialias), (*target, 3))
        for size in SIZES:
            file = png(size)
            expected = resize(tf.cast(decoded(file), tf.float32)).numpy()
            if not np.array_equal(ours.apply(file), expected):
                differing.append((target, size))
    assert differing == []


# What the argument of the data set is called, and the policy that does the same.
DATA_SETS = [
    ("crop_to_aspect_ratio", "crop_to_aspect_ratio"),
    ("pad_to_aspect_ratio", "resize_with_pad"),
]


@pytest.mark.parametrize(("argument", "policy"), DATA_SETS)
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_image_dataset_from_directory_is_reproduced_bit_for_bit(
    tmp_path: Path, argument: str, policy: str, form: str
) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    # TensorFlow's own resize_with_pad fails where no line of pixels is left.
    sizes = [size for size in SIZES if policy == "crop_to_aspect_ratio" or min(size) > 1]
    for number, size in enumerate(sizes):
        image("RGB", size, seed=number).save(folder / f"{number:02}.{form.lower()}", form)
    for target in TARGETS[:3]:
        expected = keras.utils.image_dataset_from_directory(
            str(tmp_path), labels=None, image_size=target, shuffle=False, batch_size=None,
            verbose=False, **{argument: True},
        )  # fmt: skip
        table = {"preset": "keras-image-dataset", "resize": {"policy": policy}}
        ours = compiled(table, (*target, 3))
        files = sorted(folder.iterdir())
        for file, theirs in zip(files, expected, strict=True):
            np.testing.assert_array_equal(ours.apply(file.read_bytes()), theirs.numpy(), file.name)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"])
@pytest.mark.parametrize("color", ["rgb", "grayscale"])
def test_load_img_that_keeps_the_aspect_ratio_is_reproduced_bit_for_bit(
    method: str, color: str
) -> None:
    differing = []
    for target in TARGETS:
        resize = {"method": method, "policy": "keep_aspect_ratio"}
        table = {"preset": "keras-load-img", "color": color, "resize": resize}
        ours = compiled(table, (*target, 1 if color == "grayscale" else 3))
        for size in SIZES:
            file = png(size)
            theirs = keras.utils.load_img(
                BytesIO(file),
                color_mode=color,
                target_size=target,
                interpolation=method,
                keep_aspect_ratio=True,
            )
            if not np.array_equal(ours.apply(file), keras.utils.img_to_array(theirs)):
                differing.append((target, size))
    assert differing == []


def test_a_long_picture_is_not_filled_up_beyond_the_limit_of_pixels() -> None:
    spec = TensorSpec("x", np.dtype(np.float32), (8, 8, 3))
    settings = parse_settings(RecipeSettings, with_policy("pad_to_aspect_ratio", "bilinear"))
    recipe = compile_recipe(settings, spec, plugs(), ImageLimits(max_image_pixels=500))
    assert recipe.apply(png((22, 10))).shape == (8, 8, 3)
    with pytest.raises(InvalidInput, match="too long"):
        recipe.apply(png((30, 10)))


@pytest.mark.parametrize(
    ("policy", "library"),
    [
        ("crop_to_aspect_ratio", "pillow"),
        ("pad_to_aspect_ratio", "pillow"),
        ("keep_aspect_ratio", "tensorflow"),
    ],
)
def test_a_policy_of_keras_belongs_to_its_library(policy: str, library: str) -> None:
    resize = {"library": library, "method": "nearest", "policy": policy}
    with pytest.raises(InvalidSettings, match=f'"{policy}" is what Keras does with '):
        parse_settings(RecipeSettings, {"resize": resize})


@pytest.mark.parametrize(
    "table",
    [
        {"preset": "keras-load-img", "normalize": {"mean": [1.0, 2.0, 3.0], "std": [4.0]}},
        {"preset": "keras-applications:resnet50"},
        {"preset": "keras-image-dataset"},
        {"preset": "keras-load-img", "color": "grayscale"},
        {"preset": "keras-load-img", "dtype": "float32", "resize": {"policy": "pad"}},
    ],
)
def test_channels_first_is_the_same_row_turned(table: dict[str, Any]) -> None:
    channels = 1 if table.get("color") == "grayscale" else 3
    last = compiled(table, (24, 32, channels))
    first = compiled(table | {"layout": "channels_first"}, (channels, 24, 32))
    file = png((37, 53))
    expected = last.apply(file).transpose(2, 0, 1)
    row = first.apply(file)
    np.testing.assert_array_equal(row, expected)
    assert row.flags.c_contiguous
    out: Array = np.empty((channels, 24, 32), np.float32)
    assert first.row(first.picture(file), out) is out
    np.testing.assert_array_equal(out, expected)
    assert first.digest != last.digest
    assert "layout" not in last.canonical_json  # digests of 0.1.0 hold


def test_a_model_with_its_channels_first_is_told_from_one_with_them_last() -> None:
    for table, shape, said in (
        ({}, (3, 24, 32), 'its channels come first: write layout = "channels_first"'),
        ({"layout": "channels_first"}, (24, 32, 3), "makes float32"),
        ({"layout": "channels_first", "color": "grayscale"}, (24, 32), 'recipe.layout: "channels'),
    ):
        with pytest.raises(InvalidSettings, match=said):
            compiled({"preset": "keras-load-img"} | table, shape)


def test_a_model_that_resizes_itself_is_told_what_to_write() -> None:
    spec = TensorSpec("x", np.dtype(np.float32), (None, None, 3))
    plan = recipe_plan(parse_settings(RecipeSettings, {"preset": "keras-image-dataset"}))
    with pytest.raises(InvalidSettings) as refused:
        fit_to_input(plan, spec, plugs())
    (fault,) = refused.value.faults
    assert "write the width, height, library and method of its own layer" in fault
    assert 'library = "tensorflow", method = "bilinear"' in fault


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 80}, {"quality": 5}])
def test_webp_is_read_as_tensorflow_reads_it(options: dict[str, Any]) -> None:
    table = TENSORFLOW | {"formats": ["jpeg", "webp"]} | {"resize": {"width": 61, "height": 43,
        "library": "tensorflow", "method": "bilinear"}}  # fmt: skip
    recipe = compiled(table, (43, 61, 3))
    file = BytesIO()
    image("RGB", (43, 61)).save(file, "WEBP", **options)
    expected = decoded(file.getvalue()).numpy().astype(np.float32)
    np.testing.assert_array_equal(recipe.apply(file.getvalue()), expected)


def test_webp_with_alpha_animated_or_for_grey_is_refused_as_by_tensorflow() -> None:
    recipe = compiled(TENSORFLOW | {"formats": ["webp"], "resize": {"library": "tensorflow",
        "method": "bilinear"}}, (43, 61, 3))  # fmt: skip
    moving, clear = BytesIO(), BytesIO()
    frames = [image("RGB", (43, 61), seed) for seed in (1, 2)]
    frames[0].save(moving, "WEBP", save_all=True, append_images=frames[1:])
    Image.merge("RGBA", (*frames[0].split(), frames[1].convert("L"))).save(clear, "WEBP")
    for file in (moving, clear):
        with pytest.raises(InvalidInput, match="of a kind that the decoder tensorflow-fast"):
            recipe.apply(file.getvalue())
    with pytest.raises(InvalidSettings, match="cannot read webp as grayscale"):
        parse_settings(RecipeSettings, TENSORFLOW | {"formats": ["webp"], "color": "grayscale"})
    plain = recipe_plan(parse_settings(RecipeSettings, {"preset": "keras-image-dataset"}))
    assert "webp" not in plain.formats


class Listening(logging.Handler):
    """Keeps what is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Notes the text."""
        self.told.append(record.getMessage())


def test_comparing_many_recipes_makes_tensorflow_warn_of_nothing() -> None:
    listening = Listening()
    tf.get_logger().addHandler(listening)
    try:
        for method in (*METHODS, *METHODS):
            compiled(with_policy("stretch", method), (8, 8, 3)).apply(png((9, 7)))
    finally:
        tf.get_logger().removeHandler(listening)
    assert listening.told == []
