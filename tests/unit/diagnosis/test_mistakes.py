"""The usual mistakes of a recipe, as far as they differ from it."""

from itertools import combinations

import numpy as np
import pytest

from batchproof_server.base.signature import TensorSpec
from batchproof_server.diagnosis.mistakes import Mistakes, usual_mistakes
from batchproof_server.diagnosis.scalings import TOLD_APART
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.normalize import NormalizeSettings
from batchproof_server.imaging.presets import Color
from batchproof_server.imaging.recipe import RecipeSettings, compile_recipe, pillow_plugs
from batchproof_server.imaging.resize import ResizeSettings
from batchproof_server.imaging.scalings import scaling_ends

RESIZE = ResizeSettings(library="pillow", method="bilinear")
UNIT = NormalizeSettings(divisor=255.0)


def mistakes_of(settings: RecipeSettings, channels: int = 3, dtype: str = "float32") -> Mistakes:
    spec = TensorSpec("image", np.dtype(dtype), (8, 8, channels))
    plugs = pillow_plugs()
    return usual_mistakes(compile_recipe(settings, spec, plugs, ImageLimits()), spec, plugs)


def causes(mistakes: Mistakes) -> set[str]:
    framings = {each.cause for each in mistakes.framings}
    return framings | {each.cause for each in mistakes.scalings}


def test_the_declared_recipe_comes_first() -> None:
    mistakes = mistakes_of(RecipeSettings(resize=RESIZE, normalize=UNIT))
    assert mistakes.framings[0].cause == mistakes.scalings[0].cause == ""
    assert mistakes.scalings[0].normalize == UNIT


def test_what_is_declared_is_no_mistake() -> None:
    unit = causes(mistakes_of(RecipeSettings(resize=RESIZE, normalize=UNIT)))
    assert {"scaling:symmetric", "scaling:imagenet", "scaling:none", "color:bgr"} <= unit
    assert not unit & {"scaling:unit", "policy:stretch", "filter:bilinear", "color:rgb"}
    raw = causes(mistakes_of(RecipeSettings(resize=RESIZE)))
    assert "scaling:unit" in raw
    assert "scaling:none" not in raw


def test_a_grey_recipe_has_no_order_of_colours() -> None:
    grey = mistakes_of(RecipeSettings(color="grayscale", resize=RESIZE, normalize=UNIT), 1)
    assert not [cause for cause in causes(grey) if cause.startswith("color:")]


def test_whole_levels_cannot_be_scaled() -> None:
    whole = mistakes_of(RecipeSettings(resize=RESIZE, dtype="uint8"), dtype="uint8")
    assert [each.cause for each in whole.scalings] == [""]


def test_a_scaling_makes_what_its_formula_says() -> None:
    mistakes = mistakes_of(RecipeSettings(resize=RESIZE, normalize=UNIT))
    levels = np.random.default_rng(2).integers(0, 256, (8, 8, 3)).astype(np.float32)
    made = {each.cause: each.row(levels) for each in mistakes.scalings}
    assert made["scaling:symmetric"] == pytest.approx(levels / 127.5 - 1, abs=1e-6)
    assert made["scaling:inverted"] == pytest.approx(1 - levels / 255, abs=1e-6)
    assert float(made["scaling:per_image"].std()) == pytest.approx(1, abs=1e-5)


def test_a_mistake_is_called_what_recipes_that_are_looked_at_call_it() -> None:
    mistakes = mistakes_of(RecipeSettings(resize=RESIZE, normalize=UNIT))
    framings = {each.cause: each.title for each in mistakes.framings}
    assert framings["color:bgr"] == "bgr instead of rgb"
    assert framings["filter:nearest"] == "pillow nearest instead of pillow bilinear"
    assert framings["filter:hamming"] == "pillow hamming instead of pillow bilinear"
    assert framings["policy:crop256"] == "short side 9, centre crop instead of stretch"
    assert framings["axes:transposed"] == "height and width exchanged"
    titles = {each.cause: each.title for each in mistakes.scalings}
    assert titles["scaling:symmetric"] == "x / 127.5 - 1 instead of x / 255"
    assert titles["scaling:mnist"] == "mean and std of MNIST instead of x / 255"


@pytest.mark.parametrize("color", ["rgb", "bgr", "grayscale"])
def test_no_two_mistakes_have_one_cause_and_scalings_can_be_told_apart(color: Color) -> None:
    channels = 1 if color == "grayscale" else 3
    settings = RecipeSettings(color=color, resize=RESIZE, normalize=UNIT)
    mistakes = mistakes_of(settings, channels)
    tried = [each.cause for each in mistakes.framings[1:]]
    tried += [each.cause for each in mistakes.scalings]
    assert len(set(tried)) == len(tried)
    for one, other in combinations(mistakes.scalings[:-2], 2):
        ends = (scaling_ends(each.normalize, channels) for each in (one, other))
        (black, white), (other_black, other_white) = ends
        apart = max(abs(black - other_black).max(), abs(white - other_white).max())
        assert apart > TOLD_APART * abs(white - black).max()
