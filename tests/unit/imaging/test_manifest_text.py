import tomllib

import numpy as np
import pytest

from batchproof_server.base.signature import TensorSpec
from batchproof_server.base.validation import parse_settings
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.manifest_text import recipe_text
from batchproof_server.imaging.mistakes import Change, changes
from batchproof_server.imaging.recipe import compile_recipe, pillow_plugs
from batchproof_server.imaging.resize import ResizeSettings
from batchproof_server.imaging.settings import RecipePlan, RecipeSettings, recipe_plan

PLUGS = pillow_plugs()
SPEC = TensorSpec("image", np.dtype(np.float32), (96, 96, 3))


def _plan(settings: RecipeSettings, spec: TensorSpec = SPEC) -> RecipePlan:
    return compile_recipe(settings, spec, PLUGS, ImageLimits()).plan


TRUE = _plan(RecipeSettings(preset="torchvision-eval", resize=ResizeSettings(short_side=110)))


def _read_again(text: str) -> RecipePlan:
    return recipe_plan(parse_settings(RecipeSettings, tomllib.loads(text)["recipe"]))


@pytest.mark.parametrize(
    "change", changes(TRUE, PLUGS), ids=lambda change: f"{change.part}: {change.name}"
)
def test_a_recipe_that_is_written_and_read_again_is_the_same(change: Change) -> None:
    assert _read_again(recipe_text(change.plan)) == change.plan


def test_bytes_channels_first_and_formats_are_written_where_they_are_not_the_default() -> None:
    spec = TensorSpec("image", np.dtype(np.uint8), (3, 96, 96))
    written = RecipeSettings(
        preset="keras-load-img", dtype="uint8", layout="channels_first", formats=("jpeg",)
    )
    plan = _plan(written, spec)

    text = recipe_text(plan)

    assert _read_again(text) == plan
    assert {'dtype = "uint8"', 'layout = "channels_first"', 'formats = ["jpeg"]'} <= set(
        text.splitlines()
    )


def test_a_recipe_that_does_nothing_is_its_table_alone() -> None:
    assert recipe_text(_plan(RecipeSettings())).splitlines() == [
        "[recipe]",
        'decoder = "accurate"',
        'color = "rgb"',
        'orientation = "ignore"',
    ]
