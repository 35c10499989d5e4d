"""In reverse: which mistake makes the caller's tensor, or the caller's scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.answers import ClassAnswers, logarithms
from batchproof_server.diagnosis.case import Framed, ScalingEnds
from batchproof_server.diagnosis.likelihoods import log_likelihoods, rounded_covariance
from batchproof_server.diagnosis.scalings import TOLD_APART
from batchproof_server.imaging.channel_fit import ChannelFit, channel_fit

_WHITE: Final = 255.0
_FREEDOM: Final = 8.0
_LEAST_DEVIATION_NATS: Final = 1e-3
_SHARES: Final = (0.0, 0.25, 0.5, 1.0)
_DEVIATIONS: Final = (0.25, 0.5, 1.0)


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
        """Of probabilities or of logits, float64 [classes]; what sums to 1 is probabilities."""
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

    def evidence(self, drawn: ClassAnswers, plain: ClassAnswers) -> float:
        """How much likelier the scores are as one more draw than as another model's, in nats.

        Draws are distributed as Student's t with their own mean and covariance. What another model
        says is not known; it may say the same as this one more weakly, or have nothing in common
        with it. It is a mixture of Student's t around shares of this model's answer, with shares of
        its size as deviation, each as likely.

        Args:
            drawn: answers that differ by chance, two rows or more.
            plain: this model's answer, one row.
        """
        known, compared = self._alike(drawn)
        ours, _ = self._alike(plain)
        # Centred scores lie in a plane with one dimension less.
        basis = _plane_of_centred(known.shape[1])
        draws, given, answer = known @ basis, compared @ basis, ours[0] @ basis
        spread = rounded_covariance(draws, _LEAST_DEVIATION_NATS)
        as_drawn = log_likelihoods(given, draws.mean(axis=0), spread, _FREEDOM)
        return float(as_drawn - _log_likelihood_of_another(given, answer))

    def _alike(self, answers: ClassAnswers) -> tuple[Array, Array]:
        """The answers and these scores in a form that both have."""
        if self.are_probabilities:
            return _centred(answers.logarithms), self.compared
        if answers.has_logits:
            return _centred(answers.scores), self.compared
        return _centred(answers.logarithms), _centred(logarithms(self.probabilities))


def _centred(values: Array) -> Array:
    centred: Array = values - values.mean(axis=-1, keepdims=True)
    return centred


def _plane_of_centred(classes: int) -> Array:
    """Orthonormal vectors without what is added to all classes: float64 [classes, classes - 1]."""
    with_ones = np.column_stack([np.ones(classes), np.eye(classes)[:, 1:]])
    orthonormal, _ = np.linalg.qr(with_ones)
    plane: Array = orthonormal[:, 1:]
    return plane


def _log_likelihood_of_another(given: Array, answer: Array) -> Array:
    variance = max(float((answer**2).mean()), _LEAST_DEVIATION_NATS**2)
    ball = np.eye(len(answer)) * variance
    each = [
        log_likelihoods(given, share * answer, ball * deviation**2, _FREEDOM)
        for share in _SHARES
        for deviation in _DEVIATIONS
    ]
    mixture: Array = np.logaddexp.reduce(each) - np.log(len(each))
    return mixture
