"""How much colour a picture has, and which the light has."""

from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from batchproof_server.base.signature import Array
from batchproof_server.drift.colours import COLOUR_SIGNALS, colour_properties

PIXELS: Final = st.integers(1, 40).flatmap(lambda count: arrays(np.uint8, (count, 3)))


def measured(colours: Array) -> dict[str, float]:
    return dict(zip(COLOUR_SIGNALS, colour_properties([colours])[0].tolist(), strict=True))


@given(PIXELS)
def test_colours_are_measured_as_the_definition_says(colours: Array) -> None:
    whole = colours.astype(int)
    highest, lowest = whole.max(axis=1).sum(), whole.min(axis=1).sum()
    red, green, blue = whole.sum(axis=0)
    found = measured(colours)
    assert found["saturation"] == (highest - lowest) / max(1, highest)
    assert found["warmth"] == (red - blue) / max(1, red + blue)
    assert found["tint"] == (2 * green - red - blue) / max(1, 2 * green + red + blue)
    assert 0 <= found["saturation"] <= 1
    assert -1 <= found["warmth"] <= 1
    assert -1 <= found["tint"] <= 1


@given(arrays(np.uint8, (7, 1)))
def test_grey_pixels_have_no_colour(levels: Array) -> None:
    assert set(measured(levels.repeat(3, axis=1)).values()) == {0}


@given(arrays(np.uint8, (12, 3), elements=st.integers(0, 127)))
def test_the_exposure_changes_nothing(colours: Array) -> None:
    assert measured(colours * 2) == measured(colours)


@pytest.mark.parametrize(
    ("gains", "name", "sign"),
    [
        ((1.2, 1, 0.8), "warmth", 1),
        ((0.8, 1, 1.2), "warmth", -1),
        ((0.9, 1.1, 0.9), "tint", 1),
        ((1.1, 0.9, 1.1), "tint", -1),
    ],
)
@given(colours=arrays(np.uint8, (20, 3), elements=st.integers(40, 200)))
def test_another_light_moves_every_picture_the_same_way(
    gains: tuple[float, float, float], name: str, sign: int, colours: Array
) -> None:
    lit = np.rint(colours * np.array(gains)).astype(np.uint8)
    assert sign * (measured(lit)[name] - measured(colours)[name]) > 0


def test_a_picture_is_measured_alike_alone_and_among_others() -> None:
    numbers = np.random.default_rng(0)
    sizes = (1024, 7, 1024, 1, 31, 1024) * 9
    colours = [numbers.integers(0, 256, (size, 3)).astype(np.uint8) for size in sizes]
    alone = [colour_properties([each])[0].tolist() for each in colours]
    assert colour_properties(colours).tolist() == alone
    assert colour_properties([]).shape == (0, 3)
