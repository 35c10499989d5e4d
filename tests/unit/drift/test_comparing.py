"""Counts against their reference: the figures of the rules, verdicts, what is not estimated."""

from dataclasses import replace

import numpy as np
import pytest

from batchproof_server.drift.comparing import (
    OF_INPUTS,
    WITHHELD,
    DriftComparison,
    SignalDrift,
    compare,
)
from batchproof_server.drift.signals import Signals
from repo.drift_formulas import chi_square, distances, ordered, smoothed
from support.drift_fixtures import augmented_profile, part, profile, signals

REFERENCE = profile(rows=2_000)


def signal(comparison: DriftComparison, name: str) -> SignalDrift:
    (found,) = (each for each in comparison.signals if each.name == name)
    return found


def shifted(rows: int, name: str, by: float) -> Signals:
    """Signals of which one is moved by so many standard deviations of the reference."""
    made = signals(rows, seed=7)
    moved = made.values[name] + by * REFERENCE.signals[name].stddev
    return replace(made, values={**made.values, name: moved})


@pytest.mark.parametrize("rows", [60, 500, 3_000])
@pytest.mark.parametrize("by", [0.0, 0.4])
def test_the_figures_are_those_of_the_rules(rows: int, by: float) -> None:
    comparison = compare(REFERENCE, shifted(rows, "brightness", by))

    for found in comparison.signals:
        known = REFERENCE.class_groups().counts
        if found.name != "class":
            known = np.array(REFERENCE.signals[found.name].counts)
        live = np.array([each.observations for each in found.bins], np.float64)
        p, total = smoothed(known), float(known.sum())
        expected = distances(live, p, total) | chi_square(live, p, total)
        limits = [expected["chi2_zscore"] / (2.6 if found.name == "class" else 2.75)]
        if found.mean_shift is not None:
            deviations = rows * (found.mean_shift + 10)
            figures = ordered(live, p, total, deviations)
            limits.append(figures["anderson_darling"] / 4.33)
        assert found.observations == live.sum() == rows
        assert found.significance == pytest.approx(max(limits))
        for name in ("psi", "psi_above_noise", "js_distance", "tv_distance"):
            assert getattr(found, name) == pytest.approx(expected[name], abs=1e-12)


def test_other_pictures_of_the_same_kind_are_no_drift() -> None:
    comparison = compare(REFERENCE, signals(1_000, seed=5))

    assert comparison.verdict in {"none", "significant"}
    assert comparison.accuracy.withheld == ""
    assert comparison.rows == 1_000


@pytest.mark.parametrize(
    ("rows", "by", "verdict"),
    [
        (1_000, 0.0, "none"),
        (1_000, 0.15, "significant"),
        (1_000, 0.25, "drifted"),
        (1_000, 1.5, "severe"),
        (150, 1.5, "significant"),
        (40, 1.5, "too few"),
    ],
)
def test_a_verdict_needs_significance_effect_and_observations(
    rows: int, by: float, verdict: str
) -> None:
    name = "brightness"
    assert signal(compare(REFERENCE, shifted(rows, name, by)), name).verdict == verdict


def test_a_signal_that_no_row_has_is_not_seen_and_does_not_decide() -> None:
    made = signals(300, seed=7)
    values = {name: each for name, each in made.values.items() if name != "brightness"}
    comparison = compare(REFERENCE, replace(made, values=values))

    found = signal(comparison, "brightness")
    assert (found.verdict, found.observations, found.mean_shift) == ("not seen", 0, None)
    assert comparison.verdict in {"none", "significant"}


def test_signals_of_views_are_not_seen_in_plain_answers() -> None:
    comparison = compare(augmented_profile(), signals(300, seed=7))

    assert signal(comparison, "tta_flip_rate").verdict == "not seen"


def test_the_accuracy_of_the_reference_itself_is_estimated_as_it_is() -> None:
    made = signals(400)
    known = profile(rows=400)
    accuracy = compare(known, made).accuracy

    assert accuracy.reference_ratio == known.accuracy_ratio
    assert accuracy.atc_ratio == pytest.approx(known.accuracy_ratio)
    assert accuracy.doc_ratio == pytest.approx(known.accuracy_ratio)


@pytest.mark.parametrize(
    "name", ["brightness", "sharpness", "tensor_mean", "contrast", "saturation"]
)
def test_no_accuracy_is_estimated_when_the_inputs_are_not_like_the_reference(name: str) -> None:
    assert name in OF_INPUTS
    accuracy = compare(REFERENCE, shifted(1_000, name, 5.0)).accuracy

    assert accuracy.withheld == WITHHELD
    assert accuracy.atc_ratio is accuracy.doc_ratio is None


def test_no_accuracy_is_estimated_when_the_classes_are_others() -> None:
    made = signals(1_000, seed=7)
    others = replace(made, classes=np.zeros_like(made.classes))

    assert compare(REFERENCE, others).accuracy.withheld == WITHHELD


def test_unsure_answers_alone_do_not_withhold_what_they_are_there_for() -> None:
    comparison = compare(REFERENCE, shifted(1_000, "confidence", -0.9))

    assert signal(comparison, "confidence").verdict == "severe"
    assert comparison.accuracy.doc_ratio is not None
    assert comparison.accuracy.doc_ratio < REFERENCE.accuracy_ratio


def test_of_few_rows_nothing_is_estimated() -> None:
    accuracy = compare(REFERENCE, part(signals(400), slice(0, 30))).accuracy

    assert accuracy.withheld == "no estimate: too few pictures"


def test_a_class_that_the_profile_does_not_know_is_unusable() -> None:
    comparison = compare(REFERENCE, signals(200, classes=5, seed=2))

    assert comparison.rows + comparison.unusable == 200
    assert comparison.unusable > 0
