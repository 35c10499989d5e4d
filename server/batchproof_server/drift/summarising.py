"""From the signals of labelled pictures to their profile: bins are found, or taken from another."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.drift.binning import (
    MAX_BINS,
    bins_of,
    class_bins,
    decile_edges,
    quantile_edges,
)
from batchproof_server.drift.calibration import (
    ATC_BINS,
    CALIBRATION_BINS,
    atc_threshold,
    calibration_bins,
    fit_temperature,
    negative_entropy,
)
from batchproof_server.drift.profile import (
    AtcReference,
    CalibrationReference,
    ClassReference,
    ReferenceProfile,
    SignalReference,
    ece_ratio,
    refit_threshold,
)
from batchproof_server.drift.signals import LATER_SIGNALS, NATURAL_RANGE, Signals
from batchproof_server.drift.tta_reference import TtaReference

MIN_PICTURES = 100
"""Fewer make deciles of less than ten pictures."""


class CannotProfile(ValueError):
    """The answers make no profile; the text says why."""


@dataclass(frozen=True, slots=True)
class ProfiledModel:
    """What the profile is of.

    Attributes:
        model_digest: of the artefact.
        recipe_digest: of the recipe.
        labels: of all classes in their order.
        tta: what its signals of test-time augmentation hold for; None where it has none.
        libraries: versions of what makes the pixels of its rows, by name.
    """

    model_digest: str
    recipe_digest: str
    labels: tuple[str, ...]
    tta: TtaReference | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Frame:
    """What must be equal for two profiles to add up.

    Attributes:
        class_bins: see ``binning.class_bins``.
        edges: of every other signal, by name.
        temperature: of the calibration.
        atc_edges: of the score of ATC.
    """

    class_bins: tuple[int, ...]
    edges: Mapping[str, tuple[float, ...]]
    temperature: float
    atc_edges: tuple[float, ...]


def frame_of(profile: ReferenceProfile) -> Frame:
    """The frame of a profile, for another part of the same data."""
    return Frame(
        class_bins=profile.class_bins,
        edges={name: signal.edges for name, signal in profile.signals.items()},
        temperature=profile.calibration.temperature,
        atc_edges=profile.atc.edges,
    )


def found_frame(signals: Signals, truth: Array, classes: int) -> Frame:
    """The frame of the first or only part: deciles, the fitted temperature, 200 ATC bins.

    Args:
        signals: of the reference; every value is there and finite.
        truth: int64 [rows], the true classes; of labels bool [rows, labels].
        classes: how many there are.
    """
    temperature = fit_temperature(signals.log_probabilities, truth.astype(np.int64))
    scores = negative_entropy(signals.log_probabilities, temperature)
    exact = atc_threshold(scores, float(np.mean(_are_right(signals, truth))))
    anywhere = (-np.inf, np.inf)
    return Frame(
        class_bins=class_bins(np.bincount(signals.classes, minlength=classes)),
        edges={
            name: decile_edges(values, NATURAL_RANGE.get(name, anywhere))
            for name, values in signals.values.items()
        },
        temperature=temperature,
        atc_edges=tuple(sorted({exact, *quantile_edges(scores, ATC_BINS)})),
    )


def summarise(
    subject: ProfiledModel, signals: Signals, truth: Array, frame: Frame | None = None
) -> ReferenceProfile:
    """The profile of some labelled pictures.

    Args:
        subject: what it is of.
        signals: of the answers, one row for each picture.
        truth: int64 [rows], the true classes; of labels bool [rows, labels].
        frame: of another part of the same data; None finds it here.

    Raises:
        CannotProfile: too few pictures for bins of their own, values that are not finite, or a
            frame of other signals or classes.
    """
    classes, signals = len(subject.labels), _comparable(signals, frame)
    if frame is None and len(truth) < MIN_PICTURES:
        raise CannotProfile(f"{len(truth)} pictures, expected {MIN_PICTURES} or more")
    _check_finite(signals)
    frame = found_frame(signals, truth, classes) if frame is None else frame
    _check_frame(frame, signals, classes)
    right = _are_right(signals, truth)
    return ReferenceProfile(
        format=1,
        model_digest=subject.model_digest,
        recipe_digest=subject.recipe_digest,
        pictures=len(truth),
        accuracy_ratio=float(np.mean(right)),
        classes=_classes(subject.labels, signals, truth),
        class_bins=frame.class_bins,
        signals={
            name: _signal(values, frame.edges[name]) for name, values in signals.values.items()
        },
        calibration=_calibration(signals.values["confidence"], right, frame.temperature),
        atc=_atc(signals.log_probabilities, right, frame),
        tta=subject.tta,
        libraries=dict(subject.libraries),
        is_multi_label=signals.chosen is not None,
    )


def _comparable(signals: Signals, frame: Frame | None) -> Signals:
    """Without what no row has, and what the other part of the data is too old for."""
    left_out = {
        name
        for name in LATER_SIGNALS
        if name in signals.values
        and (np.isnan(signals.values[name]).all() or (frame and name not in frame.edges))
    }
    values = {name: each for name, each in signals.values.items() if name not in left_out}
    return replace(signals, values=values)


def _are_right(signals: Signals, truth: Array) -> Array:
    """Which rows are answered right: bool [rows]."""
    if signals.chosen is None:
        right: Array = signals.classes == truth
        return right
    exactly: Array = (signals.chosen == truth).all(axis=1)
    return exactly


def _check_finite(signals: Signals) -> None:
    for name, values in signals.values.items():
        if not np.isfinite(values).all():
            place = int(np.flatnonzero(~np.isfinite(values))[0])
            raise CannotProfile(f"{name} of picture {place} is not finite")


def _check_frame(frame: Frame, signals: Signals, classes: int) -> None:
    if set(frame.edges) != set(signals.values):
        came, expected = (", ".join(sorted(names)) for names in (frame.edges, signals.values))
        raise CannotProfile(f"the other profile has the signals {came}, expected {expected}")
    own = classes if classes <= MAX_BINS else MAX_BINS - 1
    if len(frame.class_bins) != own or max(frame.class_bins) >= classes:
        raise CannotProfile("the other profile has other classes")


def _classes(labels: tuple[str, ...], signals: Signals, truth: Array) -> tuple[ClassReference, ...]:
    count, answers = len(labels), signals.classes
    if signals.chosen is None:
        there, right = np.bincount(truth, minlength=count), answers == truth
    else:
        # The last one is that of no label.
        every = np.column_stack([truth, ~truth.any(axis=1)])
        there, right = every.sum(axis=0), every[np.arange(len(answers)), answers]
    answered, found = (np.bincount(each, minlength=count) for each in (answers, answers[right]))
    counts = (each.tolist() for each in (there, found, answered))
    return tuple(map(ClassReference, labels, *counts))


def _signal(values: Array, edges: tuple[float, ...]) -> SignalReference:
    counts = np.bincount(bins_of(values, np.array(edges)), minlength=len(edges) + 1)
    low, high = float(values.min()), float(values.max())
    return SignalReference(
        edges=edges,
        counts=tuple(counts.tolist()),
        mean=min(max(float(values.mean()), low), high),
        stddev=float(values.std()),
        min=low,
        max=high,
    )


def _calibration(confidence: Array, right: Array, temperature: float) -> CalibrationReference:
    bins = calibration_bins(confidence)
    pictures = tuple(np.bincount(bins, minlength=CALIBRATION_BINS).tolist())
    correct = tuple(np.bincount(bins[right], minlength=CALIBRATION_BINS).tolist())
    sums = tuple(np.bincount(bins, confidence, CALIBRATION_BINS).tolist())
    return CalibrationReference(
        temperature=temperature,
        ece_ratio=ece_ratio(pictures, correct, sums),
        pictures=pictures,
        right=correct,
        confidence_sum=sums,
    )


def _atc(log_probabilities: Array, right: Array, frame: Frame) -> AtcReference:
    scores = negative_entropy(log_probabilities, frame.temperature)
    edges = np.array(frame.atc_edges)
    counts = np.bincount(bins_of(scores, edges), minlength=len(edges) + 1)
    threshold = refit_threshold(frame.atc_edges, counts, float(np.mean(right)))
    return AtcReference(
        score="negative_entropy",
        threshold=threshold,
        edges=frame.atc_edges,
        counts=tuple(counts.tolist()),
    )
