"""The kinds of class scores: how the numbers of an output are written, and what contradicts them.

One value a kind, with everything that differs between kinds. A new kind is another value here and a
number in the wire contract.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, Literal

import numpy as np

from batchproof_server.base.meaning import Limit, Meaning, meaning_of
from batchproof_server.base.signature import Array

ScoresKind = Literal[
    "logits",
    "probabilities",
    "binary_logit",
    "binary_probability",
    "multilabel_logits",
    "multilabel_probabilities",
]
"""What class scores may be; see ``OutputSettings``."""

_LEAST_PROBABILITY: Final = 1e-300
_SUM_TOLERANCE: Final = 1e-3
_SATURATED: Final = 1e-6
_FEWEST_ROWS: Final = 8


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Why an output is not of the kind that was declared.

    Attributes:
        detail: what was seen, and the kind that it would be.
        is_certain: whether no output of the declared kind could look like this.
    """

    detail: str
    is_certain: bool = True


@dataclass(frozen=True, slots=True)
class ScoresForm(ABC):
    """One kind of class scores.

    Attributes:
        name: as manifests write it.
        has_logits: whether the numbers are logits; else they are probabilities.
        is_binary: whether there is one number for two classes.
        is_multi_label: whether the numbers are of labels that do not exclude each other.
        expected: the shape, for messages.
    """

    name: ScoresKind
    has_logits: bool
    is_binary: ClassVar[bool] = False
    is_multi_label: ClassVar[bool] = False
    expected: ClassVar[str] = "[rows, classes]"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an output of this shape can hold it."""
        return len(shape) == 2 and shape[1] > 0  # noqa: PLR2004 - [rows, classes]

    def columns(self, output: Array) -> Array:
        """One column a class, [rows, classes], of the dtype of ``output``."""
        return output

    def output(self, probabilities: Array) -> Array:
        """The output of which ``probabilities`` would make these: float64.

        Logits are logarithms, of a probability of at least 1e-300.
        """
        if not self.has_logits:
            return probabilities
        logarithms: Array = np.log(np.maximum(probabilities, _LEAST_PROBABILITY))
        return logarithms

    def probabilities(self, columns: Array) -> Array:
        """From float64 ``columns`` to float64 [rows, classes]."""
        return _softmax(columns) if self.has_logits else columns

    def meaning(self, limit: Limit) -> Meaning:
        """What the probabilities mean together."""
        return meaning_of(limit, is_multi_label=self.is_multi_label)

    @abstractmethod
    def contradiction(self, rows: Array) -> Contradiction | None:
        """Why these cannot be outputs of this kind.

        Args:
                rows: as ``finite_rows`` gives them, one or more.
        """


class ExclusiveClasses(ScoresForm):
    """Classes that exclude each other."""

    def contradiction(self, rows: Array) -> Contradiction | None:
        """Judges logits by what softmax and sigmoids leave, and probabilities by their sum."""
        if rows.shape[1] == 1:
            return Contradiction(
                f'declared "{self.name}" of one class, which every picture would be; expected '
                '"binary_logit" for Dense(1), "binary_probability" for Dense(1) with a sigmoid'
            )
        if self.has_logits:
            if _are_distributions(rows):
                return _squashed(rows, self.name)
            return _sigmoids(rows, self.name, "multilabel_probabilities")
        if _are_distributions(rows):
            return None
        expected = '"logits"'
        if _are_shares(rows) and len(rows) >= _FEWEST_ROWS:
            expected = '"multilabel_probabilities" for sigmoids that are independent of each other'
        return Contradiction(
            f'declared "{self.name}", but a row has values below 0 or a sum other than 1; expected '
            f"{expected}"
        )


class Binary(ScoresForm):
    """One number for the second of two classes."""

    is_binary = True
    expected = "[rows, 1] or [rows]"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """One number a row."""
        return shape[1:] in ((), (1,))

    def columns(self, output: Array) -> Array:
        """Those of both classes: ``1 - p`` and ``p``, or the logits ``0`` and ``z``.

        The softmax of the latter is ``1 - sigmoid(z)`` and ``sigmoid(z)``.
        """
        second = output.reshape(len(output))
        first = np.zeros_like(second) if self.has_logits else 1 - second
        return np.stack([first, second], axis=1)

    def output(self, probabilities: Array) -> Array:
        """[rows]."""
        values = ScoresForm.output(self, probabilities)
        second: Array = values[:, 1] - values[:, 0] if self.has_logits else values[:, 1]
        return second

    def contradiction(self, rows: Array) -> Contradiction | None:
        """Judges by the range of all rows together."""
        if len(rows) >= _FEWEST_ROWS and (rows == 1).all():
            return Contradiction(
                "every row is exactly 1: a softmax over one class always is; expected a model "
                "with Dense(1) and a sigmoid, or none"
            )
        if self.has_logits:
            return _sigmoids(rows, self.name, "binary_probability")
        return None if _are_shares(rows) else _beyond(self.name, "binary_logit")


class IndependentLabels(ScoresForm):
    """Labels that are independent of each other."""

    is_multi_label = True
    expected = "[rows, labels]"

    def output(self, probabilities: Array) -> Array:
        """Log odds, or the probabilities."""
        if not self.has_logits:
            return probabilities
        least = _LEAST_PROBABILITY
        odds: Array = np.log(np.maximum(probabilities, least)) - np.log(
            np.maximum(1 - probabilities, least)
        )
        return odds

    def probabilities(self, columns: Array) -> Array:
        """Sigmoids, or as they are."""
        return _sigmoid(columns) if self.has_logits else columns

    def contradiction(self, rows: Array) -> Contradiction | None:
        """Judges by the range of all rows together, and by sums that only classes have."""
        if rows.shape[1] > 1 and len(rows) >= _FEWEST_ROWS and _are_distributions(rows):
            return Contradiction(
                f'declared "{self.name}", but every row is within 0 to 1 and sums to 1, as after a '
                'softmax: the classes exclude each other; expected "probabilities"'
            )
        if self.has_logits:
            return _sigmoids(rows, self.name, "multilabel_probabilities")
        return None if _are_shares(rows) else _beyond(self.name, "multilabel_logits")


FORMS: Final[Mapping[str, ScoresForm]] = MappingProxyType(
    {
        form.name: form
        for form in (
            ExclusiveClasses("logits", has_logits=True),
            ExclusiveClasses("probabilities", has_logits=False),
            Binary("binary_logit", has_logits=True),
            Binary("binary_probability", has_logits=False),
            IndependentLabels("multilabel_logits", has_logits=True),
            IndependentLabels("multilabel_probabilities", has_logits=False),
        )
    }
)
"""Every kind of class scores by name."""


def finite_rows(output: Array) -> Array:
    """The rows without NaN and infinity, float64 [rows, columns]; see ``contradiction``."""
    rows = output.reshape(len(output), -1).astype(np.float64)
    finite: Array = rows[np.isfinite(rows).all(axis=1)]
    return finite


def _are_shares(rows: Array) -> bool:
    return bool(((rows >= 0) & (rows <= 1)).all())


def _are_distributions(rows: Array) -> bool:
    sums = rows.sum(axis=1)
    return bool((rows >= 0).all() and (np.abs(sums - 1) < _SUM_TOLERANCE).all())


def _beyond(declared: str, expected: str) -> Contradiction:
    return Contradiction(
        f'declared "{declared}", but a row is below 0 or above 1; expected "{expected}"'
    )


def _squashed(rows: Array, declared: str) -> Contradiction | None:
    """Softmax of softmax: of rows that are all distributions already."""
    if len(rows) < _FEWEST_ROWS:
        return None
    highest = float(rows.max())
    again = float(_softmax(rows).max())
    return Contradiction(
        f'declared "{declared}", but each of {len(rows)} rows is within 0 to 1 and sums to 1: they '
        f"are probabilities, and another softmax would make {again:.2f} of {highest:.3f}; expected "
        '"probabilities"'
    )


def _sigmoids(rows: Array, declared: str, expected: str) -> Contradiction | None:
    """Whether all rows have been through a sigmoid; certain where one of them is saturated."""
    if len(rows) < _FEWEST_ROWS or not _are_shares(rows):
        return None
    is_saturated = bool(((rows >= 1 - _SATURATED) | ((rows > 0) & (rows <= _SATURATED))).any())
    return Contradiction(
        f'declared "{declared}", but each of {len(rows)} rows is within 0 to 1, as after a '
        f'sigmoid, of which another one makes 0.5 to 0.73; expected "{expected}"',
        is_saturated,
    )


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Array = shifted / shifted.sum(axis=1, keepdims=True)
    return result


def _sigmoid(logits: Array) -> Array:
    """``1 / (1 + exp(-z))`` without overflow: of a number below 0, ``exp(z) / (1 + exp(z))``."""
    small = np.exp(-np.abs(logits))
    result: Array = np.where(logits >= 0, 1.0, small) / (1.0 + small)
    return result
