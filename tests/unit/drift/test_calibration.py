"""Temperature, calibration error and the threshold of ATC."""

import numpy as np
import pytest

from batchproof_server.base.signature import Array
from batchproof_server.drift.calibration import (
    atc_threshold,
    calibration_bins,
    expected_calibration_error,
    fit_temperature,
    nearest_threshold,
    negative_entropy,
)
from batchproof_server.offline.evaluation.measures import calibration_error, reliability


def sampled(temperature: float, rows: int = 20_000) -> tuple[Array, Array]:
    """Logits whose softmax at a temperature is the chance of each class, and what came."""
    numbers = np.random.default_rng(4)
    logits = numbers.normal(0, 3, (rows, 4))
    chances = np.exp(logits / temperature)
    chances /= chances.sum(axis=1, keepdims=True)
    truth = (chances.cumsum(axis=1) < numbers.random((rows, 1))).sum(axis=1)
    return logits, truth.clip(0, 3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_data_is_found(temperature: float) -> None:
    logits, truth = sampled(temperature)
    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_is_more_likely() -> None:
    logits, truth = sampled(1.7, 2_000)

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        normal = np.log(np.exp(scaled).sum(axis=1))
        return float((normal - scaled[np.arange(len(truth)), truth]).mean())

    best = fit_temperature(logits, truth)
    assert loss(best) <= min(loss(best * factor) for factor in (0.9, 0.999, 1.001, 1.1))


def test_perfect_answers_end_at_the_least_temperature_and_random_ones_at_the_greatest() -> None:
    truth = np.arange(300) % 3
    assert fit_temperature(np.eye(3)[truth], truth) == pytest.approx(0.05, rel=1e-3)
    assert fit_temperature(np.eye(3)[(truth + 1) % 3], truth) == pytest.approx(20, rel=1e-3)


def test_the_calibration_error_is_that_of_evaluate_with_ten_bins() -> None:
    numbers = np.random.default_rng(5)
    confidence = numbers.uniform(0.1, 1, 500)
    right = numbers.random(500) < 0.7
    bins = calibration_bins(confidence)
    error = expected_calibration_error(
        np.bincount(bins, minlength=10),
        np.bincount(bins[right], minlength=10),
        np.bincount(bins, confidence, 10),
    )
    assert error == pytest.approx(calibration_error(reliability(confidence, right, 10)))


def test_a_confidence_on_a_border_is_in_the_bin_below() -> None:
    assert calibration_bins(np.array([0.05, 0.1, 0.100001, 0.9, 1.0])).tolist() == [0, 0, 1, 8, 9]


def test_the_negative_entropy_is_0_for_certainty_and_lowest_for_chance() -> None:
    scores = negative_entropy(np.array([[900.0, -900.0], [0.0, 0.0], [1.0, 0.0]]), 1.0)
    assert scores[0] == 0
    assert scores[1] == pytest.approx(-np.log(2))
    assert scores[1] < scores[2] < scores[0]


def test_a_higher_temperature_is_less_sure() -> None:
    logits = np.array([[3.0, 1.0, 0.0]])
    assert negative_entropy(logits, 2.0) < negative_entropy(logits, 1.0)


@pytest.mark.parametrize("accuracy", [0.0, 0.25, 0.9, 1.0])
def test_the_share_at_or_above_the_threshold_is_the_accuracy(accuracy: float) -> None:
    scores = -np.random.default_rng(6).uniform(0, 1, 200)
    threshold = atc_threshold(scores, accuracy)
    assert np.mean(scores >= threshold) == pytest.approx(accuracy)


def test_the_nearest_edge_is_the_threshold_of_binned_scores() -> None:
    edges, counts = np.array([-0.6, -0.4, -0.1]), np.array([10, 20, 30, 40])
    assert nearest_threshold(edges, counts, 0.89) == -0.6
    assert nearest_threshold(edges, counts, 0.5) == -0.1
