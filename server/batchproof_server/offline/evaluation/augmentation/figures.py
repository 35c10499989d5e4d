"""The answers of one way of answering, kept as three figures a picture, and what they amount to."""

from dataclasses import dataclass

import numpy as np

from batchproof_server.base.meaning import MOST_PROBABLE, Meaning
from batchproof_server.base.signature import Array
from batchproof_server.offline.evaluation import measures


@dataclass(frozen=True, slots=True)
class Figures:
    """How good some answers are.

    Attributes:
        right: pictures whose best class is the true one.
        accuracy: their share.
        nll: negative log-likelihood, nats a picture.
        ece: expected calibration error, 15 bins.
    """

    right: int
    accuracy: float
    nll: float
    ece: float


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What was answered to each picture, as a caller gets it: rounded to float32.

    Made by ``no_answers``, filled by ``note``.

    Attributes:
        truth: int64 [pictures], the true classes.
        top1: int64 [pictures], the best classes.
        confidence: float64 [pictures], the probability of the answer.
        sureness: float64 [pictures], the same before rounding, on which early exit decides.
        true_probability: float64 [pictures], that of the true class.
        meaning: of the probabilities, of classes that exclude each other.
    """

    truth: Array
    top1: Array
    confidence: Array
    sureness: Array
    true_probability: Array
    meaning: Meaning = MOST_PROBABLE

    def note(self, place: int, probabilities: Array) -> None:
        """Keeps the answer to one picture, float64 [classes]; a tie goes to the lower index."""
        given = probabilities.astype(np.float32)
        best = int(self.meaning.answers(given[np.newaxis])[0, 0])
        self.top1[place] = best
        self.confidence[place] = given[best]
        self.sureness[place] = probabilities[best]
        self.true_probability[place] = given[self.truth[place]]

    @property
    def is_right(self) -> Array:
        """Which pictures got their true class: bool [pictures]."""
        right: Array = self.top1 == self.truth
        return right

    def figures(self) -> Figures:
        """What the answers amount to, over one or more pictures."""
        right = self.is_right
        return Figures(
            right=int(right.sum()),
            accuracy=float(right.mean()),
            nll=measures.negative_log_likelihood(self.true_probability),
            ece=measures.calibration_error(measures.reliability(self.confidence, right)),
        )


def no_answers(truth: Array, meaning: Meaning = MOST_PROBABLE) -> Answers:
    """Answers that are still to come.

    Args:
        truth: int64 [pictures].
        meaning: of the probabilities, of classes that exclude each other.
    """
    return Answers(
        truth=truth,
        top1=np.full(len(truth), -1),
        confidence=np.zeros(len(truth)),
        sureness=np.zeros(len(truth)),
        true_probability=np.zeros(len(truth)),
        meaning=meaning,
    )
