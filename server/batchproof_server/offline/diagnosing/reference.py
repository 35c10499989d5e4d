"""The reference pictures, measured once for all pictures of a command."""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.answers import ClassAnswers
from batchproof_server.diagnosis.case import Curve
from batchproof_server.diagnosis.checks.picture import LEAST_REFERENCE_PICTURES
from batchproof_server.diagnosis.measures import likeness
from batchproof_server.diagnosis.reference import (
    Looks,
    Neighbour,
    PlaceInReference,
    ReferenceMeasures,
    TurnGains,
)
from batchproof_server.imaging.thumbnail import thumbnail_png
from batchproof_server.offline.diagnosing.asking import RunWork
from batchproof_server.offline.diagnosing.perturbing import (
    Perturbed,
    curves_of,
    no_turns,
    turns_of,
)
from batchproof_server.offline.diagnosing.reference_pictures import ReferencePicture

THUMBNAIL_PIXELS: Final = 96
_NEIGHBOURS: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class BesideReference:
    """A picture beside the reference pictures; the attributes are those of ``Case``."""

    curves: tuple[Curve, ...]
    turns: TurnGains
    place: PlaceInReference
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceFigures:
    """The reference pictures with what was measured of them."""

    pictures: tuple[ReferencePicture, ...]
    perturbed: tuple[Perturbed, ...]
    labels: tuple[str, ...]

    def others(self, but: int | None = None) -> Array:
        """The signatures of all but one: [2 (pictures - 1), n]."""
        kept = [each.signatures for place, each in enumerate(self.perturbed) if place != but]
        return np.concatenate(kept)

    def beside_others(self, one: int) -> tuple[TurnGains, PlaceInReference]:
        """One of them compared with all others."""
        perturbed = self.perturbed[one]
        return turns_of(perturbed, self.others(one)), self.place(perturbed, one)

    def compared(self, perturbed: Perturbed) -> "BesideReference":
        """A picture compared with all of them."""
        others = self.others() if self.pictures else None
        return BesideReference(
            curves=curves_of(perturbed, self.perturbed),
            turns=no_turns() if others is None else turns_of(perturbed, others),
            place=_empty_place(perturbed) if others is None else self.place(perturbed),
            neighbours=() if others is None else self._neighbours(perturbed.plain),
        )

    def place(self, perturbed: Perturbed, but: int | None = None) -> PlaceInReference:
        """Where a picture lies among all of them but one."""
        nearest = likeness(perturbed.signatures[:1], self.others(but)).max()
        distance = self._distances(perturbed.plain)
        if but is not None:
            distance[but] = np.inf
        return PlaceInReference(
            np.array([nearest]), np.array([distance.min()]), perturbed.plain.typicality
        )

    def _neighbours(self, answers: ClassAnswers) -> tuple[Neighbour, ...]:
        """The nearest in the model's scores."""
        distance = self._distances(answers)
        return tuple(
            self._neighbour(int(place), float(distance[place]))
            for place in distance.argsort(kind="stable")[:_NEIGHBOURS]
        )

    def _neighbour(self, place: int, distance: float) -> Neighbour:
        picture, plain = self.pictures[place], self.perturbed[place].plain
        return Neighbour(
            name=picture.name,
            thumbnail=thumbnail_png(picture.picture, THUMBNAIL_PIXELS),
            answer=self.labels[int(plain.decided[0])],
            confidence=float(plain.confidence[0]),
            distance=distance,
        )

    def _distances(self, answers: ClassAnswers) -> Array:
        known = np.concatenate([each.plain.scores for each in self.perturbed])
        apart = _centred(known) - _centred(answers.scores)
        distances: Array = np.sqrt((apart**2).mean(axis=1))
        return distances


async def measure_reference(figures: ReferenceFigures, run: RunWork) -> ReferenceMeasures | None:
    """Each compared with all others; None where they are too few to say anything.

    Args:
        figures: of the reference pictures.
        run: does the work, a picture at a time.
    """
    count = len(figures.perturbed)
    if count < LEAST_REFERENCE_PICTURES:
        return None
    beside = [await run(partial(figures.beside_others, one)) for one in range(count)]
    turns, places = [each for each, _ in beside], [each for _, each in beside]
    return ReferenceMeasures(
        count=count,
        looks=Looks(
            np.concatenate([each.looks.white for each in figures.perturbed]),
            np.concatenate([each.looks.noise for each in figures.perturbed]),
            np.concatenate([each.looks.axes for each in figures.perturbed]),
        ),
        turns=TurnGains(
            turns[0].degrees,
            np.concatenate([each.likeness for each in turns]),
            np.concatenate([each.typicality for each in turns]),
        ),
        place=PlaceInReference(
            np.concatenate([each.likeness for each in places]),
            np.concatenate([each.distance for each in places]),
            np.concatenate([each.typicality for each in places]),
        ),
    )


def _centred(scores: Array) -> Array:
    centred: Array = scores - scores.mean(axis=1, keepdims=True)
    return centred


def _empty_place(perturbed: Perturbed) -> PlaceInReference:
    """The place among no pictures."""
    nothing = np.array([np.nan])
    return PlaceInReference(nothing, nothing, perturbed.plain.typicality)
