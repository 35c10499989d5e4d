from dataclasses import replace

import numpy as np
import pytest

from batchproof_server.base.signature import TensorSpec
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.mistakes import (
    PARTS,
    TURNS,
    Change,
    changes,
    changes_of,
    differing_parts,
    name_in,
)
from batchproof_server.imaging.normalize import NormalizeSettings
from batchproof_server.imaging.presets import PRESETS
from batchproof_server.imaging.recipe import compile_recipe, pillow_plugs
from batchproof_server.imaging.resize import ResizeSettings
from batchproof_server.imaging.scalings import known_scalings, scalings
from batchproof_server.imaging.settings import (
    DType,
    RecipePlan,
    RecipeSettings,
    recipe_plan,
    settings_of,
)

PLUGS = pillow_plugs()
LIMITS = ImageLimits()


def _spec(channels: int = 3, dtype: DType = "float32") -> TensorSpec:
    return TensorSpec("image", np.dtype(dtype), (96, 96, channels))


def _plan(settings: RecipeSettings, spec: TensorSpec | None = None) -> RecipePlan:
    return compile_recipe(settings, spec or _spec(), PLUGS, LIMITS).plan


TORCHVISION = _plan(
    RecipeSettings(preset="torchvision-eval", resize=ResizeSettings(short_side=110))
)


@pytest.mark.parametrize("change", changes(TORCHVISION, PLUGS), ids=lambda change: change.name)
def test_a_change_is_in_its_part_alone_and_can_be_compiled(change: Change) -> None:
    compiled = compile_recipe(settings_of(change.plan), _spec(), PLUGS, LIMITS)

    assert compiled.plan == change.plan
    assert differing_parts(TORCHVISION, change.plan) == (change.part,)
    assert name_in(change.part, change.plan) == change.name


def test_every_part_but_the_decoder_has_a_usual_mistake_with_pillow_alone() -> None:
    assert [part for part in PARTS if not changes_of(part, TORCHVISION, PLUGS)] == ["decoder"]


@pytest.mark.parametrize("name", ["torchvision-eval", "keras-applications:mobilenet_v2"])
def test_no_two_changes_are_one_recipe(name: str) -> None:
    short_side = 100 if name == "torchvision-eval" else None
    plan = _plan(RecipeSettings(preset=name, resize=ResizeSettings(short_side=short_side)))
    plans = [change.plan for change in changes(plan, PLUGS)]

    assert len(set(plans)) == len(plans) >= 15


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "keras-image-dataset"])
def test_the_settings_of_a_plan_come_to_that_plan(name: str) -> None:
    short_side = 100 if name == "torchvision-eval" else None
    written = RecipeSettings(preset=name, resize=ResizeSettings(short_side=short_side))

    plan = _plan(written)

    assert recipe_plan(settings_of(plan)) == plan


def test_colours_are_exchanged_with_their_scaling_or_under_it() -> None:
    under = replace(TORCHVISION, color="bgr")
    along = replace(under, normalize=scalings(under)["mean and std of ImageNet"])

    assert [change.plan for change in changes_of("colour order", TORCHVISION, PLUGS)] == [
        along,
        under,
    ]
    assert name_in("colour order", along) == "bgr"
    assert name_in("colour order", under) == "bgr, scaled as rgb"
    assert differing_parts(under, along) == ("colour order",)


def test_the_statistics_of_a_data_set_have_a_name_and_are_searched_for_imagenet_alone() -> None:
    cifar = next(each for each in known_scalings(TORCHVISION) if each.key == "cifar10")
    own = replace(TORCHVISION, normalize=cifar.normalize)

    assert name_in("scaling", own) == "mean and std of CIFAR-10"
    assert "mean and std of CIFAR-10" not in scalings(TORCHVISION)
    assert [change.name for change in changes_of("colour order", own, PLUGS)] == [
        "bgr",
        "bgr, scaled as rgb",
    ]


def test_grey_rows_have_no_colour_order_and_no_scaling_of_three_channels() -> None:
    grey = _plan(RecipeSettings(preset="keras-load-img", color="grayscale"), _spec(channels=1))

    assert changes_of("colour order", grey, PLUGS) == ()
    assert all(
        compile_recipe(settings_of(change.plan), _spec(channels=1), PLUGS, LIMITS)
        for change in changes(grey, PLUGS)
    )


def test_bytes_are_never_scaled() -> None:
    whole = _plan(RecipeSettings(preset="keras-load-img", dtype="uint8"), _spec(dtype="uint8"))

    assert changes_of("scaling", whole, PLUGS) == ()


def test_a_recipe_that_does_not_resize_has_no_other_policy_and_no_filter() -> None:
    plain = _plan(RecipeSettings())

    assert changes_of("policy", plain, PLUGS) == changes_of("filter", plain, PLUGS) == ()


def test_a_scaling_that_nobody_names_is_told_by_its_steps() -> None:
    own = replace(TORCHVISION, normalize=NormalizeSettings(divisor=255.0, offset=-0.1))

    assert name_in("scaling", own) == "divisor 255.0, offset -0.1"


@pytest.mark.parametrize("name", TURNS)
def test_a_turn_moves_values_and_makes_none(name: str) -> None:
    row = np.arange(2 * 3 * 3).reshape(2, 3, 3)

    turned = TURNS[name](row)

    assert turned.shape != row.shape or (turned != row).any()
    assert (np.sort(turned, axis=None) == row.reshape(-1)).all()


def test_a_scaling_has_its_name_however_its_steps_are_written() -> None:
    own = replace(TORCHVISION, normalize=NormalizeSettings(scale=1 / 255, offset=0.0))

    assert name_in("scaling", own) == "x / 255"
    assert "x / 255" not in [change.name for change in changes_of("scaling", own, PLUGS)]
    assert [change.name for change in changes_of("colour order", own, PLUGS)] == ["bgr"]
