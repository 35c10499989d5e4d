"""Profiles of parts of the data, added up to the profile of the whole."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from batchproof.text import joined
from batchproof_server.drift.profile import (
    AtcReference,
    CalibrationReference,
    ClassReference,
    ReferenceProfile,
    SignalReference,
    ece_ratio,
    refit_threshold,
    right_pictures,
)
from batchproof_server.drift.tta_reference import TTA_SIGNALS, difference


class CannotMerge(ValueError):
    """Two profiles do not add up; the text has one line for each reason."""


def merge_profiles(left: ReferenceProfile, right: ReferenceProfile) -> ReferenceProfile:
    """The profile of both references together.

    Counts add up; mean and standard deviation are those of the union (Chan, Golub, LeVeque 1979),
    equal to a profile built at once but for rounding. The temperature is the parts' own; the
    threshold of ATC is the edge nearest to the accuracy of both.

    Raises:
        CannotMerge: they are of different models, recipes, classes, policies of test-time
            augmentation, bins or temperatures.
    """
    if reasons := [reason for same, reason in _comparisons(left, right) if not same]:
        raise CannotMerge(joined(reasons))
    pairs = zip(left.classes, right.classes, strict=True)
    classes = tuple(_added_classes(one, other) for one, other in pairs)
    pictures = left.pictures + right.pictures
    accuracy = (right_pictures(left) + right_pictures(right)) / pictures
    return replace(
        left,
        pictures=pictures,
        accuracy_ratio=accuracy,
        classes=classes,
        signals={
            name: add_signals(signal, right.signals[name]) for name, signal in left.signals.items()
        },
        calibration=_added_calibrations(left.calibration, right.calibration),
        atc=_added_atc(left.atc, right.atc, accuracy),
        libraries=left.libraries if left.libraries == right.libraries else {},
    )


def _comparisons(left: ReferenceProfile, right: ReferenceProfile) -> Iterable[tuple[bool, str]]:
    def same(what: Callable[[ReferenceProfile], Any]) -> bool:
        return bool(what(left) == what(right))

    again = "build one part with --like the other"
    yield same(lambda each: each.model_digest), "they are of different models"
    yield same(lambda each: each.recipe_digest), "they are of different recipes"
    both_say = bool(left.libraries and right.libraries)
    others = both_say and left.libraries != right.libraries
    yield not others, "they were made with other versions of libraries"
    yield same(lambda each: [one.label for one in each.classes]), "they have other classes"
    yield same(lambda each: each.is_multi_label), "one is of independent labels"
    yield same(lambda each: each.class_bins), f"the class bins differ: {again}"
    yield same(lambda each: each.tta), difference(left.tta, right.tta)
    yield same(lambda each: set(each.signals) - set(TTA_SIGNALS)), "they have other signals"
    for name in left.signals:
        if name in right.signals and left.signals[name].edges != right.signals[name].edges:
            yield False, f"the edges of {name} differ: {again}"
    yield same(lambda each: each.calibration.temperature), f"the temperatures differ: {again}"
    yield same(lambda each: each.atc.edges), f"the edges of the ATC score differ: {again}"


def add_signals(left: SignalReference, right: SignalReference) -> SignalReference:
    """One signal over both references; the edges are the same."""
    n_left, n_right = sum(left.counts), sum(right.counts)
    total = n_left + n_right
    mean = (n_left * left.mean + n_right * right.mean) / total
    within = n_left * left.stddev**2 + n_right * right.stddev**2
    between = (left.mean - right.mean) ** 2 * (n_left * n_right / total)
    low, high = min(left.min, right.min), max(left.max, right.max)
    return SignalReference(
        edges=left.edges,
        counts=_added(left.counts, right.counts),
        mean=min(max(mean, low), high),
        stddev=math.sqrt((within + between) / total),
        min=low,
        max=high,
    )


def _added_classes(left: ClassReference, right: ClassReference) -> ClassReference:
    return ClassReference(
        label=left.label,
        pictures=left.pictures + right.pictures,
        right=left.right + right.right,
        answered=left.answered + right.answered,
    )


def _added_calibrations(
    left: CalibrationReference, right: CalibrationReference
) -> CalibrationReference:
    pictures, correct = _added(left.pictures, right.pictures), _added(left.right, right.right)
    sums = zip(left.confidence_sum, right.confidence_sum, strict=True)
    confidence = tuple(one + other for one, other in sums)
    return CalibrationReference(
        temperature=left.temperature,
        ece_ratio=ece_ratio(pictures, correct, confidence),
        pictures=pictures,
        right=correct,
        confidence_sum=confidence,
    )


def _added_atc(left: AtcReference, right: AtcReference, accuracy: float) -> AtcReference:
    counts = _added(left.counts, right.counts)
    threshold = refit_threshold(left.edges, np.array(counts), accuracy)
    return replace(left, threshold=threshold, counts=counts)


def _added(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(one + other for one, other in zip(left, right, strict=True))
