"""The signals of rows, against their definitions written down a second time."""

import numpy as np
import pytest

from batchproof_server.base.scores import score
from batchproof_server.drift.signals import log_sum_exp, prediction_signals
from support.drift_fixtures import logits


def test_each_signal_of_the_scores_is_what_its_definition_says() -> None:
    raw = logits(50, classes=7)
    scores = score(raw, "logits")
    signals = prediction_signals(
        scores.probabilities, scores.logits, scores.entropy, scores.decided
    )
    exact = np.exp(raw.astype(np.float64))
    p = np.sort(exact / exact.sum(axis=1, keepdims=True), axis=1)
    assert (signals.classes == raw.argmax(axis=1)).all()
    assert signals.values["confidence"] == pytest.approx(p[:, -1], abs=1e-7)
    assert signals.values["margin"] == pytest.approx(p[:, -1] - p[:, -2], abs=1e-7)
    assert signals.values["entropy"] == pytest.approx(-(p * np.log(p)).sum(axis=1), abs=1e-7)
    assert signals.values["energy"] == pytest.approx(-np.log(exact.sum(axis=1)))


def test_a_confidence_near_1_keeps_its_distance_from_1() -> None:
    scores = score(np.array([[20.0, 0.0], [25.0, 0.0], [30.0, 0.0]], np.float32), "logits")
    assert (scores.probabilities[:, 0] == 1).all()
    signals = prediction_signals(
        scores.probabilities, scores.logits, scores.entropy, scores.decided
    )
    distances = 1 - signals.values["confidence"]
    assert distances == pytest.approx(np.exp([-20, -25, -30]), rel=1e-2)
    assert (np.diff(signals.values["margin"]) > 0).all()


def test_a_model_of_probabilities_has_no_energy() -> None:
    probabilities = np.array([[0.25, 0.75], [1.0, 0.0]], np.float32)
    signals = prediction_signals(probabilities, None, np.array([0.56, 0.0]), np.array([1, 0]))
    assert set(signals.values) == {"confidence", "entropy", "margin"}
    assert signals.values["confidence"].tolist() == [0.75, 1.0]
    assert signals.values["margin"].tolist() == [0.5, 1.0]
    assert np.isfinite(signals.log_probabilities).all()


def test_a_tie_has_no_margin_and_one_class_is_certain() -> None:
    tie = prediction_signals(np.array([[0.5, 0.5]]), None, np.array([0.69]), np.array([0]))
    assert tie.values["margin"].tolist() == [0.0]
    only = prediction_signals(np.array([[1.0]]), None, np.array([0.0]), np.array([0]))
    assert only.values["confidence"].tolist() == [1.0]


def test_the_sum_of_exponentials_stays_finite_for_any_finite_logits() -> None:
    assert log_sum_exp(np.array([[1000.0, 1000.0]])) == pytest.approx([1000 + np.log(2)])
    assert log_sum_exp(np.array([[-1000.0, -1001.0]])) == pytest.approx([-1000 + 0.313261687])
