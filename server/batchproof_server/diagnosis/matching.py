"""In reverse: which mistake makes the caller's tensor, or the caller's scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.answers import ClassAnswers, logarithms
from batchproof_server.diagnosis.case import Framed, ScalingEnds
from batchproof_server.diagnosis.scalings import TOLD_APART
from batchproof_server.imaging.channel_fit import ChannelFit, channel_fit

_WHITE: Final = 255.0


@dataclass(frozen=True, slots=True)
class FramingMatch:
    """One way to the model's size, against the caller's tensor."""

    framed: Framed
    match: ChannelFit


def nearest_framing(
    framed: Sequence[Framed], scalings: Sequence[ScalingEnds], tensor: Array, explained: float
) -> tuple[FramingMatch, FramingMatch]:
    """The declared way, and the one that explains the tensor best; the declared one of a tie.

    Of a picture with few colours one channel is linear in another, so that several ways leave
    nothing; the one with the declared scaling is then the simplest, or else one with a known one.

    Args:
        framed: the declared way first.
        scalings: the declared one first.
        tensor: the caller's.
        explained: the residual below which nothing is left to explain.
    """
    matches = [FramingMatch(each, channel_fit(each.levels, tensor)) for each in framed]
    best = min(matches, key=lambda each: _difficulty(each.match, scalings, explained))
    return matches[0], best


def _difficulty(
    match: ChannelFit, scalings: Sequence[ScalingEnds], explained: float
) -> tuple[float, int]:
    if match.residual_ratio > explained:
        return match.residual_ratio, 0
    known = [scaling_distance(match, each) <= TOLD_APART for each in scalings if each.black]
    return 0.0, known.index(True) if True in known else len(known)


def scaling_distance(match: ChannelFit, ends: ScalingEnds) -> float:
    """How far black and white are from those of a scaling, in parts of its own span.

    Of a channel without variance it is how far its one level is.
    """
    black, white = np.array(ends.black), np.array(ends.white)
    span = max(float(np.abs(white - black).max()), 1e-12)
    at_ends = np.maximum(np.abs(match.black - black), np.abs(match.white - white))
    scaled = black + (white - black) * match.level / _WHITE
    at_level = np.abs(match.offset + match.slope * match.level - scaled)
    return float(np.where(match.varies, at_ends, at_level).max()) / span


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
            return GivenScores(
                are_probabilities=True, probabilities=scores, compared=_centred(logarithms(scores))
            )
        shifted = np.exp(scores - scores.max())
        return GivenScores(
            are_probabilities=False,
            probabilities=shifted / shifted.sum(),
            compared=_centred(scores),
        )

    def distances(self, answers: ClassAnswers) -> Array:
        """How far some answers are from the scores: root mean square in nats, float64 [rows].

        Logits are compared as they are where both sides have them, but for what is added to all;
        probabilities by their logarithms, cut off where float32 ends.
        """
        known, compared = self._alike(answers)
        distances: Array = np.sqrt(((known - compared) ** 2).mean(axis=1))
        return distances

    def resemblance(self, drawn: ClassAnswers) -> "Resemblance":
        """How alike the scores are to answers that differ by chance, two or more rows.

        The covariance is shrunk towards a multiple of the identity by a tenth of the mean variance:
        there are not many more draws than classes.
        """
        known, compared = self._alike(drawn)
        middle = known.mean(axis=0)
        classes = known.shape[1]
        covariance = np.cov(known.T).reshape(classes, classes)
        shrunk = covariance + np.eye(classes) * max(0.1 * np.trace(covariance) / classes, 1e-9)
        apart = np.concatenate([known, compared[np.newaxis]]) - middle
        far = np.sqrt((apart * np.linalg.solve(shrunk, apart.T).T).sum(axis=1))
        usual = max(float(np.quantile(far[:-1], 0.95)), 1e-9)
        return Resemblance(_cosine(middle, compared), float(far[-1]) / usual)

    def cosine(self, answers: ClassAnswers) -> float:
        """Of the angle to one answer."""
        known, compared = self._alike(answers)
        return _cosine(known[0], compared)

    def _alike(self, answers: ClassAnswers) -> tuple[Array, Array]:
        """The answers and these scores in a form that both have."""
        if self.are_probabilities:
            return _centred(answers.logarithms), self.compared
        if answers.has_logits:
            return _centred(answers.scores), self.compared
        return _centred(answers.logarithms), _centred(logarithms(self.probabilities))


@dataclass(frozen=True, slots=True)
class Resemblance:
    """Scores beside answers that differ by chance.

    Attributes:
        cosine: of the angle to their mean; 1 is the same direction.
        distance_ratio: Mahalanobis distance from their mean, by the 95 % quantile of their own.
    """

    cosine: float
    distance_ratio: float


def _centred(values: Array) -> Array:
    centred: Array = values - values.mean(axis=-1, keepdims=True)
    return centred


def _cosine(one: Array, other: Array) -> float:
    lengths = max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-9)
    return float(one @ other) / lengths
