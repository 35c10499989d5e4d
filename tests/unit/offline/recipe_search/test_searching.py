"""The search over a model whose answers are worked out: which recipes it visits and keeps."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from batchproof_server.base.meaning import MOST_PROBABLE
from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.mistakes import Change, changes, differing_parts
from batchproof_server.imaging.recipe import Recipe, compile_recipe, pillow_plugs
from batchproof_server.imaging.resize import ResizeSettings
from batchproof_server.imaging.settings import RecipeSettings
from batchproof_server.offline.datasets.pictures import InvalidData
from batchproof_server.offline.evaluation.result import EvaluatedModel
from batchproof_server.offline.recipe_search.answering import ManyRecipes, Unfit
from batchproof_server.offline.recipe_search.candidates import RecipeInput
from batchproof_server.offline.recipe_search.result import FoundRecipes, found_recipes
from batchproof_server.offline.recipe_search.searching import (
    FEWEST_PICTURES,
    MOST_RECIPES,
    RecipeSearch,
    mixed,
)

if TYPE_CHECKING:
    from batchproof_server.models.served import ServedModel
    from batchproof_server.offline.asking import Predict

MODEL = RecipeInput(
    TensorSpec("image", np.dtype(np.float32), (96, 96, 3)), pillow_plugs(), ImageLimits()
)
TRUE = compile_recipe(
    RecipeSettings(
        preset="torchvision-eval",
        orientation="apply",
        resize=ResizeSettings(short_side=110),
    ),
    MODEL.spec,
    MODEL.plugs,
    MODEL.limits,
)
COSTS = {
    "scaling": 0.9,
    "colour order": 0.7,
    "orientation": 0.5,
    "policy": 0.4,
    "filter": 0.001,
    "decoder": 0.001,
}


@dataclass(slots=True)
class WorkedOut(ManyRecipes):
    """Each part in which a recipe is not the true one costs the truth some probability.

    Attributes:
        refuses: digests of recipes that refuse the tenth picture.
        asked: the pictures that answers were asked for, by digest.
        costs: what recipes cost the truth, by digest; worked out once, which takes long.
    """

    refuses: frozenset[str] = frozenset()
    asked: dict[str, list[int]] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)

    async def probabilities(self, place: int, recipes: Sequence[Recipe]) -> Array:
        """Of class 0, which is true, and of class 1."""
        unfit = {each.digest: "too long" for each in recipes if each.digest in self.refuses}
        if unfit and place == 10:
            raise Unfit(unfit)
        for each in recipes:
            self.asked.setdefault(each.digest, []).append(place)
        logits = [self._logit(place, each) for each in recipes]
        true = 1 / (1 + np.exp(-np.array(logits)))
        return np.stack([true, 1 - true], axis=1).astype(np.float32)

    def _logit(self, place: int, recipe: Recipe) -> float:
        own = zlib.crc32(f"{place} {recipe.digest}".encode()) % 1000 / 2500 - 0.2
        if (cost := self.costs.get(recipe.digest)) is None:
            cost = sum(COSTS[part] for part in differing_parts(TRUE.plan, recipe.plan))
            self.costs[recipe.digest] = cost
        return float(SHARED[place] + own - 2 * cost)


@dataclass(slots=True)
class Unsure(WorkedOut):
    """A model that is less sure than it is right, and surer under another scaling, not better.

    Attributes:
        surer: whether it is, by the digest of the recipe.
    """

    surer: dict[str, bool] = field(default_factory=dict)

    async def probabilities(self, place: int, recipes: Sequence[Recipe]) -> Array:
        """Of class 0, which is true, and of class 1."""
        for each in recipes:
            if each.digest not in self.costs:
                parts = differing_parts(TRUE.plan, each.plan)
                self.surer[each.digest] = "scaling" in parts
                self.costs[each.digest] = sum(COSTS[part] for part in parts if part != "scaling")
        logits = np.array([self._logit(place, each) for each in recipes])
        is_surer = [self.surer[each.digest] for each in recipes]
        true = 1 / (1 + np.exp(-np.where(is_surer, 0.6, 0.15) * logits))
        return np.stack([true, 1 - true], axis=1).astype(np.float32)


SHARED = np.random.default_rng(1).normal(1.2, 1, 400)


def _search(
    pictures: int, refuses: frozenset[str] = frozenset(), kind: type[WorkedOut] = WorkedOut
) -> RecipeSearch:
    nobody = cast("ServedModel", None)
    asker = kind(nobody, cast("Predict", None), (), refuses=refuses)
    return RecipeSearch(
        asker=asker,
        truth=np.zeros(pictures, np.int64),
        meaning=MOST_PROBABLE,
        model=MODEL,
        begin=lambda _title, _total: lambda _done: None,
    )


def _subject(pictures: int) -> EvaluatedModel:
    return EvaluatedModel(
        "m", 1, "", "", "", "", "", "", (1,), "data", pictures, pictures, ("yes", "no")
    )


async def _found(own: Recipe, pictures: int, kind: type[WorkedOut] = WorkedOut) -> FoundRecipes:
    search = _search(pictures, kind=kind)
    best = await search.run(own)
    first = search.tried[own.digest]
    return found_recipes(search, best, first, _subject(pictures), has_recipe=True)


@pytest.mark.parametrize(
    "change", changes(TRUE.plan, MODEL.plugs)[::5], ids=lambda change: change.name
)
async def test_from_any_mistake_the_true_recipe_is_found_and_costly_ones_are_not_tied(
    change: Change,
) -> None:
    own = MODEL.compiled(change.plan)
    assert own is not None
    found = await _found(own, 200)

    assert TRUE.digest in [each.digest for each in found.tied]
    assert found.is_own_beaten == (COSTS[change.part] > 0.1)
    assert {part for each in found.tied for part in differing_parts(TRUE.plan, each.plan)} <= {
        "filter",
        "decoder",
    }


async def test_a_recipe_under_which_a_model_is_only_surer_beats_nothing() -> None:
    found = await _found(TRUE, 200, Unsure)

    assert "scaling" in differing_parts(TRUE.plan, found.leader.plan)
    assert found.own is not None
    assert found.own.behind_interval[0] > 0  # by the likelihood alone it would be beaten
    assert not found.is_own_beaten
    assert found.own.reason == "the leader is surer, and not better beyond doubt"
    assert found.to_write.digest == TRUE.digest


async def test_of_an_unsure_model_too_a_better_recipe_beats_a_wrong_one() -> None:
    own = MODEL.compiled(replace(TRUE.plan, color="bgr"))
    assert own is not None
    found = await _found(own, 400, Unsure)

    assert found.is_own_beaten
    assert "colour order" not in differing_parts(TRUE.plan, found.to_write.plan)


async def test_several_mistakes_at_once_are_found_and_the_nearest_tied_recipe_is_to_write() -> None:
    plan = replace(TRUE.plan, color="bgr", normalize=None, orientation="ignore")
    own = MODEL.compiled(plan)
    assert own is not None
    found = await _found(own, 200)

    assert found.is_own_beaten
    assert found.to_write.digest == TRUE.digest


async def test_a_true_recipe_is_kept_whoever_leads() -> None:
    found = await _found(TRUE, 150)

    assert not found.is_own_beaten
    assert found.to_write.digest == TRUE.digest
    assert found.leader.behind == 0


async def test_every_recipe_sees_the_first_pictures_once_and_few_see_all() -> None:
    search = _search(300)
    await search.run(TRUE)
    asker = cast("WorkedOut", search.asker)
    seen = {len(places) for places in asker.asked.values()}

    assert all(places == list(range(len(places))) for places in asker.asked.values())
    assert {48, 300} <= seen <= {48, 144, 300}
    assert len([places for places in asker.asked.values() if len(places) == 300]) < 40
    assert len(search.tried) <= MOST_RECIPES


async def test_a_recipe_that_refuses_a_picture_is_dropped_and_told() -> None:
    (stretched,) = [each.plan for each in changes(TRUE.plan, MODEL.plugs) if each.name == "stretch"]
    compiled = MODEL.compiled(stretched)
    assert compiled is not None
    search = _search(60, frozenset({compiled.digest}))
    best = await search.run(TRUE)
    found = found_recipes(search, best, search.tried[TRUE.digest], _subject(60), has_recipe=True)

    assert any(each.startswith("stretch") and "too long" in each for each in found.refused)
    assert compiled.digest not in [each.digest for each in found.standings]


async def test_a_picture_that_the_manifests_recipe_refuses_ends_the_search() -> None:
    with pytest.raises(InvalidData, match="too long"):
        await _search(60, frozenset({TRUE.digest})).run(TRUE)


async def test_too_few_pictures_say_nothing() -> None:
    with pytest.raises(InvalidData, match="19 pictures, expected 20 or more"):
        await _search(FEWEST_PICTURES - 1).run(TRUE)


@pytest.mark.parametrize("pictures", [20, 71, 72, 120])
async def test_the_manifests_own_sees_every_picture_however_many_there_are(pictures: int) -> None:
    search = _search(pictures)
    await search.run(TRUE)

    assert search.tried[TRUE.digest].answered == pictures


def test_mixed_items_are_the_same_ones_in_an_order_that_is_always_the_same() -> None:
    items = tuple(range(100))

    assert mixed(items) == mixed(items) != items
    assert sorted(mixed(items)) == list(items)
