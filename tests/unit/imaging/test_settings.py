import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from batchproof_server.base.validation import InvalidSettings, parse_settings
from batchproof_server.imaging.normalize import NormalizeSettings
from batchproof_server.imaging.presets import PRESETS
from batchproof_server.imaging.recipe import RecipeSettings, ResizeSettings
from batchproof_server.imaging.settings import recipe_plan
from unit.imaging.pictures import compiled

TF_PRESETS = {"keras-image-dataset"}


def faults(table: dict[str, Any]) -> str:
    with pytest.raises(InvalidSettings) as refused:
        parse_settings(RecipeSettings, table)
    return "\n".join(refused.value.faults)


def test_an_empty_table_is_a_recipe() -> None:
    plan = recipe_plan(parse_settings(RecipeSettings, {}))

    assert (plan.decoder, plan.color, plan.orientation) == ("accurate", "rgb", "ignore")
    assert (plan.resize, plan.normalize, plan.dtype) == (None, None, "float32")
    assert plan.formats == ("bmp", "gif", "jpeg", "png", "webp")


def test_every_unknown_word_and_key_is_named_at_once() -> None:
    text = faults({"colour": "rgb", "color": "rbg", "resize": {"method": "bilinera"}})

    assert "colour: unknown key" in text
    assert "color: unknown \"rbg\", one of 'rgb', 'bgr' or 'grayscale'" in text
    assert "resize.method: unknown \"bilinera\", one of 'nearest'" in text


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"preset": "kears"}, 'preset: unknown "kears", one of keras-load-img'),
        ({"formats": []}, "formats is empty"),
        (
            {"decoder": "tensorflow-fast", "formats": ["webp"], "color": "grayscale"},
            'the decoder "tensorflow-fast" cannot read webp as grayscale',
        ),
        (
            {"decoder": "tensorflow-fast", "formats": ["gif"], "color": "grayscale"},
            'the decoder "tensorflow-fast" cannot read gif as grayscale',
        ),
        ({"resize": {"library": "pillow"}}, "resize.library and resize.method are needed"),
        ({"resize": {"width": 5}}, "width and height are given together"),
        ({"resize": {"width": 0, "height": 1}}, "width is 0, expected 1 to 8192"),
        ({"resize": {"library": "pillow", "method": "area"}}, 'pillow has no "area"'),
        ({"resize": {"library": "tensorflow", "method": "box"}}, 'tensorflow has no "box"'),
        (
            {"resize": {"library": "pillow", "method": "bicubic", "antialias": False}},
            '"bicubic" of pillow always antialiases',
        ),
        (
            {"resize": {"library": "tensorflow", "method": "nearest", "antialias": True}},
            '"nearest" of tensorflow never antialiases',
        ),
        (
            {"resize": {"library": "tensorflow", "method": "area", "antialias": False}},
            '"area" of tensorflow always antialiases',
        ),
        (
            {"resize": {"library": "pillow", "method": "box", "rounding": "none"}},
            "pillow works in 8 bits",
        ),
        (
            {"preset": "keras-load-img", "resize": {"short_side": 256}},
            'the policy is "stretch"',
        ),
        (
            {"preset": "keras-load-img", "resize": {"policy": "short_side_center_crop"}},
            "resize.short_side belongs to the policy",
        ),
        (
            {"preset": "torchvision-eval", "resize": {"width": 257, "height": 224}},
            "resize.short_side is 256, expected at least the 257 x 224",
        ),
        (
            {"preset": "keras-load-img", "resize": {"pad_color": [0]}},
            'resize.pad_color belongs to the policy "pad"',
        ),
        ({"resize": {"pad_color": [0, 1]}}, "pad_color is [0, 1], expected 1 or 3 levels"),
        ({"resize": {"pad_color": [256]}}, "pad_color is [256]"),
        ({"normalize": {"divisor": 255, "scale": 2}}, "divisor and scale exclude each other"),
        ({"normalize": {"std": [0]}}, "std is 0, expected another number"),
        ({"normalize": {"mean": [1, 2]}}, "mean has 2 values, expected 1 or 3"),
        ({"normalize": {"offset": float("nan")}}, "offset is nan, expected a finite number"),
        ({"normalize": {"divisor": 1e-38}}, "values that float32 cannot hold"),
        (
            {"normalize": {"mean": [1, 2, 3]}, "color": "grayscale"},
            'normalize.mean has 3 values, the color "grayscale" 1',
        ),
        (
            {"normalize": {"offset": 1}, "dtype": "uint8"},
            'dtype is "uint8", which cannot hold normalized values',
        ),
        (
            {"preset": "keras-image-dataset", "dtype": "uint8"},
            'dtype is "uint8", which needs resize.rounding',
        ),
    ],
)
def test_a_combination_that_cannot_be_done_is_a_fault(table: dict[str, Any], sentence: str) -> None:
    assert sentence in faults(table)


def test_given_keys_win_over_the_preset_and_the_preset_over_the_default() -> None:
    written = RecipeSettings(
        preset="keras-applications:vgg16",
        color="rgb",
        resize=ResizeSettings(method="bicubic", policy="pad"),
    )

    plan = recipe_plan(written)

    assert plan.color == "rgb"
    assert plan.resize is not None
    assert (plan.resize.library, plan.resize.method) == ("pillow", "bicubic")
    assert (plan.resize.antialias, plan.resize.pad_color) == (True, (0,))
    assert plan.normalize == NormalizeSettings(mean=(103.939, 116.779, 123.68))


def test_an_empty_normalize_table_switches_off_that_of_the_preset() -> None:
    written = {"preset": "keras-applications:vgg16", "normalize": {}}

    assert recipe_plan(parse_settings(RecipeSettings, written)).normalize is None


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - TF_PRESETS))
def test_a_preset_takes_its_size_from_the_model(preset: str) -> None:
    recipe = compiled({"preset": preset}, (224, 200, 3))

    resize = recipe.plan.resize
    assert resize is not None
    assert (resize.height, resize.width) == (224, 200)


def test_an_image_input_may_leave_the_size_to_the_recipe() -> None:
    resize = {"width": 20, "height": 30}

    recipe = compiled({"preset": "keras-load-img", "resize": resize}, (None, None, 3))

    assert '"height":30' in recipe.canonical_json


@pytest.mark.parametrize(
    ("table", "row_shape", "dtype", "sentence"),
    [
        (
            {},
            (28, 28, 1),
            "float32",
            '[rows, 28, 28, 3], the input "image" is float32 [rows, 28, 28, 1]',
        ),
        ({}, (8, 8, 3), "uint8", "makes float32 [rows, 8, 8, 3], the input"),
        ({}, (8, 8), "float32", "makes float32 [rows, 8, 8, 3]"),
        ({"preset": "keras-load-img"}, (4,), "float32", 'the input "image" is float32 [rows, 4]'),
        (
            {"preset": "keras-load-img", "resize": {"width": 9, "height": 8}},
            (8, 9 + 1, 3),
            "float32",
            "makes float32 [rows, 8, 9, 3]",
        ),
        (
            {"preset": "keras-load-img"},
            (None, 8, 3),
            "float32",
            "recipe.resize: width and height are missing",
        ),
        (
            {"preset": "torchvision-eval"},
            (299, 299, 3),
            "float32",
            "recipe.resize.short_side is 256, expected at least the 299 x 299",
        ),
        (
            {"preset": "keras-image-dataset"},
            (8, 8, 3),
            "float32",
            'recipe.decoder: "tensorflow-fast" is not installed or not switched on here, one of',
        ),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_when_it_is_compiled(
    table: dict[str, Any], row_shape: tuple[int | None, ...], dtype: str, sentence: str
) -> None:
    with pytest.raises(InvalidSettings) as refused:
        compiled(table, row_shape, dtype)

    assert sentence in "\n".join(refused.value.faults)


def test_every_fault_of_the_plugs_is_named_at_once() -> None:
    with pytest.raises(InvalidSettings) as refused:
        compiled({"preset": "keras-image-dataset"})

    assert [fault.partition(":")[0] for fault in refused.value.faults] == [
        "recipe.decoder",
        "recipe.resize.library",
    ]


def test_the_digest_is_of_what_is_decided_not_of_how_it_is_written() -> None:
    short = compiled({"preset": "keras-applications:mobilenet"})
    long = compiled(
        {
            "dtype": "float32",
            "normalize": {"offset": -1, "divisor": 127.5},
            "resize": {"height": 32, "width": 24, "method": "nearest", "library": "pillow"},
            "formats": ["webp", "png", "jpeg", "gif", "bmp", "png"],
        }
    )

    assert short.digest == long.digest
    assert short.canonical_json == long.canonical_json
    assert short.formats == ("bmp", "gif", "jpeg", "png", "webp")


def test_a_number_has_one_digest_whether_it_is_written_as_an_integer_or_not() -> None:
    whole = RecipeSettings(normalize=NormalizeSettings(scale=2, mean=(1, 2, 3)))
    real = RecipeSettings(normalize=NormalizeSettings(scale=2.0, mean=(1.0, 2.0, 3.0)))

    assert repr(recipe_plan(whole)) == repr(recipe_plan(real))


def test_every_key_counts_in_the_digest() -> None:
    tables: list[dict[str, Any]] = [
        {"preset": "keras-load-img"},
        {"preset": "keras-load-img", "formats": ["png"]},
        {"preset": "keras-load-img", "color": "bgr"},
        {"preset": "keras-load-img", "orientation": "apply"},
        {"preset": "keras-load-img", "normalize": {"scale": 2}},
        {"preset": "keras-load-img", "resize": {"method": "bilinear"}},
        {"preset": "keras-load-img", "resize": {"policy": "pad"}},
        {"preset": "keras-load-img", "resize": {"policy": "pad", "pad_color": [9]}},
    ]

    assert len({compiled(table).digest for table in tables}) == len(tables)


def test_the_digest_stands() -> None:
    """A changed digest means that every recorded answer looks as if its recipe had changed."""
    recipe = compiled({"preset": "torchvision-eval"}, (224, 224, 3))

    assert recipe.digest == "6a9ba37aea25361fae8cfc5ba856da62b82b9d6a82e4d786fe1f8b7d63dd5448"


def test_the_core_of_imaging_does_not_import_tensorflow() -> None:
    code = "import sys, batchproof_server.imaging.recipe; print('tensorflow' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def test_normalizing_takes_its_steps_in_the_documented_order() -> None:
    settings = {"scale": 0.5, "offset": 3, "mean": [1, 2, 3], "std": [2, 4, 8]}
    recipe = compiled({"normalize": settings}, (1, 2, 3))
    pixels = np.array([[[0, 100, 255], [7, 8, 9]]], np.uint8)

    x = pixels.astype(np.float32) * np.float32(0.5) + np.float32(3)
    expected = (x - np.array([1, 2, 3], np.float32)) / np.array([2, 4, 8], np.float32)

    assert np.array_equal(recipe.row(pixels), expected)
