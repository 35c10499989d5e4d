"""Measures one picture after the other: everything that the checks want to know."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.scores import Scores
from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.answers import ClassAnswers
from batchproof_server.diagnosis.case import (
    Case,
    DiagnosedModel,
    EngineAnswer,
    Framed,
    Given,
    ScalingEnds,
    Tried,
)
from batchproof_server.diagnosis.mistakes import FramingMistake, Mistakes
from batchproof_server.diagnosis.occlusion import PLACES, OcclusionMap, covered_rows
from batchproof_server.diagnosis.reference import ReferenceMeasures
from batchproof_server.drift.pictures import input_values
from batchproof_server.drift.signals import prediction_signals
from batchproof_server.imaging.decoded import input_statistics, picture_statistics
from batchproof_server.imaging.exif import read_orientation
from batchproof_server.imaging.formats.table import FORMATS
from batchproof_server.imaging.geometry import Picture
from batchproof_server.imaging.header import ImageHeader
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.imaging.scalings import scaling_ends
from batchproof_server.imaging.thumbnail import reduced, thumbnail_png
from batchproof_server.offline.diagnosing.asking import OtherEngine, RowAsker
from batchproof_server.offline.diagnosing.beside import ask_beside
from batchproof_server.offline.diagnosing.modes import ModeAsker
from batchproof_server.offline.diagnosing.perturbing import (
    Perturber,
    agreement,
)
from batchproof_server.offline.diagnosing.reference import (
    THUMBNAIL_PIXELS,
    ReferenceFigures,
)

_LEAST_WORKING_SIDE_PIXELS: Final = 384
_WORKING_SIDES: Final = 1.5
"""Times the longer side of the model's input: what of a photograph most recipes resize to."""


@dataclass(frozen=True, slots=True, eq=False)
class Measurer:
    """Measures pictures for one model. Made by ``open_measurer``.

    Attributes:
        asker: answers rows.
        mistakes: what is tried.
        perturber: changes pictures.
        reference: the reference pictures.
        measures: what they come to.
        modes: or why the artefact cannot be asked in every mode.
        subject: what answers.
        others: engines other than the one that answers.
    """

    asker: RowAsker
    mistakes: Mistakes
    perturber: Perturber
    reference: ReferenceFigures
    measures: ReferenceMeasures | None
    modes: ModeAsker | str
    subject: DiagnosedModel
    others: tuple[OtherEngine, ...] = ()

    async def measure(self, name: str, encoded: bytes, given: Given) -> Case:
        """Measures one picture.

        Args:
            name: of the picture.
            encoded: the file.
            given: by the caller; its tensor has not been answered yet.

        Raises:
            InvalidInput: the picture is refused.
            ServingError: the model failed.
        """
        recipe, run = self.perturber.expansion.recipe, self.asker.run
        header, picture, row = await run(partial(_decoded, recipe, encoded))
        scores = await self.asker.scores(row[np.newaxis])
        answers = ClassAnswers.of(scores)
        small = await run(partial(small_picture, picture, recipe))
        perturbed = await self.perturber.perturb(small)
        framed = await self._framed(encoded)
        compared = await run(partial(self.reference.compared, perturbed))
        modes = None if isinstance(self.modes, str) else self.modes.modes(row)
        return Case(
            subject=self.subject,
            name=name,
            size=(header.width, header.height),
            orientation=read_orientation(FORMATS[header.format].exif(encoded)),
            thumbnail=await run(partial(thumbnail_png, small, THUMBNAIL_PIXELS)),
            row=row,
            answers=answers,
            given=await self._answered(given),
            tried=tuple(await self._tried(framed, row)),
            framed=framed,
            scalings=tuple(_scaling_ends(self.mistakes, recipe.channels)),
            paths=await ask_beside(self.asker, row),
            modes=modes,
            no_modes=self.modes if isinstance(self.modes, str) else self.modes.failure,
            curves=compared.curves,
            agreement=agreement(perturbed),
            looks=perturbed.looks,
            turns=compared.turns,
            place=compared.place,
            reference=self.measures,
            signals=await run(partial(_signals, scores, picture, row)),
            neighbours=compared.neighbours,
            occlusion=await self._occlusion(row, answers, framed[0].levels if framed else None),
            engines=tuple([await _answer_of(each, row) for each in self.others]),
        )

    async def _occlusion(
        self, row: Array, answers: ClassAnswers, levels: Array | None
    ) -> OcclusionMap | None:
        rows = await self.asker.run(partial(covered_rows, self._last(row)))
        if self._channels_first:
            rows = np.ascontiguousarray(np.moveaxis(rows, -1, 1))
        try:
            covered = await self.asker.answers(rows)
        except InvalidInput:
            return None
        plain = np.repeat(answers.decided, len(rows))
        shape = (PLACES, PLACES)
        seen = self._last(row) if levels is None else levels
        return OcclusionMap(
            await self.asker.run(partial(_thumbnail, seen)),
            covered.probability_of(plain).reshape(shape),
            (covered.decided == plain).reshape(shape),
        )

    async def _answered(self, given: Given) -> Given:
        if given.tensor is None:
            return given
        answers = await self.asker.answers_or_none(given.tensor)
        return Given(given.label, self._last(given.tensor), answers, given.scores)

    async def _framed(self, encoded: bytes) -> tuple[Framed, ...]:
        """The declared way first, then what differs from it."""
        framed: list[Framed] = []
        for each in self.mistakes.framings:
            levels = await self.asker.run(partial(self._levels, each, encoded))
            same = levels is None or (framed and np.array_equal(levels, framed[0].levels))
            if levels is not None and not same:
                framed.append(Framed(each.cause, each.title, levels))
        return tuple(framed)

    def _levels(self, mistake: FramingMistake, encoded: bytes) -> Array | None:
        if not _takes(mistake.levels, encoded):
            return None
        levels = self._last(mistake.levels.apply(encoded)).astype(np.float32)
        return levels if mistake.change is None else mistake.change(levels)

    async def _tried(self, framed: Sequence[Framed], row: Array) -> list[Tried]:
        """Declared scaling of other levels, then other scalings of the declared ones."""
        declared, *others = self.mistakes.scalings
        made = [(each.cause, each.title, partial(declared.row, each.levels)) for each in framed[1:]]
        made += [(each.cause, each.title, partial(each.row, framed[0].levels)) for each in others]
        values = [await self.asker.run(make) for _, _, make in made]
        answers = await self.asker.each_or_none([self._input(each, row) for each in values])
        return [
            Tried(cause, title, each, answer)
            for (cause, title, _), each, answer in zip(made, values, answers, strict=True)
        ]

    def _input(self, values: Array, row: Array) -> Array:
        """Values with their channels last as the model takes them."""
        if self._channels_first:
            values = np.ascontiguousarray(np.moveaxis(values, -1, 0))
        return values.astype(row.dtype)

    def _last(self, values: Array) -> Array:
        return np.moveaxis(values, 0, -1) if self._channels_first else values

    @property
    def _channels_first(self) -> bool:
        return self.perturber.expansion.recipe.plan.layout == "channels_first"


def small_picture(picture: Picture, recipe: Recipe) -> Picture:
    """The picture at the size in which it is changed."""
    side = max(each or 0 for each in recipe.row_shape[:2])
    return reduced(picture, max(_LEAST_WORKING_SIDE_PIXELS, int(_WORKING_SIDES * side)))


def _thumbnail(levels: Array) -> bytes:
    return thumbnail_png(np.clip(levels, 0, 255).astype(np.uint8), THUMBNAIL_PIXELS)


def _decoded(recipe: Recipe, encoded: bytes) -> tuple[ImageHeader, Picture, Array]:
    header = recipe.header(encoded)
    picture = recipe.picture(encoded, header)
    return header, picture, recipe.row(picture)


def _signals(scores: Scores, picture: Picture, row: Array) -> dict[str, float]:
    """Those of drift, of one picture, by the functions that count them."""
    of_scores = prediction_signals(
        scores.probabilities, scores.logits, scores.entropy, scores.decided
    )
    seen = input_statistics([picture_statistics(picture, row)])
    values = {**of_scores.values, **input_values([seen])}
    return {name: float(value[0]) for name, value in values.items() if len(value)}


def _takes(recipe: Recipe, encoded: bytes) -> bool:
    """Whether a recipe with another decoder reads this file at all."""
    try:
        recipe.header(encoded)
    except InvalidInput:
        return False
    return True


def _scaling_ends(mistakes: Mistakes, channels: int) -> Iterator[ScalingEnds]:
    for each in mistakes.scalings:
        black, white = scaling_ends(each.normalize, channels)
        if each.cause == "scaling:inverted":
            black, white = white, black
        known = each.cause != "scaling:per_image"
        yield ScalingEnds(
            each.cause,
            each.title,
            tuple(black.tolist()) if known else (),
            tuple(white.tolist()) if known else (),
        )


async def _answer_of(other: OtherEngine, row: Array) -> EngineAnswer:
    if other.asker is None:
        return EngineAnswer(other.engine, None, other.reason)
    answers = await other.asker.answers_or_none(row)
    return EngineAnswer(other.engine, answers, "it is not finite" if answers is None else "")
