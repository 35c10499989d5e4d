"""Laws of imaging: whatever comes in, a row or InvalidInput comes out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.validation import parse_settings
from batchproof_server.imaging.exif import read_orientation, upright
from batchproof_server.imaging.geometry import Region, Size, as_array, framing
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.recipe import Recipe, RecipeSettings
from batchproof_server.imaging.settings import recipe_plan
from unit.imaging.pictures import all_pictures, compiled

PICTURES = all_pictures()
LIMITS = ImageLimits(max_image_pixels=200_000)
RECIPES = (
    compiled({"preset": "keras-load-img", "orientation": "apply"}, limits=LIMITS),
    compiled(
        {"preset": "keras-load-img", "color": "grayscale", "resize": {"method": "lanczos"}},
        (32, 24, 1),
        limits=LIMITS,
    ),
    compiled({"preset": "torchvision-eval"}, limits=LIMITS),
)


@st.composite
def mutated_files(draw: st.DrawFn) -> bytes:
    """A valid file with bytes overwritten, cut out, put in from another file, or cut short."""
    file = bytearray(PICTURES[draw(st.sampled_from(sorted(PICTURES)))])
    for _ in range(draw(st.integers(0, 5))):
        start = _position(draw, file)
        match draw(st.sampled_from(("flip", "header", "cut", "splice"))):
            case "flip":
                file[start : start + 1] = draw(st.binary(min_size=1, max_size=4))
            case "header":
                early = min(start, draw(st.integers(0, 100)))
                file[early : early + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del file[start : start + draw(st.integers(1, 64))]
            case _:
                other = PICTURES[draw(st.sampled_from(sorted(PICTURES)))]
                file[start:start] = other[: draw(st.integers(1, 200))]
    if draw(st.booleans()):
        del file[_position(draw, file) :]
    return bytes(file)


def _position(draw: st.DrawFn, file: bytearray) -> int:
    return draw(st.integers(0, max(0, len(file) - 1)))


def row_or_refusal(recipe: Recipe, file: bytes) -> bytes | str:
    """Applies the recipe and checks whatever comes out."""
    try:
        row = recipe.apply(file)
    except InvalidInput as refused:
        text, cause = str(refused), refused.__cause__
    else:
        assert row.shape == recipe.row_shape
        return row.tobytes()
    assert text.startswith("the ")
    assert not any(part in text for part in ("0x", "<", "/", "Traceback"))
    assert not isinstance(cause, Warning)
    return text


@settings(settings.get_profile("fuzz"))
@given(mutated_files(), st.sampled_from(RECIPES))
def test_a_mutated_file_gives_a_row_or_invalid_input_and_the_same_one_again(
    file: bytes, recipe: Recipe
) -> None:
    assert row_or_refusal(recipe, file) == row_or_refusal(recipe, file)


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", b"GIF89a", b"BM"]))
def test_random_bytes_give_invalid_input(body: bytes, start: bytes) -> None:
    assert isinstance(row_or_refusal(RECIPES[0], start + body), str | bytes)


@given(st.binary(max_size=200), st.sampled_from([b"", b"II*\0", b"MM\0*", b"II*\0\x08\0\0\0"]))
def test_any_exif_block_has_an_orientation(tiff: bytes, start: bytes) -> None:
    assert read_orientation(start + tiff) in range(1, 9)


@given(st.integers(2, 8), st.integers(1, 9), st.integers(1, 9))
def test_an_orientation_moves_pixels_and_changes_none(
    orientation: int, height: int, width: int
) -> None:
    pixels = np.arange(height * width, dtype=np.uint8).reshape(height, width, 1)
    image = Image.fromarray(pixels[:, :, 0])

    turned = as_array(upright(pixels, orientation))

    assert np.array_equal(as_array(upright(image, orientation)), turned)

    shape = (width, height) if orientation >= 5 else (height, width)
    assert turned.shape[:2] == shape
    assert sorted(turned.ravel().tolist()) == list(range(height * width))


@pytest.mark.parametrize(
    "policy", ["stretch", "short_side_center_crop", "pad", "keep_aspect_ratio", "resize_with_pad"]
)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 64), st.integers(1, 64))
def test_every_policy_makes_exactly_the_size_that_is_wanted(
    policy: str, width: int, height: int, wanted_width: int, wanted_height: int
) -> None:
    resize = {"policy": policy} | ({"short_side": 64} if "crop" in policy else {})
    if policy == "resize_with_pad":
        resize |= {"library": "tensorflow", "method": "bilinear"}
    written = parse_settings(RecipeSettings, {"preset": "keras-load-img", "resize": resize})
    plan, wanted = recipe_plan(written).resize, Size(wanted_width, wanted_height)
    assert plan is not None

    came = Size(width, height)
    framed = framing(plan, came, wanted)
    kept = np.zeros((framed.kept.height, framed.kept.width, 1), np.uint8)
    pixels = framed.placed(kept, plan.pad_color)

    assert pixels.shape == (wanted_height, wanted_width, 1)


@given(st.integers(-9, 5), st.integers(-9, 5), st.integers(1, 30), st.integers(1, 30))
def test_a_part_that_lies_beyond_a_picture_is_filled_with_0_in_both_forms(
    left: int, top: int, width: int, height: int
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    part = Region(left, top, max(width, 1 - left), max(height, 1 - top))
    if part.size == Size(9, 7):  # that is the whole picture
        part = Region.whole(part.size)

    assert np.array_equal(part.of(pixels), np.asarray(part.of(Image.fromarray(pixels))))
