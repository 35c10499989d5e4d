"""Temperature, expected calibration error and the threshold of ATC. Pure."""

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.drift.signals import log_sum_exp

CALIBRATION_BINS: Final = 10
ATC_BINS: Final = 200

_LEAST_TEMPERATURE, _GREATEST_TEMPERATURE = 0.05, 20.0
_MAX_FITTED_SCORES: Final = 5_000_000
_STEPS: Final = 36
_GOLDEN: Final = (math.sqrt(5) - 1) / 2


def fit_temperature(log_probabilities: Array, truth: Array) -> float:
    """The temperature from 0.05 to 20 at which the negative log-likelihood is least.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2. The likelihood is
    convex in ``1 / T``, so the golden section finds its minimum. Of more than 5,000,000 scores,
    evenly spread rows are taken.

    Args:
        log_probabilities: [rows, classes], logits or logarithms of probabilities; of independent
            labels [rows, labels, 2].
        truth: int64 [rows], the true classes; of labels [rows, labels], 1 for those that are true.
    """
    step = max(1, math.ceil(log_probabilities.size / _MAX_FITTED_SCORES))
    scores, classes = log_probabilities[::step].astype(np.float64), truth[::step]
    true_scores = np.take_along_axis(scores, classes[..., np.newaxis], axis=-1)[..., 0]

    def loss(log_temperature: float) -> float:
        inverse = math.exp(-log_temperature)
        return float((log_sum_exp(scores * inverse) - true_scores * inverse).mean())

    bounds = (math.log(_LEAST_TEMPERATURE), math.log(_GREATEST_TEMPERATURE))
    return math.exp(_least(loss, *bounds))


def _least(loss: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one minimum has it: golden section, Kiefer 1953."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(_STEPS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    return (low + high) / 2


def calibration_bins(confidence: Array) -> Array:
    """The bin ``((m - 1) / 10, m / 10]`` of each confidence: int64 [rows], 0 to 9.

    Guo et al. 2017, section 2, with 10 bins of equal width.
    """
    upper = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    bins: Array = np.searchsorted(upper, confidence, side="left")
    return bins


def expected_calibration_error(pictures: Array, right: Array, confidence_sum: Array) -> float:
    """How far accuracy and mean confidence lie apart, on average over the pictures.

    Guo et al. 2017, equation 3 (after Naeini et al. 2015).

    Args:
        pictures: [bins].
        right: [bins], how many of them are right.
        confidence_sum: [bins].
    """
    return float(np.abs(right - confidence_sum).sum() / pictures.sum())


def negative_entropy(log_probabilities: Array, temperature: float) -> Array:
    """The score of ATC-NE: ``sum p ln p`` at a temperature, float64 [rows], at most 0.

    Garg et al. 2022, "Leveraging Unlabeled Data to Predict Out-of-Distribution Performance"
    (arXiv 2201.04234), section 3; calibrated first, as in their tables.

    Args:
        log_probabilities: [rows, classes], logits or logarithms of probabilities; of independent
            labels [rows, labels, 2], whose scores are summed up.
        temperature: above 0.
    """
    scaled = log_probabilities / temperature
    shifted = scaled - log_sum_exp(scaled)[..., np.newaxis]
    # exp(-745) is 0 and 0 x -800 is 0: a class that is impossible adds nothing.
    terms = (np.exp(shifted) * shifted).reshape(len(shifted), -1)
    scores: Array = np.minimum(terms.sum(axis=1), 0.0)
    return scores


def atc_threshold(scores: Array, accuracy: float) -> float:
    """The score that as large a share of the reference reaches as it has right.

    Garg et al. 2022, equation 2: the share below the threshold is the error.

    Args:
        scores: [rows], one or more.
        accuracy: of the same rows.
    """
    ascending = np.sort(scores)
    below = round((1.0 - accuracy) * len(ascending))
    if below == len(ascending):
        return float(np.nextafter(ascending[-1], np.inf))
    return float(ascending[below])


def nearest_threshold(edges: Array, counts: Array, accuracy: float) -> float:
    """The edge whose share at or above it is nearest to the accuracy.

    Args:
        edges: ascending, one or more.
        counts: int64 [edges + 1], of the bins between them.
        accuracy: of the same rows.
    """
    above = counts[::-1].cumsum()[::-1][1:] / counts.sum()
    return float(edges[int(np.abs(above - accuracy).argmin())])
