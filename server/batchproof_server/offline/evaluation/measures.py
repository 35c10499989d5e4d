"""The formulas of the evaluation, in float64. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array

BINS: Final = 15
"""Of a reliability diagram; the number that Guo et al. 2017 use."""

LEAST_PROBABILITY: Final = float(np.finfo(np.float32).smallest_normal)
"""What a lower one counts as, since answers are float32: no picture costs over 87.4 nats."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability diagram: bins of equal width over the confidence.

    Attributes:
        pictures: int64 [bins].
        confidence: float64 [bins], the mean in the bin; 0 where it is empty.
        accuracy: float64 [bins], the share that is right; 0 where it is empty.
    """

    pictures: Array
    confidence: Array
    accuracy: Array


def accuracy(answers: Array, classes: Array) -> float:
    """The share of the answers that is right.

    Args:
        answers: int64 [pictures], 1 or more.
        classes: int64 [pictures], the truth.
    """
    return float(np.mean(answers == classes))


def confusion(classes: Array, answers: Array, count: int) -> Array:
    """How often each class got each answer: int64 [count, count], the truth on axis 0."""
    pairs: Array = np.bincount(classes * count + answers, minlength=count * count)
    return pairs.reshape(count, count)


def negative_log_likelihood(true_probabilities: Array) -> float:
    """The mean of ``-ln p`` over the probabilities of the true classes, in nats.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 6, divided by the number
    of pictures; probabilities below ``LEAST_PROBABILITY`` count as that.
    """
    return float(-np.log(np.maximum(true_probabilities.astype(float), LEAST_PROBABILITY)).mean())


def reliability(confidence: Array, right: Array, bins: int = BINS) -> Reliability:
    """Sorts answers by their confidence into the bins ``((m - 1) / bins, m / bins]``.

    Guo et al. 2017, equations 1 and 2.

    Args:
        confidence: [pictures], the probability of the answer, above 0 and up to 1.
        right: bool [pictures].
        bins: how many.
    """
    upper = np.arange(1, bins) / bins
    places = np.searchsorted(upper, confidence.astype(float), side="left")
    pictures = np.bincount(places, minlength=bins)
    divisor = np.maximum(pictures, 1)
    return Reliability(
        pictures=pictures,
        confidence=np.bincount(places, confidence.astype(float), bins) / divisor,
        accuracy=np.bincount(places, right.astype(float), bins) / divisor,
    )


def calibration_error(diagram: Reliability) -> float:
    """The expected calibration error: Guo et al. 2017, equation 3 (after Naeini et al. 2015).

    The mean over all pictures of how far accuracy and mean confidence of their bin lie apart.
    """
    shares = diagram.pictures / diagram.pictures.sum()
    return float((shares * np.abs(diagram.accuracy - diagram.confidence)).sum())


def greatest_differences(left: Array, right: Array) -> Array:
    """The greatest absolute difference in each row: float64 [rows]."""
    result: Array = np.abs(left.astype(float) - right.astype(float)).max(axis=1)
    return result


def bits_differ(left: Array, right: Array) -> Array:
    """Whether any bit of a row differs: bool [rows].

    Args:
        left: float32 [rows, columns].
        right: the same.
    """
    one, other = (np.ascontiguousarray(side).view(np.uint32) for side in (left, right))
    result: Array = (one != other).any(axis=1)
    return result
