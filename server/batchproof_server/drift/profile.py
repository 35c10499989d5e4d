"""The reference profile: what predictions and inputs of a model look like on labelled data.

Everything in it is a count, a sum or follows from them, so that profiles over the same bins add up.
Schema: ``docs/schemas/profile.schema.json``.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar, Final, Literal

import numpy as np
from pydantic import ConfigDict

from batchproof_server.base.errors import cut
from batchproof_server.base.signature import Array
from batchproof_server.base.validation import NO_UNKNOWN_KEYS
from batchproof_server.drift.binning import MAX_BINS
from batchproof_server.drift.calibration import (
    CALIBRATION_BINS,
    expected_calibration_error,
    nearest_threshold,
)
from batchproof_server.drift.class_groups import ClassGroups
from batchproof_server.drift.signals import NUMERIC_SIGNALS
from batchproof_server.drift.tta_reference import TtaReference, signal_faults

_TOLERANCE = 1e-9
_MAX_COUNT = 2**53  # above it a float64, and so a metric, skips whole numbers


_MAX_NAME_CHARACTERS: Final = 40


@dataclass(frozen=True, slots=True)
class SignalReference:
    """One signal over the reference.

    Attributes:
        edges: inner edges of the bins, ascending; bin i holds ``edges[i - 1] <= x < edges[i]``.
        counts: one for each bin, one more than there are edges.
        mean: of the values.
        stddev: population standard deviation.
        min: the least value.
        max: the greatest value.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    mean: float
    stddev: float
    min: float
    max: float

    def __post_init__(self) -> None:
        _check_edges(self.edges)
        _check_counts(self.counts, len(self.edges) + 1)
        if len(self.counts) > MAX_BINS:
            raise ValueError(f"{len(self.counts)} bins, expected at most {MAX_BINS}")
        figures = (self.mean, self.stddev, self.min, self.max)
        if not all(map(math.isfinite, figures)) or self.stddev < 0 or self.min > self.max:
            raise ValueError("mean, stddev, min and max are no figures of one set of numbers")

    @property
    def scale(self) -> float:
        """What a deviation from the mean is divided by: the standard deviation.

        Of a signal that is constant in the reference it is a billionth of the mean's size, or of 1
        where that is larger: the same constant has no deviation, and any other has all of it.
        """
        return max(self.stddev, 1e-9 * max(1.0, abs(self.mean)))


@dataclass(frozen=True, slots=True)
class ClassReference:
    """One class over the reference.

    Attributes:
        label: its name; the index in decimal when the bundle names none.
        pictures: of this class.
        right: of them, answered with it.
        answered: pictures of any class that were answered with it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    label: str
    pictures: int
    right: int
    answered: int

    def __post_init__(self) -> None:
        _check_counts((self.pictures, self.right, self.answered), 3)
        if self.right > min(self.pictures, self.answered):
            raise ValueError("more pictures are right than there are, or than were answered so")


@dataclass(frozen=True, slots=True)
class CalibrationReference:
    """Confidence against accuracy, in ten bins ``((m - 1) / 10, m / 10]``.

    Attributes:
        temperature: divides logits so that the reference is most likely; of the first part of a
            merged profile.
        ece_ratio: expected calibration error of the answers as they are, without the temperature.
        pictures: of each bin.
        right: of them.
        confidence_sum: of each bin.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    temperature: float
    ece_ratio: float
    pictures: tuple[int, ...]
    right: tuple[int, ...]
    confidence_sum: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_counts(self.pictures, CALIBRATION_BINS)
        _check_counts(self.right, CALIBRATION_BINS)
        if len(self.confidence_sum) != CALIBRATION_BINS:
            raise ValueError(f"{len(self.confidence_sum)} sums, expected {CALIBRATION_BINS}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}, expected a positive number")
        bins = zip(self.pictures, self.right, self.confidence_sum, strict=True)
        if not all(right <= n and 0 <= total <= n + _TOLERANCE * n for n, right, total in bins):
            raise ValueError("a bin has more right answers or more confidence than pictures")


@dataclass(frozen=True, slots=True)
class AtcReference:
    """The score of average thresholded confidence, and its threshold.

    Attributes:
        score: ``negative_entropy`` at the calibration's temperature.
        threshold: one of the edges.
        edges: ascending, fine.
        counts: one more than there are edges.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    score: Literal["negative_entropy"]
    threshold: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_edges(self.edges)
        _check_counts(self.counts, len(self.edges) + 1)
        if self.threshold not in self.edges:
            raise ValueError(f"threshold {self.threshold!r} is none of the edges")


@dataclass(frozen=True, slots=True)
class ReferenceProfile:
    """The reference profile of one model and recipe.

    Attributes:
        format: of this file; 1.
        model_digest: of the artefact that answered.
        recipe_digest: of the recipe that made the rows.
        pictures: in the reference.
        accuracy_ratio: the share of them that was answered right.
        classes: in the order of the scores.
        class_bins: the classes with figures of their own where there are many: the most answered
            ones.
        signals: every other signal, by name.
        calibration: of the confidence.
        atc: for an estimate of the accuracy without labels.
        tta: what the signals of test-time augmentation hold for; None where there are none.
        libraries: versions of what made the pixels of its rows, by name; empty in profiles that do
            not say.
        is_multi_label: whether the classes are labels that are independent of each other; the last
            one is then ``NO_LABEL``. A picture counts in ``pictures`` for each of its labels, in
            ``answered`` once, for the best label of its answer, and in ``right`` there when that
            one is true. Accuracy and calibration are of whole sets of labels.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    format: Literal[1]
    model_digest: str
    recipe_digest: str
    pictures: int
    accuracy_ratio: float
    classes: tuple[ClassReference, ...]
    class_bins: tuple[int, ...]
    signals: dict[str, SignalReference]
    calibration: CalibrationReference
    atc: AtcReference
    tta: TtaReference | None = None
    libraries: dict[str, str] = field(default_factory=dict)
    is_multi_label: bool = False

    def __post_init__(self) -> None:
        faults = [*_form_faults(self), *([] if not self.classes else _sum_faults(self))]
        if faults:
            raise ValueError("; ".join(faults))

    def class_groups(self) -> ClassGroups:
        """The bins of the answered class. They follow from the counts, so no file names them."""
        return ClassGroups.of([each.answered for each in self.classes])


def right_pictures(profile: ReferenceProfile) -> int:
    """How many pictures of the reference were answered right."""
    if profile.is_multi_label:
        return sum(profile.calibration.right)
    return sum(each.right for each in profile.classes)


def ece_ratio(pictures: Sequence[int], right: Sequence[int], confidence: Sequence[float]) -> float:
    """The expected calibration error of a profile's ten bins."""
    return expected_calibration_error(*(np.array(each) for each in (pictures, right, confidence)))


def _form_faults(profile: ReferenceProfile) -> Iterator[str]:
    classes = len(profile.classes)
    if classes == 0:
        yield "classes: none, expected one or more"
    expected = min(classes, MAX_BINS if classes <= MAX_BINS else MAX_BINS - 1)
    bins = profile.class_bins
    if len(set(bins)) != len(bins) or len(bins) != expected:
        yield f"class_bins: expected {expected} different classes"
    if any(not 0 <= index < classes for index in bins):
        yield f"class_bins: expected classes from 0 to {classes - 1}"
    if unknown := sorted(set(profile.signals) - set(NUMERIC_SIGNALS)):
        yield f"signals: unknown {cut(', '.join(unknown))}, expected {', '.join(NUMERIC_SIGNALS)}"
    if "confidence" not in profile.signals:
        yield "signals: no confidence"
    yield from signal_faults(profile.tta, profile.signals)
    for text in (*profile.libraries, *profile.libraries.values()):
        if len(text) > _MAX_NAME_CHARACTERS or not text.isprintable():
            yield f"libraries: {cut(text)}, expected a name or a version"


def _sum_faults(profile: ReferenceProfile) -> Iterator[str]:
    """Figures that follow from counts must follow from them."""
    pictures = profile.pictures
    if not 1 <= pictures <= _MAX_COUNT:
        yield f"pictures: {pictures}, expected 1 or more"
        return
    sums = {
        "classes.pictures": sum(each.pictures for each in profile.classes),
        "classes.answered": sum(each.answered for each in profile.classes),
        "calibration.pictures": sum(profile.calibration.pictures),
        "atc.counts": sum(profile.atc.counts),
    } | {f"signals.{name}.counts": sum(each.counts) for name, each in profile.signals.items()}
    if profile.is_multi_label:
        del sums["classes.pictures"]
    for path, total in sums.items():
        if total != pictures:
            yield f"{path}: {total} in all, expected {pictures} as in pictures"
            return
    yield from _ratio_faults(profile, right_pictures(profile))


def _ratio_faults(profile: ReferenceProfile, right: int) -> Iterator[str]:
    accuracy, calibration = right / profile.pictures, profile.calibration
    if sum(calibration.right) != right:
        yield f"calibration.right: {sum(calibration.right)} in all, expected {right} as in classes"
    if not abs(profile.accuracy_ratio - accuracy) <= _TOLERANCE:
        yield f"accuracy_ratio: {profile.accuracy_ratio}, expected {accuracy}"
    ece = ece_ratio(calibration.pictures, calibration.right, calibration.confidence_sum)
    if not abs(calibration.ece_ratio - ece) <= _TOLERANCE:
        yield f"calibration.ece_ratio: {calibration.ece_ratio}, expected {ece}"


def _check_edges(edges: tuple[float, ...]) -> None:
    if not all(map(math.isfinite, edges)) or any(b <= a for a, b in pairwise(edges)):
        raise ValueError("edges must be finite and ascend")


def _check_counts(counts: tuple[int, ...], expected: int) -> None:
    if len(counts) != expected:
        raise ValueError(f"{len(counts)} counts, expected {expected}")
    if any(not 0 <= count <= _MAX_COUNT for count in counts):
        raise ValueError("counts must be 0 or more")


def refit_threshold(edges: tuple[float, ...], counts: Array, accuracy: float) -> float:
    """The threshold of added counts; see ``calibration.nearest_threshold``."""
    return nearest_threshold(np.array(edges), counts, accuracy)
