"""The rows of a picture that was changed in many ways, and what the answers to them come to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.answers import ClassAnswers
from batchproof_server.diagnosis.case import Curve
from batchproof_server.diagnosis.measures import blurred, likeness, looks, signatures
from batchproof_server.diagnosis.reference import Looks, TurnGains
from batchproof_server.diagnosis.views import (
    ALL_VIEWS,
    BLUR_SHARES,
    FAMILIES,
    MILD,
    ROTATION,
    ChangeFamily,
)
from batchproof_server.imaging.geometry import Picture, as_array
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.offline.diagnosing.asking import RowAsker
from batchproof_server.tta.expansion import Expansion
from batchproof_server.tta.plan import CUSTOM, Plan
from batchproof_server.tta.views import IDENTITY, View

_VIEWS_AT_ONCE: Final = 2
_BLUR: Final = "blur"


@dataclass(frozen=True, slots=True, eq=False)
class Perturbed:
    """One picture, changed in many ways, and the answers.

    Attributes:
        plain: the answer to the picture as it is.
        views: the answer to each view.
        blurs: the answers to the blurs, a row for each; none of a picture that was only turned.
        kept: by family, whether each strength keeps the class, bool [strengths]; a family of which
            the picture has no views is left out.
        looks: of the picture as it is.
        signatures: of the picture as it is and mirrored, [2, n].
        turned: of each turn, [turns, n].
    """

    plain: ClassAnswers
    views: Mapping[View, ClassAnswers]
    blurs: ClassAnswers
    kept: Mapping[str, Array]
    looks: Looks
    signatures: Array
    turned: Array


@dataclass(frozen=True, slots=True)
class Perturber:
    """Changes pictures and asks about them.

    Attributes:
        asker: answers.
        expansion: of the declared recipe.
        levels: the declared recipe without its scaling.
    """

    asker: RowAsker
    expansion: Expansion
    levels: Recipe

    async def perturb(self, picture: Picture) -> Perturbed:
        """One picture, as ``Recipe.picture`` gave it.

        Raises:
            ServingError: the model has no answer.
        """
        pixels = as_array(picture)
        views = [view for view in ALL_VIEWS if view.name != "jpeg" or pixels.dtype == np.uint8]
        side, run = min(pixels.shape[:2]), self.asker.run
        blurs = [await run(partial(self._blurred, pixels, share * side)) for share in BLUR_SHARES]
        return await self._asked(picture, views, blurs)

    async def turn(self, picture: Picture) -> Perturbed:
        """The same, but only turned.

        Raises:
            ServingError: the model has no answer.
        """
        return await self._asked(picture, turns(), ())

    async def _asked(
        self, picture: Picture, views: Sequence[View], blurs: Sequence[Array]
    ) -> Perturbed:
        run = self.asker.run
        parts = await self._rows(self.expansion, picture, (IDENTITY, *views))
        answers = await self.asker.answers(await run(partial(np.concatenate, [*parts, *blurs])))
        shown = await self._levels(picture)
        count = 1 + len(views)
        plain, blurred = answers.part(slice(0, 1)), answers.part(slice(count, None))
        of_views = {
            view: answers.part(slice(place, place + 1)) for place, view in enumerate(views, start=1)
        }
        return Perturbed(
            plain=plain,
            views=of_views,
            blurs=blurred,
            kept=await run(partial(_kept_families, plain, of_views, blurred)),
            looks=await run(partial(looks, shown[:1])),
            signatures=await run(partial(_signatures, shown[0])),
            turned=await run(partial(signatures, shown[1:])),
        )

    async def _rows(
        self, expansion: Expansion, picture: Picture, views: tuple[View, ...]
    ) -> list[Array]:
        """A few views at a time, so that others get their turn."""
        return [
            await self.asker.run(
                partial(
                    expansion.rows, picture, Plan(CUSTOM, views[start : start + _VIEWS_AT_ONCE])
                )
            )
            for start in range(0, len(views), _VIEWS_AT_ONCE)
        ]

    def _blurred(self, pixels: Array, deviation_pixels: float) -> Array:
        return self.expansion.recipe.row(blurred(pixels, deviation_pixels))[np.newaxis]

    async def _levels(self, picture: Picture) -> Array:
        """The picture as it is, and turned."""
        expansion = Expansion(self.levels, self.expansion.deviates)
        parts = await self._rows(expansion, picture, (IDENTITY, *turns()))
        rows = await self.asker.run(partial(np.concatenate, parts))
        if self.levels.plan.layout == "channels_first":
            return np.moveaxis(rows, 1, -1)
        return rows


def _signatures(shown: Array) -> Array:
    """Of a picture as it is and mirrored."""
    return signatures(np.stack([shown, shown[:, ::-1]]))


def rotation() -> ChangeFamily:
    """The family of turns."""
    (family,) = (each for each in FAMILIES if each.name == ROTATION)
    return family


def turns() -> tuple[View, ...]:
    """The view of each turn."""
    return tuple(step.views[0] for step in rotation().steps)


def turns_of(perturbed: Perturbed, others: Array) -> TurnGains:
    """What turning one picture gains.

    Args:
        perturbed: the picture.
        others: the signatures of reference pictures, [others, n].
    """
    steps = rotation().steps
    plain = likeness(perturbed.signatures[:1], others)
    turned = likeness(perturbed.turned, others)
    gained = turned.max(axis=1) - plain.max()
    typical = [
        float(perturbed.views[step.views[0]].typicality[0] - perturbed.plain.typicality[0])
        for step in steps
    ]
    return TurnGains(
        tuple(step.strength for step in steps), gained[np.newaxis], np.array([typical])
    )


def no_turns() -> TurnGains:
    """What turning gains where nothing is compared."""
    degrees = tuple(step.strength for step in rotation().steps)
    nothing = np.zeros((1, len(degrees)))
    return TurnGains(degrees, nothing, nothing)


def agreement(perturbed: Perturbed) -> float:
    """The share of mild views that keep the class."""
    kept = [_kept(perturbed, view) for view in MILD]
    return sum(kept) / len(kept)


def curves_of(perturbed: Perturbed, others: Sequence[Perturbed]) -> tuple[Curve, ...]:
    """The curves of one picture beside those of other pictures."""
    plain = int(perturbed.plain.decided[0])
    curves = [
        Curve(
            family=family.name,
            unit=family.unit,
            strengths=tuple(step.strength for step in family.steps),
            away=tuple(step.away for step in family.steps),
            kept=perturbed.kept[family.name],
            confidence=np.array(
                [min(_probability(perturbed, view) for view in step.views) for step in family.steps]
            ),
            reference_kept=_kept_by(others, family.name, len(family.steps)),
        )
        for family in FAMILIES
        if family.name in perturbed.kept
    ]
    blur = Curve(
        family=_BLUR,
        unit="of the shorter side",
        strengths=BLUR_SHARES,
        away=tuple(range(1, len(BLUR_SHARES) + 1)),
        kept=perturbed.kept[_BLUR],
        confidence=perturbed.blurs.probabilities[:, plain],
        reference_kept=_kept_by(others, _BLUR, len(BLUR_SHARES)),
    )
    return (*curves, blur)


def _kept_by(others: Sequence[Perturbed], family: str, steps: int) -> Array:
    """Of those that have the family, bool [others, steps]."""
    known = [each.kept[family] for each in others if family in each.kept]
    return np.array(known, bool).reshape(len(known), steps)


def _kept_families(
    plain: ClassAnswers, views: Mapping[View, ClassAnswers], blurs: ClassAnswers
) -> dict[str, Array]:
    decided = plain.decided[0]
    kept = {view: bool(answers.decided[0] == decided) for view, answers in views.items()}
    families = {
        family.name: np.array([all(kept[view] for view in step.views) for step in family.steps])
        for family in FAMILIES
        if all(view in kept for step in family.steps for view in step.views)
    }
    return {**families, _BLUR: blurs.decided == decided} if len(blurs.decided) else families


def _kept(perturbed: Perturbed, view: View) -> bool:
    return bool(perturbed.views[view].decided[0] == perturbed.plain.decided[0])


def _probability(perturbed: Perturbed, view: View) -> float:
    return float(perturbed.views[view].probabilities[0, int(perturbed.plain.decided[0])])
