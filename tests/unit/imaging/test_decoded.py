"""What is seen of a picture before it is resized."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from batchproof_server.base.input_statistics import InputStatistics
from batchproof_server.base.signature import Array, tensor_mean
from batchproof_server.drift import pictures
from batchproof_server.imaging.decoded import (
    decode_image,
    input_statistics,
    middle_luma,
    picture_statistics,
    reduce_luma,
    spread_colours,
)
from batchproof_server.imaging.eight_bits import image_of_8_bits
from batchproof_server.imaging.geometry import Picture
from batchproof_server.imaging.thumbnail import thumbnail_png
from unit.imaging.pictures import compiled, encoded, scene


def picture_properties(picture: Picture) -> tuple[float, float, float, float]:
    """All four, as the server has them."""
    luma, aspect_ratio = reduce_luma(picture)
    brightness, contrast, sharpness = pictures.picture_properties([luma])[0]
    return float(brightness), float(contrast), float(sharpness), aspect_ratio


def grey(height: int, width: int, seed: int = 0) -> Array:
    return scene(height, width, 1, seed)[:, :, 0]


def by_definition(levels: Array) -> tuple[float, float, float]:
    x = levels.astype(np.float64) / 255
    laplacian = 4 * x[1:-1, 1:-1] - x[:-2, 1:-1] - x[2:, 1:-1] - x[1:-1, :-2] - x[1:-1, 2:]
    return float(x.mean()), float(x.std()), float(laplacian.var())


@pytest.mark.parametrize("size", [(28, 28), (3, 128), (97, 41)])
def test_a_small_picture_is_measured_as_the_definition_says(size: tuple[int, int]) -> None:
    levels = grey(*size)
    measured = picture_properties(Image.fromarray(levels))
    assert measured[:3] == pytest.approx(by_definition(levels))
    assert measured[3] == size[1] / size[0]


def test_an_array_and_an_image_of_the_same_pixels_are_the_same() -> None:
    colour = scene(60, 50)
    assert picture_properties(colour) == picture_properties(Image.fromarray(colour))
    levels = grey(60, 50)
    assert picture_properties(levels[:, :, np.newaxis]) == picture_properties(
        Image.fromarray(levels)
    )


def test_a_colour_picture_is_measured_by_its_luma() -> None:
    image = Image.fromarray(scene(40, 40))
    assert picture_properties(image) == picture_properties(image.convert("L"))


def test_a_larger_picture_is_measured_by_the_means_of_its_parts() -> None:
    levels = grey(256, 200)
    means = levels.reshape(128, 2, 100, 2).mean(axis=(1, 3))
    brightness, contrast, sharpness, aspect_ratio = picture_properties(Image.fromarray(levels))
    expected = by_definition(means)
    assert brightness == pytest.approx(expected[0], abs=2e-3)
    assert contrast == pytest.approx(expected[1], rel=0.01)
    assert sharpness == pytest.approx(expected[2], rel=0.02)
    assert aspect_ratio == 200 / 256


def test_a_huge_picture_costs_no_more_than_one_of_1024_pixels() -> None:
    huge = Image.new("RGB", (9000, 4000), (200, 100, 50))
    brightness, contrast, sharpness, aspect_ratio = picture_properties(huge)
    assert brightness == pytest.approx(huge.resize((1, 1)).convert("L").getpixel((0, 0)) / 255)  # type: ignore[operator]
    assert (contrast, sharpness, aspect_ratio) == (0, 0, 2.25)
    assert picture_properties(np.asarray(huge)) == picture_properties(huge)


def test_a_picture_is_measured_alike_alone_and_among_others() -> None:
    sizes = [(28, 28), (5, 9), (28, 28), (128, 128), (2, 2), (28, 28)]
    lumas = [grey(*size, seed) for seed, size in enumerate(sizes * 12)]
    together = pictures.picture_properties(lumas)
    alone = [pictures.picture_properties([luma])[0].tolist() for luma in lumas]
    assert together.tolist() == alone


def test_a_narrow_picture_has_no_sharpness() -> None:
    assert picture_properties(Image.fromarray(grey(2, 50)))[2] == 0
    assert picture_properties(Image.fromarray(grey(1, 1)))[1:3] == (0, 0)


def test_blur_lowers_the_sharpness_and_noise_raises_it() -> None:
    sharp = picture_properties(Image.fromarray(grey(64, 64)))[2]
    small = Image.fromarray(grey(64, 64)).resize((16, 16)).resize((64, 64))
    noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    assert picture_properties(small)[2] < sharp < picture_properties(Image.fromarray(noise))[2]


@pytest.mark.parametrize("kind", ["I;16", "I", "array"])
def test_a_picture_of_16_bits_is_measured_by_its_upper_8(kind: str) -> None:
    levels = grey(30, 30)
    wide: Any = levels.astype(np.uint16) * 256 + 77
    kinds = {
        "I;16": Image.fromarray(wide),
        "I": Image.fromarray(wide.astype(np.int32)),
        "array": wide[:, :, np.newaxis],
    }
    assert picture_properties(kinds[kind]) == picture_properties(Image.fromarray(levels))


def test_what_is_beyond_8_bits_after_the_shift_is_white() -> None:
    assert np.asarray(image_of_8_bits(np.full((2, 2), 2**20))).tolist() == [[255, 255]] * 2


def test_the_mean_of_a_tensor_is_exact_for_any_dtype() -> None:
    row = np.full((300, 300, 3), 250, np.uint8)
    assert tensor_mean(row) == 250
    assert tensor_mean(row.astype(np.float16)) == 250


def test_the_row_is_the_recipes_own_and_the_picture_is_measured_before_the_resize() -> None:
    recipe = compiled({"preset": "keras-load-img"}, (8, 8, 3))
    file = encoded(Image.fromarray(scene(40, 20)), "PNG")
    seen = decode_image(recipe, file)
    assert (seen.row == recipe.apply(file)).all()
    luma, aspect_ratio = reduce_luma(Image.fromarray(scene(40, 20)))
    assert (seen.seen.pixels.luma == luma).all()
    assert (seen.seen.aspect_ratio, seen.seen.tensor_mean) == (aspect_ratio, tensor_mean(seen.row))


@pytest.mark.parametrize("size", [(200, 333), (64, 64), (40, 90), (5, 3), (1, 1), (129, 71)])
def test_the_middle_is_at_its_own_size_and_begins_where_a_block_does(size: tuple[int, int]) -> None:
    levels = grey(*size)
    middle = middle_luma(Image.fromarray(levels))
    assert middle.shape == (min(64, size[0]), min(64, size[1]))
    top, left = ((side - own) // 2 // 8 * 8 for side, own in zip(size, middle.shape, strict=True))
    assert (middle == levels[top : top + 64, left : left + middle.shape[1]]).all()
    assert (middle_luma(levels[:, :, np.newaxis]) == middle).all()
    seen = picture_statistics(Image.fromarray(levels), None)
    assert seen.pixels.middle.tolist() == middle.tolist()


@pytest.mark.parametrize("size", [(200, 333), (64, 64), (40, 90), (5, 3), (1, 1), (1000, 31)])
def test_colours_are_those_of_pixels_all_over_the_picture(size: tuple[int, int]) -> None:
    pixels = scene(*size)
    height, width = (min(32, side) for side in size)
    rows = np.floor((np.arange(height) + 0.5) * size[0] / height).astype(int)
    columns = np.floor((np.arange(width) + 0.5) * size[1] / width).astype(int)
    expected = pixels[rows][:, columns].reshape(-1, 3).tolist()
    for picture in (pixels, Image.fromarray(pixels), pixels.astype(np.uint16) * 256 + 99):
        colours = spread_colours(picture)
        assert colours is not None
        assert colours.tolist() == expected


@pytest.mark.parametrize("picture", [grey(20, 30), grey(20, 30)[..., np.newaxis]])
def test_a_picture_of_one_channel_has_no_colours(picture: Array) -> None:
    levels: Any = Image.fromarray(picture) if picture.ndim == 2 else picture
    assert spread_colours(levels) is None
    values = pictures.input_values([input_statistics([picture_statistics(levels, None)])])
    assert np.isnan([values[name] for name in ("saturation", "warmth", "tint")]).all()
    assert np.isfinite([values[name] for name in ("brightness", "blockiness")]).all()


def test_rows_with_and_without_a_picture_and_colours_stand_side_by_side() -> None:
    seen = [picture_statistics(each, None) for each in (grey(9, 9), scene(20, 20), scene(70, 9))]
    nothing = np.full(2, np.nan)
    tensors = InputStatistics((None, None), nothing, nothing)
    values = pictures.input_values(
        [input_statistics(seen[:2]), tensors, input_statistics(seen[2:])]
    )
    there = {name: np.isfinite(each).tolist() for name, each in values.items()}
    assert there["sharpness"] == there["blockiness"] == [True, True, False, False, True]
    assert there["tint"] == [False, True, False, False, True]
    alone = pictures.input_values([input_statistics(seen[2:])])
    assert {
        name: each[-1] for name, each in values.items() if name in there and name != "tensor_mean"
    } == {name: each[0] for name, each in alone.items() if name != "tensor_mean"}


@pytest.mark.parametrize("channels", [1, 3])
def test_a_thumbnail_is_small_and_a_small_picture_stays_as_it_is(channels: int) -> None:
    big, small = scene(300, 150, channels), scene(20, 30, channels)
    assert opened(thumbnail_png(big, 96)).size == (48, 96)
    assert (np.asarray(opened(thumbnail_png(small, 96))).reshape(small.shape) == small).all()
    wide = Image.fromarray(grey(20, 30).astype(np.uint16) * 256)
    assert (np.asarray(opened(thumbnail_png(wide, 96))) == grey(20, 30)).all()


def opened(file: bytes) -> Image.Image:
    return Image.open(BytesIO(file))
