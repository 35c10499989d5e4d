"""The short form of ``recipe find`` that an evaluation ends with."""

import asyncio
from collections.abc import Sequence
from typing import Final

from batchproof_server.application.config import Config
from batchproof_server.base.spread import spread
from batchproof_server.commands.bars import Bars
from batchproof_server.commands.serving import Serving, recipe_input
from batchproof_server.offline.datasets.pictures import LabelledPicture
from batchproof_server.offline.evaluation.paths import EvaluationFailed
from batchproof_server.offline.evaluation.result import EvaluatedModel, RecipeComparison
from batchproof_server.offline.recipe_search.result import FoundRecipes, found_recipes
from batchproof_server.offline.recipe_search.searching import mixed
from batchproof_server.offline.recipe_search.served import search_of

MOST_PICTURES: Final = 100
"""Enough for every mistake but one about the short side; see ``docs/recipes.md``."""
TIME_LIMIT_S: Final = 60.0


async def check_recipe(
    serving: Serving,
    config: Config,
    pictures: Sequence[LabelledPicture],
    subject: EvaluatedModel,
    bars: Bars,
    *,
    time_limit_s: float = TIME_LIMIT_S,
) -> RecipeComparison:
    """Compares the manifest's recipe with the plausible others on some of the pictures.

    An evaluation never fails by it: what hinders the comparison is what it says.

    Args:
        serving: the model, which has a recipe.
        config: what the user set.
        pictures: that were evaluated, of which at most ``MOST_PICTURES`` are asked about.
        subject: the model and the pictures.
        bars: shows the steps.
        time_limit_s: after which it is given up.
    """
    chosen = mixed(spread(tuple(pictures), MOST_PICTURES))
    loaded, own = serving.model.loaded, serving.model.expansion.recipe
    try:
        model = recipe_input(loaded, config)
        search = search_of(serving.model, serving.core.predict, model, chosen, bars.begin)
        best = await asyncio.wait_for(search.run(own), time_limit_s)
    except TimeoutError:
        return _not_compared(f"the search takes longer than {time_limit_s:g} s")
    except (EvaluationFailed, ValueError) as fault:
        return _not_compared(str(fault))
    first = search.tried[own.digest]
    return _said(found_recipes(search, best, first, subject, has_recipe=True), len(chosen))


def _not_compared(reason: str) -> RecipeComparison:
    text = f"not compared with others: {reason}; `batchproof-server recipe find` has no limits"
    return RecipeComparison(is_beaten=False, note=text)


def _said(found: FoundRecipes, pictures: int) -> RecipeComparison:
    own = found.own
    if own is None or not found.is_own_beaten:
        text = f"beaten by none of {found.comparisons} others on {pictures} pictures"
        return RecipeComparison(is_beaten=False, note=text)
    right = found.to_write
    text = (
        f"BEATEN beyond doubt on {own.pictures} pictures: it has "
        f"{' and '.join(own.differences(right.plan))}, not "
        f"{' and '.join(right.differences(own.plan))}, and is {own.behind:.3g} nats a picture "
        "behind the most likely one; `batchproof-server recipe find` says what to write"
    )
    return RecipeComparison(is_beaten=True, note=text)
