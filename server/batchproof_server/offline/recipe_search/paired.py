"""Recipes on the same pictures, compared by the probability of what is true. Pure, in float64.

A wrong recipe may be very sure of itself, so confidence and entropy say nothing; the likelihood of
the truth does, and compared picture by picture it needs fewer pictures than the accuracy.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array

LEAST_PROBABILITY: Final = 1e-6
"""What a lower one counts as: one picture costs at most 13.8 nats, so that none decides alone."""


def log_likelihoods(true_probabilities: Array) -> Array:
    """``ln p`` of the true answer of each picture, p at least ``LEAST_PROBABILITY``."""
    floored = np.maximum(true_probabilities.astype(np.float64), LEAST_PROBABILITY)
    logarithms: Array = np.log(floored)
    return logarithms


@dataclass(frozen=True, slots=True)
class Lead:
    """How far one recipe is ahead of another on the same pictures.

    Attributes:
        mean: nats a picture; below 0 where it is behind.
        error: the standard error of the mean, from the differences picture by picture.
        pictures: two or more.
    """

    mean: float
    error: float
    pictures: int

    def interval(self, tail: float) -> tuple[float, float]:
        """Where the true lead lies, but for a probability of ``tail`` beyond each end.

        Student's interval of a mean (Student 1908, "The probable error of a mean").
        """
        reach = student_quantile(1 - tail, self.pictures - 1) * self.error
        return self.mean - reach, self.mean + reach

    def is_beyond_doubt(self, tail: float) -> bool:
        """Whether the interval lies above 0."""
        return self.interval(tail)[0] > 0

    def pictures_needed(self, tail: float) -> int | None:
        """About how many pictures would make this lead certain; None where there is no lead."""
        if self.mean <= 0 or self.error == 0:
            return None
        spread = self.error * math.sqrt(self.pictures)
        return math.ceil((student_quantile(1 - tail, self.pictures - 1) * spread / self.mean) ** 2)


def lead(ahead: Array, behind: Array) -> Lead:
    """Compares two recipes.

    Args:
        ahead: float64 [pictures], the log-likelihoods of one.
        behind: those of the other, of the same pictures in the same order.
    """
    differences = ahead - behind
    count = len(differences)
    return Lead(float(differences.mean()), float(differences.std(ddof=1) / math.sqrt(count)), count)


def tail_of_each(confidence: float, comparisons: int) -> float:
    """The probability of error that each of many comparisons is allowed, so that all hold together.

    Bonferroni's inequality for means (Dunn 1961, "Multiple comparisons among means", JASA 56). The
    recipes that nothing is ahead of beyond doubt then hold the best of them with this confidence,
    although the leader was chosen on the same pictures: the best is left out only if one of its
    own comparisons errs (the selection of a subset, Gupta 1965, Technometrics 7).

    Args:
        confidence: of all of them together, below 1.
        comparisons: how many; at least 1 is counted.
    """
    return (1 - confidence) / max(1, comparisons)


def student_quantile(share: float, degrees: int) -> float:
    """The quantile of Student's t distribution, from that of the normal one.

    Abramowitz and Stegun 1964, 26.7.5: the first four terms, which from 19 degrees of freedom on
    are within 0.03 % of it down to tails of 1e-6.

    Args:
        share: between 0.5 and 1.
        degrees: of freedom.
    """
    x = NormalDist().inv_cdf(share)
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return x + math.fsum(term / degrees**power for power, term in enumerate(terms, start=1))


def mutual_information(probabilities: Array) -> float:
    """``H(mean p) - mean H(p)`` in nats: how much the answers differ and how sure each is.

    It asks for no truth, and is a hint only: a recipe under which the model is sure of nonsense
    that differs from picture to picture has much of it. (The objective of Bridle, Heading and
    MacKay 1991, "Unsupervised classifiers, mutual information and phantom targets".)

    Args:
        probabilities: [pictures, classes], of classes that exclude each other.
    """
    shares = probabilities.astype(np.float64)
    return _entropy(shares.mean(axis=0)) - float(np.mean([_entropy(row) for row in shares]))


def _entropy(shares: Array) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())
