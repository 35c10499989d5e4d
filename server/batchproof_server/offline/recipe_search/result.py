"""What a search found: the recipes that may be right, those that are not, and what to write."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from batchproof_server.base.intervals import share_interval
from batchproof_server.imaging.manifest_text import recipe_text
from batchproof_server.imaging.mistakes import PARTS, differing_parts, name_in
from batchproof_server.imaging.settings import RecipePlan
from batchproof_server.offline.evaluation.result import EvaluatedModel
from batchproof_server.offline.recipe_search.paired import (
    Lead,
    lead,
    tail_of_each,
)
from batchproof_server.offline.recipe_search.searching import CONFIDENCE, RecipeSearch, TriedRecipe

FORMAT: Final = 1

_MANY_PICTURES: Final = 10_000
_ONLY_SURER: Final = "the leader is surer, and not better beyond doubt"


@dataclass(frozen=True, slots=True)
class Standing:
    """How one recipe stands against the leader.

    Attributes:
        plan: the recipe.
        digest: of the recipe.
        is_manifests: whether it is the manifest's own.
        pictures: that it has seen; fewer than all where it was beaten before.
        log_likelihood: of the truth, the mean in nats.
        right: pictures whose answer is right.
        accuracy_interval: of 95 %.
        behind: how far the leader is ahead, on the pictures that both have seen.
        behind_interval: see ``tail_of_each``.
        is_tied: whether it may be the best.
        reason: why it is tied, or not.
    """

    plan: RecipePlan
    digest: str
    is_manifests: bool
    pictures: int
    log_likelihood: float
    right: int
    accuracy_interval: tuple[float, float]
    behind: float
    behind_interval: tuple[float, float]
    is_tied: bool
    reason: str

    def differences(self, leader: RecipePlan) -> tuple[str, ...]:
        """What it has where it differs from another."""
        return tuple(name_in(part, self.plan) for part in differing_parts(leader, self.plan))

    @property
    def words(self) -> tuple[str, ...]:
        """All that it does, part by part."""
        return tuple(name_in(part, self.plan) for part in PARTS)


@dataclass(frozen=True, slots=True)
class FoundRecipes:
    """The result of a search.

    Attributes:
        subject: the model and the pictures.
        has_recipe: whether the manifest has one.
        confidence: that the best of the recipes is among the tied ones.
        comparisons: that were allowed for.
        standings: the leader first, then by the log-likelihood; those that saw all pictures first.
        refused: why recipes were not tried further, by what they differ in from the leader.
    """

    subject: EvaluatedModel
    has_recipe: bool
    confidence: float
    comparisons: int
    standings: tuple[Standing, ...]
    refused: tuple[str, ...]

    @property
    def leader(self) -> Standing:
        """The most likely recipe."""
        return self.standings[0]

    @property
    def tied(self) -> tuple[Standing, ...]:
        """The leader, and those that cannot be told from it."""
        return tuple(each for each in self.standings if each.is_tied)

    @property
    def own(self) -> Standing | None:
        """The manifest's; None where there is none."""
        found = [each for each in self.standings if each.is_manifests]
        return found[0] if found and self.has_recipe else None

    @property
    def tail(self) -> float:
        """The probability of error beyond each end of an interval; see ``tail_of_each``."""
        return _tail(self.comparisons)

    @property
    def is_own_beaten(self) -> bool:
        """Whether another recipe is better than the manifest's beyond doubt."""
        return self.own is not None and not self.own.is_tied

    @property
    def to_write(self) -> Standing:
        """The tied recipe that changes the manifest's in the fewest parts; without one the leader.

        Where the manifest's own is tied that is itself.
        """
        own = self.own
        if own is None:
            return self.leader
        return min(self.tied, key=lambda each: len(differing_parts(own.plan, each.plan)))

    def to_json(self) -> str:
        """One object; the recipes as the manifest spells them."""
        values: dict[str, Any] = {
            "format": FORMAT,
            "model": self.subject.model,
            "version": self.subject.version,
            "data": self.subject.data,
            "pictures": self.subject.pictures,
            "confidence": self.confidence,
            "comparisons": self.comparisons,
            "has_recipe": self.has_recipe,
            "is_own_beaten": self.is_own_beaten,
            "recipes": [dict(self._entry(each)) for each in self.standings],
            "refused": list(self.refused),
            "to_write": recipe_text(self.to_write.plan),
        }
        return json.dumps(values, sort_keys=True)

    def _entry(self, each: Standing) -> Iterator[tuple[str, Any]]:
        for key, value in asdict(each).items():
            if key != "plan":
                yield key, value
        yield "accuracy", each.right / each.pictures
        yield "parts", dict(zip(PARTS, each.words, strict=True))
        yield "differs_from_leader_in", differing_parts(self.leader.plan, each.plan)
        yield "recipe", recipe_text(each.plan)


def found_recipes(
    search: RecipeSearch,
    best: TriedRecipe,
    own: TriedRecipe,
    subject: EvaluatedModel,
    *,
    has_recipe: bool,
) -> FoundRecipes:
    """Sums up a search that has run.

    Args:
        search: that has.
        best: what it returned.
        own: the manifest's recipe, or what it began with.
        subject: the model and the pictures.
        has_recipe: whether the manifest has a recipe.
    """
    tried = sorted(
        (each for each in search.tried.values() if not each.refusal and each.answered > 1),
        key=lambda each: (each is not best, -each.answered, -each.logs.mean()),
    )
    comparisons = len(search.tried) - 1
    tail = _tail(comparisons)
    return FoundRecipes(
        subject=subject,
        has_recipe=has_recipe,
        confidence=CONFIDENCE,
        comparisons=comparisons,
        standings=tuple(
            _standing(each, best, tail, is_manifests=has_recipe and each is own) for each in tried
        ),
        refused=tuple(_refusals(search.tried.values(), best)),
    )


def _tail(comparisons: int) -> float:
    """Half of the 1 % goes to the early stages."""
    return tail_of_each(1 - (1 - CONFIDENCE) / 2, comparisons)


def _standing(
    tried: TriedRecipe, best: TriedRecipe, tail: float, *, is_manifests: bool
) -> Standing:
    seen = tried.answered
    ahead = lead(best.logs[:seen], tried.logs)
    right = int(tried.hits.sum())
    accuracy = share_interval(right, seen)
    is_beaten = ahead.is_beyond_doubt(tail)
    is_unsure = is_beaten and is_manifests and not _is_better_calibrated(best, tried, tail)
    is_tied = seen == best.answered and (is_unsure or not is_beaten)
    return Standing(
        plan=tried.plan,
        digest=tried.recipe.digest,
        is_manifests=is_manifests,
        pictures=seen,
        log_likelihood=float(tried.logs.mean()),
        right=right,
        accuracy_interval=(accuracy.low, accuracy.high),
        behind=ahead.mean,
        behind_interval=ahead.interval(tail),
        is_tied=is_tied,
        reason=_ONLY_SURER if is_unsure else _reason(tried, best, ahead, tail, is_tied=is_tied),
    )


def _is_better_calibrated(best: TriedRecipe, own: TriedRecipe, tail: float) -> bool:
    """Whether the lead is there too when neither is surer than it should be."""
    if best.calibrated is None or own.calibrated is None:
        return True
    return lead(best.calibrated, own.calibrated).is_beyond_doubt(tail)


def _reason(
    tried: TriedRecipe, best: TriedRecipe, ahead: Lead, tail: float, *, is_tied: bool
) -> str:
    if tried is best:
        return "the most likely"
    if not is_tied:
        return "beaten" if tried.answered == best.answered else f"beaten after {tried.answered}"
    if ahead.error == 0:
        return "the same answers to every picture"
    needed = ahead.pictures_needed(tail)
    if needed is None:
        return "no more and no less likely"
    if needed > _MANY_PICTURES:
        return f"more than {_MANY_PICTURES:,} pictures would tell"
    return f"about {needed:,} pictures would tell"


def _refusals(tried: Iterable[TriedRecipe], best: TriedRecipe) -> Iterator[str]:
    for each in tried:
        if each.refusal:
            parts = differing_parts(best.plan, each.plan)
            yield f"{', '.join(name_in(part, each.plan) for part in parts)}: {each.refusal}"
