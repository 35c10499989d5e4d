"""Quick pixels are Pillow's own, bit for bit, whatever the size, the filter and the cut."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batchproof_server.base.signature import Array
from batchproof_server.imaging.compiled_flavour import QuickPasses, luma, quick_passes, resized
from batchproof_server.imaging.geometry import Region, Size
from batchproof_server.imaging.pillow_flavour import FILTERS
from batchproof_server.imaging.pixels import quick
from batchproof_server.imaging.resize import ResizeMethod

SIDES = st.one_of(st.integers(1, 20), st.integers(1, 300))
SIZES = st.builds(Size, SIDES, SIDES)


def passes() -> QuickPasses:
    found = quick_passes()
    assert found is not None, "numba of the extra pictures is needed, and it must agree with Pillow"
    return found


@st.composite
def pictures(draw: st.DrawFn, channels: tuple[int, ...] = (1, 3)) -> Array:
    """Noise of all levels, or of black and white, which overshoots most."""
    size, count = draw(SIZES), draw(st.sampled_from(channels))
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (size.height, size.width, count)
    if draw(st.booleans()):
        return noise.integers(0, 256, shape, np.uint8)
    return noise.integers(0, 2, shape, np.uint8) * np.uint8(255)


@st.composite
def cuts(draw: st.DrawFn) -> tuple[Size, Region]:
    """A size, and a part of it."""
    size = draw(SIZES)
    left, top = draw(st.integers(0, size.width - 1)), draw(st.integers(0, size.height - 1))
    width = draw(st.integers(1, size.width - left))
    return size, Region(left, top, width, draw(st.integers(1, size.height - top)))


@given(pixels=pictures(), cut=cuts(), method=st.sampled_from(sorted(FILTERS)))
def test_a_resized_array_is_what_pillow_makes_of_the_image(
    pixels: Array, cut: tuple[Size, Region], method: ResizeMethod
) -> None:
    made, kept = cut
    channels = pixels.shape[2]
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)

    quickly = resized(passes(), method, pixels, made, kept)

    pillow = image.resize((made.width, made.height), FILTERS[method])
    expected = np.asarray(pillow).reshape(made.height, made.width, channels)
    assert np.array_equal(quickly, kept.of(expected))


@given(pixels=pictures(channels=(3,)))
def test_the_luma_of_an_array_is_pillows(pixels: Array) -> None:
    assert luma(passes(), pixels).tobytes() == Image.fromarray(pixels).convert("L").tobytes()


def test_this_environment_makes_its_pixels_quickly() -> None:
    """Otherwise the other tests of recipes would not try what the extra serves."""
    assert quick() is not None
