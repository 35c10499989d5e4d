"""What the probabilities of a row mean together: one of several classes, or any of several labels.

Everything that is made of probabilities (the answer and its probability, entropy, margin, what
views and temperatures work on) is asked of a meaning, so that no other part has to know which one
it is. Any of several labels are as many models with two classes each, independent of each other: a
row's answer is the set of the labels above their limits, and its probability is the product of
theirs.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, Protocol, TypeAlias

import numpy as np

from batchproof_server.base.signature import Array

Limit: TypeAlias = float | tuple[float, ...] | None
"""Above which probability something is the answer: one for all, or one for each label."""

EVEN: Final = 0.5
"""The limit of a label where none is given: it is answered when it is likelier than not."""


# Contract: pure and immutable; what is worked out for a row depends on that row alone. Two rows are
# answered alike when their rows of ``answers`` are equal. Probabilities are [rows, classes] of
# float32 or float64, and what is made of them has their dtype unless something else is said.
class Meaning(Protocol):
    """How probabilities become an answer."""

    @property
    def limit(self) -> Limit:
        """Above which probability something is the answer; None where nobody said."""
        ...

    @property
    def is_multi_label(self) -> bool:
        """Whether an answer is a set of labels."""
        ...

    def answers(self, probabilities: Array) -> Array:
        """The answer to each row: a class, int64 [rows, 1], or labels, bool [rows, labels]."""
        ...

    def best(self, probabilities: Array, answers: Array) -> Array:
        """The class by which each row is counted, int64 [rows].

        Of labels the most probable of those that are answered; the number of labels where none is.
        """
        ...

    def probability_of(self, probabilities: Array, answers: Array) -> Array:
        """The probability of these answers, which need not be the model's: [rows]."""
        ...

    def entropy(self, probabilities: Array) -> Array:
        """Of all that could be answered, in nats: float64 [rows], from float64."""
        ...

    def margin(self, probabilities: Array) -> Array:
        """How far each row is from another answer: [rows]."""
        ...

    def apart(self, probabilities: Array) -> Array:
        """What excludes each other on the last axis: as it came, or [..., labels, 2]."""
        ...

    def apart_logits(self, logits: Array) -> Array:
        """The same of logits."""
        ...

    def together(self, apart: Array) -> Array:
        """The way back from ``apart``."""
        ...


@dataclass(frozen=True, slots=True)
class OneOfMany:
    """Classes that exclude each other.

    Attributes:
        limit: the second of two classes is the answer when its probability is above this; None for
            the most probable class, of a tie the one with the lower index.
    """

    limit: float | None = None
    is_multi_label: ClassVar[bool] = False

    def answers(self, probabilities: Array) -> Array:
        """The class of each row: int64 [rows, 1]."""
        if self.limit is None:
            most_probable: Array = probabilities.argmax(axis=1)[:, np.newaxis]
            return most_probable
        above: Array = (probabilities[:, 1:2] > self.limit).astype(np.int64)
        return above

    def best(self, probabilities: Array, answers: Array) -> Array:
        """The answer itself."""
        del probabilities
        best: Array = answers[:, 0]
        return best

    def probability_of(self, probabilities: Array, answers: Array) -> Array:
        """Those of the classes."""
        found: Array = probabilities[np.arange(len(answers)), answers[:, 0]]
        return found

    def entropy(self, probabilities: Array) -> Array:
        """Of the classes."""
        return _entropy(probabilities)

    def margin(self, probabilities: Array) -> Array:
        """Highest minus second highest probability, whatever the limit."""
        if probabilities.shape[1] == 1:
            return probabilities[:, 0]
        best_last = probabilities.copy()
        best_last.partition(-2, axis=1)
        margin: Array = best_last[:, -1] - best_last[:, -2]
        return margin

    def apart(self, probabilities: Array) -> Array:
        """As they came."""
        return probabilities

    def apart_logits(self, logits: Array) -> Array:
        """As they came."""
        return logits

    def together(self, apart: Array) -> Array:
        """As they came."""
        return apart


@dataclass(frozen=True, slots=True)
class AnyOfMany:
    """Labels that have nothing to do with each other; none, some or all of them are the answer.

    Attributes:
        limit: a label is answered when its probability is above this, or above its own; None for
            ``EVEN``.
    """

    limit: Limit = None
    is_multi_label: ClassVar[bool] = True

    def answers(self, probabilities: Array) -> Array:
        """The labels of each row: bool [rows, labels]."""
        above: Array = probabilities > self._limits(probabilities)
        return above

    def best(self, probabilities: Array, answers: Array) -> Array:
        """The most probable label of each answer, ties to the lower index."""
        answered = np.where(answers, probabilities, -1.0)
        nothing = probabilities.shape[1]
        best: Array = np.where(answers.any(axis=1), answered.argmax(axis=1), nothing)
        return best

    def probability_of(self, probabilities: Array, answers: Array) -> Array:
        """The products of the labels' own, as they are independent of each other."""
        each = np.where(answers, probabilities, 1 - probabilities)
        product: Array = each.prod(axis=1)
        return product

    def entropy(self, probabilities: Array) -> Array:
        """The sum of the labels' own."""
        rows, labels = probabilities.shape
        return _entropy(self.apart(probabilities).reshape(rows, 2 * labels))

    def margin(self, probabilities: Array) -> Array:
        """The least distance of a label's probability from its limit."""
        distance: Array = np.abs(probabilities - self._limits(probabilities)).min(axis=1)
        return distance

    def apart(self, probabilities: Array) -> Array:
        """``1 - p`` and ``p`` of each label: [..., labels, 2]."""
        return np.stack([1 - probabilities, probabilities], axis=-1)

    def apart_logits(self, logits: Array) -> Array:
        """``0`` and ``z`` of each label: [..., labels, 2]."""
        return np.stack([np.zeros_like(logits), logits], axis=-1)

    def together(self, apart: Array) -> Array:
        """``p`` of each label."""
        second: Array = apart[..., 1]
        return second

    def _limits(self, probabilities: Array) -> Array:
        """In the precision of the probabilities, so that whoever compares again decides alike."""
        limit = EVEN if self.limit is None else self.limit
        return np.asarray(limit, probabilities.dtype)


def meaning_of(limit: Limit, *, is_multi_label: bool) -> Meaning:
    """The meaning with its limit."""
    if is_multi_label:
        return AnyOfMany(limit)
    return OneOfMany(None if isinstance(limit, tuple) else limit)


MOST_PROBABLE: Final = OneOfMany()
"""One class of several, without a limit."""


def _entropy(probabilities: Array) -> Array:
    """-sum p ln p with 0 ln 0 = 0 (Shannon 1948, section 6); never below 0 through rounding."""
    positive = np.where(probabilities > 0, probabilities, 1.0)
    # The minus sign alone would make -0.0 of a certain answer, and JSON shows it.
    entropy: Array = np.maximum(0.0, 0.0 - (positive * np.log(positive)).sum(axis=1))
    return entropy
