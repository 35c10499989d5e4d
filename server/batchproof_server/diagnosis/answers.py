"""The answers of a model with exclusive classes, in the form that checks compare."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.scores import Scores
from batchproof_server.base.signature import Array
from batchproof_server.drift.signals import log_sum_exp

LEAST_PROBABILITY: Final = 1e-7
"""What a lower probability counts as when logarithms are compared: float32 knows it of 1 - p."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassAnswers:
    """The answers to some rows.

    Attributes:
        probabilities: float64 [rows, classes].
        scores: float64 [rows, classes]: logits, or ``ln p`` where the model answers with
            probabilities.
        has_logits: which of the two.
        decided: int64 [rows], the class.
    """

    probabilities: Array
    scores: Array
    has_logits: bool
    decided: Array

    @staticmethod
    def of(scores: Scores) -> "ClassAnswers":
        """Those of exclusive classes."""
        probabilities = scores.probabilities.astype(np.float64)
        logits = scores.logits
        if logits is not None and logits.shape == probabilities.shape:
            exact = logits.astype(np.float64)
            return ClassAnswers(probabilities, exact, has_logits=True, decided=scores.decided)
        known = logarithms(probabilities)
        return ClassAnswers(probabilities, known, has_logits=False, decided=scores.decided)

    @property
    def confidence(self) -> Array:
        """The probability of each answer."""
        return self.probability_of(self.decided)

    def probability_of(self, classes: Array) -> Array:
        """The probability of one class of each row."""
        found: Array = self.probabilities[np.arange(len(classes)), classes]
        return found

    @property
    def typicality(self) -> Array:
        """How sure the model is of having seen such rows: float64 [rows], more is more typical.

        ``ln sum exp`` of the logits, which is the negative energy of Liu et al. 2020; of a model
        that answers with probabilities ``ln`` of the highest one.
        """
        if self.has_logits:
            return log_sum_exp(self.scores)
        highest: Array = self.scores.max(axis=1)
        return highest

    @property
    def logarithms(self) -> Array:
        """``ln p``, cut off at ``LEAST_PROBABILITY``: float64 [rows, classes]."""
        return logarithms(self.probabilities)

    def part(self, rows: slice) -> "ClassAnswers":
        """Those to some of the rows."""
        return ClassAnswers(
            self.probabilities[rows], self.scores[rows], self.has_logits, self.decided[rows]
        )


def logarithms(probabilities: Array) -> Array:
    """``ln p``, cut off at ``LEAST_PROBABILITY``."""
    result: Array = np.log(np.maximum(probabilities, LEAST_PROBABILITY))
    return result
