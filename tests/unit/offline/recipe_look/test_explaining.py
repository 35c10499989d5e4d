import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.mistakes import TURNS, Change, changes
from batchproof_server.imaging.normalize import NormalizeSettings
from batchproof_server.imaging.recipe import pillow_plugs
from batchproof_server.imaging.scalings import scalings
from batchproof_server.imaging.settings import RecipePlan, RecipeSettings, recipe_plan
from batchproof_server.offline.recipe_look.explaining import Explainer
from batchproof_server.offline.recipe_look.explanation import Explanation, other_array
from batchproof_server.offline.recipe_search.candidates import RecipeInput

MODEL = RecipeInput(
    TensorSpec("image", np.dtype(np.float32), (32, 32, 3)), pillow_plugs(), ImageLimits()
)
SHAPE = (32, 32, 3)


def _photograph() -> bytes:
    """100 x 72 pixels of noise on slopes that differ by channel, held by 90 degrees."""
    random = np.random.default_rng(8)
    slopes = np.stack(np.broadcast_arrays(*np.mgrid[:72, :100]), axis=-1)
    slopes = np.concatenate([slopes, slopes[..., :1] - slopes[..., 1:]], axis=-1)
    noisy = 100 + slopes * np.array([1.2, 0.9, 0.5]) + random.normal(0, 30, (72, 100, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=92, exif=exif)
    return file.getvalue()


ENCODED = _photograph()


def _compiled(settings: RecipeSettings) -> RecipePlan:
    compiled = MODEL.compiled(recipe_plan(settings))
    assert compiled is not None
    return compiled.plan


TRUE = _compiled(RecipeSettings(preset="keras-applications:mobilenet_v2", orientation="apply"))


def _explainer(plan: RecipePlan = TRUE) -> Explainer:
    recipe = MODEL.compiled(plan)
    assert recipe is not None
    return Explainer(recipe, MODEL, ENCODED)


def _row(plan: RecipePlan) -> Array:
    return _explainer(plan).row


def _explain(mine: Array, *, first: bool = False) -> Explanation:
    return _explainer().explain(other_array(mine, SHAPE, channels_first=first))


def test_the_same_array_is_the_same_bit_for_bit() -> None:
    found = _explain(_row(TRUE))

    assert found.is_same
    assert found.before.greatest == 0
    assert found.differences == ()


@pytest.mark.parametrize(
    "change", changes(TRUE, MODEL.plugs), ids=lambda change: f"{change.part}: {change.name}"
)
def test_one_usual_mistake_is_named_and_explains_all(change: Change) -> None:
    found = _explain(_row(change.plan))

    assert found.is_whole
    assert [mine for mine, _ in found.differences] in ([change.name], [])
    assert found.is_same == (not found.differences)


def test_two_mistakes_at_once_are_both_named() -> None:
    mine = _row(replace(TRUE, color="bgr", normalize=scalings(TRUE)["x / 255"]))

    assert _explain(mine).differences == (("x / 255", "x / 127.5 - 1"), ("bgr", "rgb"))


def test_three_mistakes_at_once_are_named() -> None:
    (stretched,) = [each.plan for each in changes(TRUE, MODEL.plugs) if each.name == "pad with 0"]
    mine = _row(replace(stretched, color="bgr", orientation="ignore", normalize=None))
    found = _explain(mine)

    assert found.is_whole
    assert [told for told, _ in found.differences] == [
        "0..255",
        "bgr",
        "EXIF orientation ignored",
        "pad with 0",
    ]


# The picture is held by 90 degrees, so that turned by as much is its orientation ignored.
@pytest.mark.parametrize("name", sorted(set(TURNS) - {"turned by 90 degrees"}))
def test_a_turned_array_is_told(name: str) -> None:
    found = _explain(TURNS[name](_row(TRUE)).copy())

    assert found.is_whole
    assert found.differences == ((name, "not turned"),)


def test_a_scaling_without_a_name_is_fitted() -> None:
    own = NormalizeSettings(mean=(10.0, 20.0, 30.0), std=(50.0, 60.0, 70.0))
    found = _explain(_row(replace(TRUE, normalize=own)))

    assert found.differences == (("(x - [10, 20, 30]) / [50, 60, 70]", "x / 127.5 - 1"),)
    assert found.explained > 0.999999


def test_an_axis_of_one_row_and_channels_first_are_put_aside_and_told() -> None:
    mine = _row(TRUE).transpose(2, 0, 1)[np.newaxis]
    found = _explain(mine)

    assert found.is_same
    assert found.forms == ("an axis of rows, of one row", "channels first")


def test_half_precision_is_rounding() -> None:
    assert _explain(_row(TRUE).astype(np.float16)).is_same


def test_noise_is_explained_by_no_mistake() -> None:
    found = _explain(np.random.default_rng(1).normal(0, 1, SHAPE).astype(np.float32))

    assert not found.is_whole
    assert found.explained < 0.6


@pytest.mark.parametrize(
    "mine",
    [
        np.zeros((2, 32, 32, 3)),
        np.zeros((31, 32, 3)),
        np.zeros(0),
        np.array(3.0),
        np.full(SHAPE, np.nan),
        np.zeros(SHAPE, complex),
        np.full(SHAPE, "a"),
    ],
    ids=["rows", "size", "empty", "number", "nan", "complex", "text"],
)
def test_an_array_of_another_kind_is_refused_in_words(mine: Array) -> None:
    with pytest.raises(ValueError, match=r"it is .* expected"):
        other_array(mine, SHAPE, channels_first=False)
