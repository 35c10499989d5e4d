"""Recipes without labels: a hint, since a model may be sure of nonsense."""

import json
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.imaging.manifest_text import recipe_text
from batchproof_server.imaging.mistakes import differing_parts, name_in
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.imaging.settings import RecipePlan
from batchproof_server.offline.datasets.pictures import InvalidData
from batchproof_server.offline.evaluation.result import EvaluatedModel
from batchproof_server.offline.recipe_search.answering import ManyRecipes, Unfit
from batchproof_server.offline.recipe_search.candidates import RecipeInput, coarse, near
from batchproof_server.offline.recipe_search.paired import mutual_information
from batchproof_server.offline.recipe_search.searching import FEWEST_PICTURES, Begin

SAYS: Final = (
    "a hint only: without labels nothing shows which recipe is right; a model can be sure of "
    "nonsense. Label 100 to 300 pictures and use --data."
)


@dataclass(frozen=True, slots=True)
class Hint:
    """Recipes by the mutual information of their answers.

    Attributes:
        subject: the model and the pictures.
        ranked: recipe and mutual information in nats, the greatest first.
        own: the manifest's recipe, or what was begun with.
    """

    subject: EvaluatedModel
    ranked: tuple[tuple[RecipePlan, float], ...]
    own: RecipePlan

    def differences(self, plan: RecipePlan) -> str:
        """What a recipe has where it differs from the first."""
        parts = differing_parts(self.ranked[0][0], plan)
        return ", ".join(name_in(part, plan) for part in parts)

    def to_json(self) -> str:
        """One object."""
        recipes = [
            {"recipe": recipe_text(plan), "mutual_information": value, "is_own": plan == self.own}
            for plan, value in self.ranked
        ]
        values = {"format": 1, "hint": SAYS, "pictures": self.subject.pictures, "recipes": recipes}
        return json.dumps(values, sort_keys=True)


async def hint_at(
    asker: ManyRecipes,
    model: RecipeInput,
    own: Recipe,
    subject: EvaluatedModel,
    begin: Begin,
) -> Hint:
    """Tries recipes on pictures that nobody has labelled.

    Raises:
        InvalidData: too few pictures, or one that every recipe refuses.
        EvaluationFailed: the model failed.
    """
    if len(asker.pictures) < FEWEST_PICTURES:
        came = f"{len(asker.pictures)} pictures"
        raise InvalidData([f"{came}, expected {FEWEST_PICTURES} or more to compare recipes"])
    recipes = {own.digest: own}
    _add(recipes, model, [own.plan, *coarse(own.plan, model)])
    ranked = await _ranked(asker, list(recipes.values()), begin)
    known = set(recipes)
    _add(recipes, model, list(near(ranked[0][0], model)))
    fresh = [recipe for digest, recipe in recipes.items() if digest not in known]
    ranked += await _ranked(asker, fresh, begin) if fresh else []
    return Hint(subject, tuple(sorted(ranked, key=lambda each: -each[1])), own.plan)


def _add(recipes: dict[str, Recipe], model: RecipeInput, plans: list[RecipePlan]) -> None:
    for plan in plans:
        recipe = model.compiled(plan)
        if recipe is not None:
            recipes.setdefault(recipe.digest, recipe)


async def _ranked(
    asker: ManyRecipes, recipes: list[Recipe], begin: Begin
) -> list[tuple[RecipePlan, float]]:
    count = begin(f"without labels, {len(recipes)} recipes", len(asker.pictures))
    answers = []
    for place in range(len(asker.pictures)):
        while True:
            try:
                answers.append(await asker.probabilities(place, recipes))
                break
            except Unfit as unfit:
                keep = [each.digest not in unfit.refused for each in recipes]
                recipes = [each for each, kept in zip(recipes, keep, strict=True) if kept]
                answers = [each[keep] for each in answers]
                if not recipes:
                    raise InvalidData(list(unfit.refused.values())[:1]) from unfit
        count(place + 1)
    stacked = np.nan_to_num(np.stack(answers), nan=0.0)
    return [
        (recipe.plan, mutual_information(stacked[:, number]))
        for number, recipe in enumerate(recipes)
    ]
