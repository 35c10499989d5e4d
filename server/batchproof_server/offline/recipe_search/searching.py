"""The search: coarse to fine, few pictures first, and what is beaten is asked no further."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

import numpy as np

from batchproof_server.base.meaning import Meaning
from batchproof_server.base.signature import Array
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.imaging.settings import RecipePlan
from batchproof_server.offline.asking import Count
from batchproof_server.offline.datasets.pictures import InvalidData
from batchproof_server.offline.evaluation.answers import as_answers
from batchproof_server.offline.recipe_search.answering import ManyRecipes, Unfit
from batchproof_server.offline.recipe_search.candidates import RecipeInput, coarse, near
from batchproof_server.offline.recipe_search.paired import (
    lead,
    log_likelihoods,
    tail_of_each,
)
from batchproof_server.offline.recipe_search.sureness import calibrated_logs

FEWEST_PICTURES: Final = 20
"""Under which nothing is found out."""
CONFIDENCE: Final = 0.99
"""That the best recipe of those that were tried is among the tied ones."""
MOST_RECIPES: Final = 256
"""That are tried in one search."""

Begin: TypeAlias = Callable[[str, int], Count]
"""Begins a step with its title and the number of its pictures."""

_FIRST_PICTURES: Final = (48, 144)
_ROUNDS: Final = 6


Item = TypeVar("Item")


def mixed(items: Sequence[Item]) -> tuple[Item, ...]:
    """The same in an order that is always the same and has nothing to do with theirs.

    So that the first of them are of all classes.
    """
    order = np.random.default_rng(len(items)).permutation(len(items))
    return tuple(items[place] for place in order)


@dataclass(slots=True, eq=False)
class TriedRecipe:
    """A recipe, and what became of the truth under it.

    Attributes:
        recipe: compiled.
        logs: float64 [pictures], of the first pictures of the search so far.
        hits: bool [pictures], whether the answer is right.
        refusal: of a picture that others take; empty where there is none.
        calibrated: like ``logs``, no surer than it should be; see ``calibrated_logs``. Of the
            manifest's recipe and of the best, where the one is beaten by the other.
    """

    recipe: Recipe
    logs: Array = field(default_factory=lambda: np.zeros(0))
    hits: Array = field(default_factory=lambda: np.zeros(0, bool))
    refusal: str = ""
    calibrated: Array | None = None

    @property
    def answered(self) -> int:
        """How many pictures."""
        return len(self.logs)

    @property
    def plan(self) -> RecipePlan:
        """Of the recipe."""
        return self.recipe.plan


# Contract: every recipe is tried on the same pictures in the same order, of which one that is
# tried on fewer has the first. None is dropped but for another that is ahead of it beyond doubt, at
# a level that counts every comparison which a search may make.
@dataclass(slots=True)
class RecipeSearch:
    """Tries recipes on labelled pictures.

    Attributes:
        asker: answers a picture under several recipes.
        truth: int64 [pictures]; of independent labels bool [pictures, labels].
        meaning: of the model's probabilities.
        model: what recipes are compiled against.
        begin: of steps.
        tried: by digest, in the order in which they were.
    """

    asker: ManyRecipes
    truth: Array
    meaning: Meaning
    model: RecipeInput
    begin: Begin
    tried: dict[str, TriedRecipe] = field(default_factory=dict)

    @property
    def pictures(self) -> int:
        """How many there are."""
        return len(self.truth)

    async def run(self, own: Recipe) -> TriedRecipe:
        """Tries what is plausible; returns the best of those that saw every picture.

        Args:
            own: the manifest's, which sees every picture too, or what to begin with.

        Raises:
            InvalidData: pictures that the recipe refuses, or too few.
            EvaluationFailed: the model failed.
        """
        if self.pictures < FEWEST_PICTURES:
            came = f"{self.pictures} pictures"
            raise InvalidData([f"{came}, expected {FEWEST_PICTURES} or more to compare recipes"])
        first = TriedRecipe(own)
        self.tried[own.digest] = first
        await self._try_on([first], self._sizes[0], "the manifest's recipe")
        if first.refusal:
            raise InvalidData([first.refusal])
        self._add(coarse(own.plan, self.model))
        await self._refine("coarse")
        best = await self._finish(first)
        if self._is_beaten(first, tail_of_each(1 - (1 - CONFIDENCE) / 2, len(self.tried) - 1)):
            await self._calibrate((first, best))
        return best

    async def _calibrate(self, pair: tuple[TriedRecipe, TriedRecipe]) -> None:
        """Asks both once more, for all that they answer."""
        count, rows = self.begin("calibrated, 2 recipes", self.pictures), []
        for place in range(self.pictures):
            rows.append(await self.asker.probabilities(place, [each.recipe for each in pair]))
            count(place + 1)
        answers = as_answers(self.truth)
        known = np.nan_to_num(np.stack(rows, axis=1), nan=0.0)
        for each, probabilities in zip(pair, known, strict=True):
            each.calibrated = calibrated_logs(probabilities, answers, self.meaning)

    @property
    def _sizes(self) -> tuple[int, ...]:
        return (*(size for size in _FIRST_PICTURES if 3 * size <= 2 * self.pictures), self.pictures)

    async def _refine(self, title: str) -> None:
        """Tries what is near the best so far, until nothing near is better."""
        few = self._sizes[0]
        for turn in range(_ROUNDS):
            await self._try_on(self._open(), few, title if not turn else f"finer, {turn}")
            if not self._add(near(self._best(few).plan, self.model)):
                return

    async def _finish(self, own: TriedRecipe) -> TriedRecipe:
        """What may be the best sees more pictures, and what is near the best of all does too."""
        for turn in range(_ROUNDS):
            for size in self._sizes[1:]:
                await self._try_on([own, *self._contenders()], size, f"{size} pictures")
                if own.refusal:
                    raise InvalidData([own.refusal])
            best = self._best(self.pictures)
            if turn == _ROUNDS - 1 or not self._add(near(best.plan, self.model)):
                return best
            await self._refine(f"near the best, {turn + 1}")
        return self._best(self.pictures)

    def _add(self, plans: Iterable[RecipePlan]) -> int:
        """Takes recipes into the search; how many are new."""
        before = len(self.tried)
        for plan in plans:
            if len(self.tried) >= MOST_RECIPES:
                break
            recipe = self.model.compiled(plan)
            if recipe is not None:
                self.tried.setdefault(recipe.digest, TriedRecipe(recipe))
        return len(self.tried) - before

    def _open(self) -> list[TriedRecipe]:
        return [each for each in self.tried.values() if not each.refusal]

    def _best(self, size: int) -> TriedRecipe:
        seen = [each for each in self._open() if each.answered >= size]
        return max(seen, key=lambda each: each.logs[:size].mean())

    def _contenders(self) -> list[TriedRecipe]:
        """Those that nothing is ahead of beyond doubt, on the pictures that they have seen."""
        tail = tail_of_each(1 - (1 - CONFIDENCE) / 2, MOST_RECIPES * len(self._sizes))
        return [each for each in self._open() if not self._is_beaten(each, tail)]

    def _is_beaten(self, tried: TriedRecipe, tail: float) -> bool:
        size = tried.answered
        best = self._best(size)
        return best is not tried and lead(best.logs[:size], tried.logs).is_beyond_doubt(tail)

    async def _try_on(self, candidates: Sequence[TriedRecipe], size: int, title: str) -> None:
        """Has candidates answer the first pictures, as many as that."""
        waiting = list({id(each): each for each in candidates if each.answered < size}.values())
        if not waiting:
            return
        count = self.begin(f"{title}, {len(waiting)} recipes", size)
        for place in range(min(each.answered for each in waiting), size):
            asked = [each for each in waiting if each.answered == place and not each.refusal]
            while asked:
                try:
                    recipes = [each.recipe for each in asked]
                    probabilities = await self.asker.probabilities(place, recipes)
                except Unfit as unfit:
                    for each in asked:
                        each.refusal = unfit.refused.get(each.recipe.digest, "")
                    asked = [each for each in asked if not each.refusal]
                    continue
                self._note(asked, place, probabilities)
                break
            count(place + 1)

    def _note(self, asked: Sequence[TriedRecipe], place: int, probabilities: Array) -> None:
        known = np.nan_to_num(probabilities, nan=0.0)
        true = np.repeat(as_answers(self.truth[place : place + 1]), len(asked), axis=0)
        logs = log_likelihoods(self.meaning.probability_of(known.astype(np.float64), true))
        hits = (self.meaning.answers(known) == true).all(axis=1)
        for each, log, hit in zip(asked, logs, hits, strict=True):
            each.logs = np.append(each.logs, log)
            each.hits = np.append(each.hits, hit)
