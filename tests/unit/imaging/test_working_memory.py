"""What work on a picture takes is known from its header."""

import pytest

from batchproof_server.imaging.formats.table import FORMATS
from batchproof_server.imaging.header import ImageHeader
from batchproof_server.imaging.recipe import Recipe
from unit.imaging.pictures import all_pictures, compiled, encoded, image

PICTURES = all_pictures()
PILLOW = {"preset": "keras-load-img"}


def _decoding_bytes(recipe: Recipe, width: int, height: int, views: int = 0) -> int:
    return recipe.decoding_bytes(PICTURES["bmp RGB"], ImageHeader("bmp", width, height), views)


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_every_picture_takes_more_than_itself_and_its_file(name: str) -> None:
    recipe, file = compiled(PILLOW), PICTURES[name]
    header = recipe.header(file)

    taken_bytes = recipe.decoding_bytes(file, header)

    assert taken_bytes > 2 * len(file) + 4 * header.width * header.height


def test_a_jpeg_in_several_scans_takes_its_coefficients_too() -> None:
    at_once = FORMATS["jpeg"].cost(encoded(image(), "JPEG"))
    in_scans = FORMATS["jpeg"].cost(encoded(image(), "JPEG", progressive=True))

    assert (at_once.accurate, in_scans.accurate) == (5, 10)


def test_a_baseline_jpeg_whose_first_scan_has_one_colour_has_several() -> None:
    file = encoded(image(), "JPEG")
    scan = file.index(b"\xff\xda")
    # The length of the scan's head, then how many colours it has.
    apart = file[: scan + 2] + b"\x00\x08\x01\x01\x00" + file[scan + 11 :]

    assert FORMATS["jpeg"].cost(apart).accurate == 10


def test_views_take_more_and_each_takes_its_row() -> None:
    recipe = compiled(PILLOW)
    plain, one, two = (_decoding_bytes(recipe, 3_000, 2_000, views) for views in range(3))

    assert plain < one
    assert two - one == 32 * 24 * 12


def test_a_long_thin_picture_is_counted_with_what_the_filter_makes_of_it_first() -> None:
    recipe = compiled(PILLOW, (8_000, 8_000, 3))

    assert _decoding_bytes(recipe, 1, 65_000) > 8_000 * 65_000 * 4


def test_without_a_resize_the_row_is_as_large_as_the_picture() -> None:
    recipe = compiled({}, (None, None, 3))

    assert _decoding_bytes(recipe, 4_000, 3_000) > 4_000 * 3_000 * (4 + 12)
