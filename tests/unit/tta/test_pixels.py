from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array
from batchproof_server.imaging.geometry import as_array
from batchproof_server.tta.noise import normal_deviates
from batchproof_server.tta.original import Original
from batchproof_server.tta.pixels import seen
from batchproof_server.tta.views import VIEW_PARAMETERS, View, parse_view

DEVIATES = normal_deviates()
# 1 2 3
# 4 5 6
SMALL = np.array([[[1], [2], [3]], [[4], [5], [6]]], np.uint8)


def scene(height: int, width: int, channels: int = 3, dtype: str = "uint8") -> Array:
    rng = np.random.default_rng(height * 1000 + width)
    return rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


def sight(pixels: Array, chosen: View, key: int = 0) -> Array:
    return as_array(seen(Original.of(pixels), chosen, key, DEVIATES))


def view(pixels: Array, text: str, key: int = 0) -> Array:
    return sight(pixels, parse_view(text), key)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("identity", [[1, 2, 3], [4, 5, 6]]),
        ("hflip", [[3, 2, 1], [6, 5, 4]]),
        ("vflip", [[4, 5, 6], [1, 2, 3]]),
        ("rot90", [[3, 6], [2, 5], [1, 4]]),
        ("rot180", [[6, 5, 4], [3, 2, 1]]),
        ("rot270", [[4, 1], [5, 2], [6, 3]]),
        ("transpose", [[1, 4], [2, 5], [3, 6]]),
        ("transverse", [[6, 3], [5, 2], [4, 1]]),
        ("crop(0.3)", [[2]]),
        ("crop_top_left(0.6)", [[1, 2]]),
        ("crop_top_right(0.6)", [[2, 3]]),
        ("crop_bottom_left(0.6)", [[4, 5]]),
        ("crop_bottom_right(0.6)", [[5, 6]]),
        ("shift(0.3,0)", [[1, 1, 2], [4, 4, 5]]),
        ("shift(-0.34,0.5)", [[2, 3, 3], [2, 3, 3]]),
        ("brightness(1.5)", [[2, 3, 5], [6, 8, 9]]),
        ("contrast(2)", [[0, 1, 3], [5, 7, 9]]),
        ("rotate(0)", [[1, 2, 3], [4, 5, 6]]),
        ("rotate(180)", [[6, 5, 4], [3, 2, 1]]),
        ("scale(1)", [[1, 2, 3], [4, 5, 6]]),
        ("noise(0)", [[1, 2, 3], [4, 5, 6]]),
    ],
)
def test_a_view_is_exactly_what_its_definition_says(text: str, expected: list[list[int]]) -> None:
    assert view(SMALL, text)[:, :, 0].tolist() == expected


def test_a_turn_is_counter_clockwise_as_the_quarter_turns_are() -> None:
    square = scene(40, 40)
    for degrees, quarter in ((90, "rot90"), (-90, "rot270"), (180, "rot180")):
        turned, exact = view(square, f"rotate({degrees})"), view(square, quarter)
        assert (turned == exact).all()


@pytest.mark.parametrize("text", ["rotate(30)", "rotate(90)", "scale(0.6)", "shift(0.4,-0.3)"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_beyond_the_edge_there_is_the_edge_and_no_black_wedge(text: str, dtype: str) -> None:
    white = np.full((30, 50, 1), np.iinfo(dtype).max, dtype)
    assert (view(white, text) == white).all()


def test_outside_a_turned_picture_is_its_nearest_pixel() -> None:
    halves = np.zeros((20, 60, 1), np.uint8)
    halves[:, 30:] = 200
    turned = view(halves, "rotate(90)")[:, :, 0]
    # Counter-clockwise: the bright right half is above.
    assert (turned[:9] == 200).all()
    assert (turned[11:] == 0).all()


def test_a_larger_scale_shows_the_middle() -> None:
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[10:30, 10:30] = 255
    assert (view(pixels, "scale(2)")[2:-2, 2:-2] == 255).all()
    smaller = view(pixels, "scale(0.5)")
    assert (smaller[17:23, 17:23] == 255).all()
    assert (smaller[:13] == 0).all()


def test_jpeg_is_what_pillow_makes_of_that_quality() -> None:
    pixels = scene(33, 47)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=60, subsampling="4:2:0")
    assert (view(pixels, "jpeg(60)") == np.asarray(Image.open(file))).all()


def test_jpeg_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(InvalidInput, match='16 bits a pixel, the view "jpeg" needs 8'):
        view(scene(4, 4, 1, "uint16"), "jpeg(60)")
    with pytest.raises(InvalidInput, match="65501 pixels"):
        view(np.zeros((1, 65_501, 1), np.uint8), "jpeg(60)")


@st.composite
def pictures(draw: st.DrawFn) -> Array:
    dtype = draw(st.sampled_from(["uint8", "uint16"]))
    channels = draw(st.sampled_from([1, 3])) if dtype == "uint8" else 1
    return scene(draw(st.integers(1, 40)), draw(st.integers(1, 40)), channels, dtype)


@st.composite
def views(draw: st.DrawFn) -> View:
    name = draw(st.sampled_from([name for name in VIEW_PARAMETERS if name != "five_crop"]))
    parameters = VIEW_PARAMETERS[name]
    return View(
        name,
        tuple(
            float(
                draw(st.integers(int(np.ceil(each.lowest)), int(each.highest)))
                if each.whole
                else draw(st.floats(each.lowest, each.highest))
            )
            for each in parameters
        ),
    )


@given(pictures(), views(), st.integers(0, 2**128 - 1))
def test_a_view_keeps_dtype_and_channels_and_repeats_bit_for_bit(
    pixels: Array, chosen: View, key: int
) -> None:
    if chosen.name == "jpeg" and pixels.dtype != np.uint8:
        return
    before = pixels.copy()
    first, again = sight(pixels, chosen, key), sight(pixels.copy(), chosen, key)
    assert (pixels == before).all()
    assert first.dtype == pixels.dtype
    assert first.shape[2] == pixels.shape[2]
    assert first.tobytes() == again.tobytes()
    if not chosen.name.startswith(("crop", "rot90", "rot270", "trans")):
        assert first.shape == pixels.shape


@given(pictures(), st.sampled_from(["hflip", "vflip", "rot180", "transpose", "transverse"]))
def test_a_symmetry_done_twice_is_the_picture(pixels: Array, text: str) -> None:
    assert (view(view(pixels, text), text) == pixels).all()


@given(pictures(), views(), st.integers(0, 2**128 - 1))
def test_a_view_of_an_image_is_that_of_its_pixels(pixels: Array, chosen: View, key: int) -> None:
    if chosen.name == "jpeg" and pixels.dtype != np.uint8:
        return
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    of_image = as_array(seen(Original.of(image), chosen, key, DEVIATES))
    assert of_image.dtype == pixels.dtype
    assert of_image.tobytes() == np.ascontiguousarray(sight(pixels, chosen, key)).tobytes()


@given(
    pictures(),
    st.one_of(
        st.floats(-180, 180),
        st.integers(-4, 4).map(lambda quarter: 45.0 * quarter),
        st.sampled_from([1e-9, 89.9999999, 90.0000001, 179.9999, -1e-3]),
    ),
)
def test_every_pixel_outside_a_turned_picture_is_its_nearest(pixels: Array, degrees: float) -> None:
    height, width = pixels.shape[:2]
    radians = np.radians(degrees)
    y, x = np.indices((height, width)) + 0.5
    across, down = x - width / 2, y - height / 2
    u = across * np.cos(radians) - down * np.sin(radians) + width / 2
    v = across * np.sin(radians) + down * np.cos(radians) + height / 2
    # Within a millionth of a pixel of the edge rounding decides.
    outside = (u < -1e-5) | (u > width + 1e-5) | (v < -1e-5) | (v > height + 1e-5)
    clear = outside & (abs(u - np.rint(u)) > 1e-5) & (abs(v - np.rint(v)) > 1e-5)
    nearest_x = np.clip(np.floor(u), 0, width - 1).astype(int)
    nearest_y = np.clip(np.floor(v), 0, height - 1).astype(int)
    turned = sight(pixels, View("rotate", (degrees,)))
    assert (turned[clear] == pixels[nearest_y, nearest_x][clear]).all()
