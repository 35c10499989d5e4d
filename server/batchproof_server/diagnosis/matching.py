"""In reverse: which mistake makes the caller's tensor, or the caller's scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.answers import LEAST_PROBABILITY, Answers, logarithms
from batchproof_server.diagnosis.case import Framed, ScalingEnds

_WHITE: Final = 255.0


@dataclass(frozen=True, slots=True, eq=False)
class LinearMatch:
    """A tensor as levels times a slope plus an offset, channel by channel.

    Attributes:
        residual_ratio: the share of the tensor's variance that is left; 1 when nothing is explained
            or the tensor has none.
        black: what level 0 becomes, [channels].
        white: what level 255 becomes, [channels].
    """

    residual_ratio: float
    black: Array
    white: Array


def linear_match(levels: Array, tensor: Array) -> LinearMatch:
    """Least squares of ``tensor = slope x levels + offset`` for each channel.

    What scalings do is linear in the levels, so geometry and colour show in what is left, whatever
    the scaling was.

    Args:
        levels: [height, width (, channels)].
        tensor: of the same shape.
    """
    given = _by_channel(levels), _by_channel(tensor)
    x, y = (each - each.mean(axis=0) for each in given)
    means = tuple(each.mean(axis=0) for each in given)
    spread = (x * x).sum(axis=0)
    slope = np.divide((x * y).sum(axis=0), spread, out=np.zeros_like(spread), where=spread > 0)
    offset = means[1] - slope * means[0]
    total = float((y * y).sum())
    left = float(((y - slope * x) ** 2).sum())
    ratio = left / total if total > 0 else 1.0
    return LinearMatch(ratio, offset, offset + _WHITE * slope)


def _by_channel(values: Array) -> Array:
    exact = values.astype(np.float64)
    three = 3
    flat: Array = exact.reshape(-1, exact.shape[-1] if exact.ndim == three else 1)
    return flat


@dataclass(frozen=True, slots=True)
class FramingMatch:
    """One way to the model's size, against the caller's tensor."""

    framed: Framed
    match: LinearMatch


def nearest_framing(framed: Sequence[Framed], tensor: Array) -> tuple[FramingMatch, FramingMatch]:
    """The declared way, and the one that leaves the least; the declared one of a tie."""
    matches = [FramingMatch(each, linear_match(each.levels, tensor)) for each in framed]
    declared = matches[0]
    best = min(matches, key=lambda each: each.match.residual_ratio)
    if best.match.residual_ratio >= declared.match.residual_ratio:
        best = declared
    return declared, best


def scaling_distance(match: LinearMatch, ends: ScalingEnds) -> float:
    """How far black and white are from those of a scaling, in parts of its own span."""
    black, white = np.array(ends.black), np.array(ends.white)
    span = max(float(np.abs(white - black).max()), 1e-12)
    return float(max(np.abs(match.black - black).max(), np.abs(match.white - white).max())) / span


def is_standardised(tensor: Array) -> bool:
    """Whether all values together have mean 0 and deviation 1, as after per-image standardising."""
    exact = tensor.astype(np.float64)
    tolerance = 5e-3
    return abs(float(exact.mean())) < tolerance and abs(float(exact.std()) - 1) < tolerance


@dataclass(frozen=True, slots=True, eq=False)
class GivenScores:
    """The caller's scores as logarithms of probabilities, each row with the mean 0.

    Attributes:
        are_probabilities: whether they are between 0 and 1 with the sum 1.
        probabilities: float64 [classes].
        compared: what is compared, float64 [classes].
    """

    are_probabilities: bool
    probabilities: Array
    compared: Array

    @staticmethod
    def of(scores: Array) -> "GivenScores":
        """Of probabilities or of logits, float64 [classes]."""
        tolerance = 1e-3
        if (scores >= 0).all() and abs(float(scores.sum()) - 1) < tolerance:
            return GivenScores(True, scores, _centred(logarithms(scores)))  # noqa: FBT003 - named by the class
        shifted = np.exp(scores - scores.max())
        return GivenScores(False, shifted / shifted.sum(), _centred(scores))  # noqa: FBT003 - named by the class

    def distances(self, answers: Answers) -> Array:
        """How far some answers are from the scores: root mean square in nats, float64 [rows].

        Logits are compared as they are where both sides have them, but for what is added to all;
        probabilities by their logarithms, cut off where float32 ends.
        """
        if not self.are_probabilities and answers.has_logits:
            known = _centred(answers.scores)
        elif self.are_probabilities:
            known = _centred(answers.logarithms)
        else:
            ours, given = answers.logarithms, logarithms(self.probabilities)
            apart: Array = np.sqrt(((_centred(ours) - _centred(given)) ** 2).mean(axis=1))
            return apart
        distances: Array = np.sqrt(((known - self.compared) ** 2).mean(axis=1))
        return distances


def own_distance(answers: Answers, share: float) -> float:
    """How far drawn answers are from the nearest other one, at a quantile; needs two or more.

    Args:
        answers: a row for each draw.
        share: the quantile.
    """
    rows = _centred(answers.scores if answers.has_logits else answers.logarithms)
    apart = np.sqrt(((rows[:, np.newaxis] - rows[np.newaxis]) ** 2).mean(axis=2))
    np.fill_diagonal(apart, np.inf)
    return float(np.quantile(apart.min(axis=1), share))


def saturates(probabilities: Array) -> bool:
    """Whether so little but one class is left that many scores look alike."""
    return bool(probabilities.max() > 1 - LEAST_PROBABILITY)


def _centred(values: Array) -> Array:
    centred: Array = values - values.mean(axis=-1, keepdims=True)
    return centred
