"""A case: all that was measured of one picture and of the pictures it is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.answers import ClassAnswers
from batchproof_server.diagnosis.occlusion import OcclusionMap
from batchproof_server.diagnosis.reference import (
    Looks,
    Neighbour,
    PlaceInReference,
    ReferenceMeasures,
    TurnGains,
)
from batchproof_server.diagnosis.training_curve import TrainingCurve
from batchproof_server.drift.profile import ReferenceProfile


@dataclass(frozen=True, slots=True)
class DiagnosedModel:
    """What answers.

    Attributes:
        model: its name.
        version: its number.
        engine: with its version.
        labels: of the classes.
        recipe: its declared keys as canonical JSON.
        verdict: of the certificate; empty without one.
        profile: None where the bundle has none.
        training_profile: of the pictures that it was trained on; None where the bundle has none.
        training_curve: how it was trained; None where the bundle does not say.
    """

    model: str
    version: int
    engine: str
    labels: tuple[str, ...]
    recipe: str
    verdict: str
    profile: ReferenceProfile | None
    training_profile: ReferenceProfile | None = None
    training_curve: TrainingCurve | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """What another recipe makes of the picture.

    Attributes:
        cause: the mistake, such as ``scaling:unit``.
        title: in words.
        row: the input tensor.
        answers: to it; None where the model has no finite answer.
    """

    cause: str
    title: str
    row: Array
    answers: ClassAnswers | None


@dataclass(frozen=True, slots=True, eq=False)
class Framed:
    """The picture brought to the model's size in one way, before any scaling.

    Attributes:
        cause: the mistake; empty for the declared recipe.
        title: in words.
        levels: float32, of the row's shape, 0 to 255.
    """

    cause: str
    title: str
    levels: Array


@dataclass(frozen=True, slots=True)
class ScalingEnds:
    """What a scaling makes of black and white.

    Attributes:
        cause: the mistake; empty for the declared recipe.
        title: in words.
        black: one value for each channel.
        white: the same.
    """

    cause: str
    title: str
    black: tuple[float, ...]
    white: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What the caller brought along.

    Attributes:
        label: the true class; None where nobody said.
        tensor: of the row's shape, or None.
        tensor_answers: what the model says to it.
        scores: float64 [classes], logits or probabilities, or None.
    """

    label: int | None = None
    tensor: Array | None = None
    tensor_answers: ClassAnswers | None = None
    scores: Array | None = None


@dataclass(frozen=True, slots=True)
class PathAnswer:
    """The picture's row executed beside others.

    Attributes:
        title: the other rows in words.
        rows: executed together.
        same_bits: whether the answer is that of the row alone.
        greatest_difference: of the outputs.
        same_class: whether the class is.
    """

    title: str
    rows: int
    same_bits: bool
    greatest_difference: float
    same_class: bool


@dataclass(frozen=True, slots=True, eq=False)
class EngineAnswer:
    """What another engine answers.

    Attributes:
        engine: its name, with its version where it answers.
        answers: one row; None where it has none.
        reason: why it has none.
    """

    engine: str
    answers: ClassAnswers | None
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingModes:
    """What Keras answers of the artefact as it was saved; see ``LayeredSource.in_training_mode``.

    Attributes:
        predict: ``model.predict``, one row.
        eager: the model called as a function, with nothing of training mode; one row.
        statistics: BatchNorm with the statistics of the picture alone, no Dropout; one row.
        dropout: Dropout drawn, a row for each draw.
        both: both, the picture alone, a row for each draw.
    """

    predict: ClassAnswers
    eager: ClassAnswers
    statistics: ClassAnswers
    dropout: ClassAnswers
    both: ClassAnswers


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """How the answer changes with one change of the picture.

    Attributes:
        family: such as ``rotation``.
        unit: of the strengths.
        strengths: ascending; the neutral one is not among them.
        away: how far each is from the neutral one, in steps from 1.
        kept: whether the class is still the plain one, bool [strengths].
        confidence: the probability of the plain class, float64 [strengths].
        reference_kept: bool [reference pictures, strengths], of their own plain classes.
    """

    family: str
    unit: str
    strengths: tuple[float, ...]
    away: tuple[int, ...]
    kept: Array
    confidence: Array
    reference_kept: Array

    @property
    def flips_at(self) -> int | None:
        """The least number of steps at which the class is another; None where it never is."""
        return flips(self.kept[np.newaxis], self.away)[0]

    @property
    def reference_flips(self) -> tuple[int | None, ...]:
        """The same of each reference picture."""
        return flips(self.reference_kept, self.away)


def flips(kept: Array, away: tuple[int, ...]) -> tuple[int | None, ...]:
    """The least number of steps at which each row of ``kept`` is false, or None."""
    steps = np.where(kept, np.iinfo(np.int64).max, np.array(away)).min(axis=1, initial=2**62)
    return tuple(None if step > max(away, default=0) else int(step) for step in steps)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One picture, measured.

    Attributes:
        subject: what answers.
        name: of the picture.
        size: width and height in pixels, as the file has it.
        orientation: of EXIF, 1 for upright.
        thumbnail: PNG.
        row: the input tensor by the declared recipe.
        answers: to it, one row.
        given: by the caller.
        tried: other recipes.
        framed: other ways to the model's size, the declared one first.
        scalings: what is usually done to levels, the declared one first.
        paths: the same row beside other rows.
        modes: None where the artefact is no Keras file.
        no_modes: why there are none.
        curves: of the sensitivity.
        agreement: the share of mild views with the plain class; NaN without views.
        looks: of this picture, one row.
        turns: of this picture, one row.
        place: of this picture, one row.
        reference: None where there are too few reference pictures.
        signals: of drift, by name.
        neighbours: the nearest reference pictures.
        occlusion: where the model looks; None where a covered picture has no finite answer.
        engines: other than the one that answered.
    """

    subject: DiagnosedModel
    name: str
    size: tuple[int, int]
    orientation: int
    thumbnail: bytes
    row: Array
    answers: ClassAnswers
    given: Given
    tried: tuple[Tried, ...]
    framed: tuple[Framed, ...]
    scalings: tuple[ScalingEnds, ...]
    paths: tuple[PathAnswer, ...]
    modes: TrainingModes | None
    no_modes: str
    curves: tuple[Curve, ...]
    agreement: float
    looks: Looks
    turns: TurnGains
    place: PlaceInReference
    reference: ReferenceMeasures | None
    signals: Mapping[str, float] = field(default_factory=dict)
    neighbours: tuple[Neighbour, ...] = ()
    occlusion: OcclusionMap | None = None
    engines: tuple[EngineAnswer, ...] = ()

    @property
    def label(self) -> str:
        """The answer."""
        return self.label_of(self.answers)

    @property
    def confidence(self) -> float:
        """Of the answer."""
        return float(self.answers.confidence[0])

    def label_of(self, answers: ClassAnswers) -> str:
        """The label of the first row of some answers."""
        return self.subject.labels[int(answers.decided[0])]
