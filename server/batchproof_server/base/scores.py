"""From a model's output to class scores: probabilities, ranking, entropy and margin of each row.

Every figure of a row is computed from that row alone, so it does not depend on the other rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.output import BINARY, LOGITS, ScoresKind
from batchproof_server.base.signature import Array


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of some rows.

    Attributes:
        probabilities: float32 [rows, classes], each row summing to 1.
        logits: float32 [rows, classes], or None when the model answers with probabilities.
        entropy: float64 [rows], Shannon entropy in nats.
        margin: float64 [rows], highest minus second highest probability.
        decided: int64 [rows], the class that is the answer.
    """

    probabilities: Array
    logits: Array | None
    entropy: Array
    margin: Array
    decided: Array

    def ranking(self, row: int, top_k: int) -> list[int]:
        """The classes of a row, at most ``top_k``: the answer, then the others, best first.

        Ties go to the lower index.
        """
        order = np.argsort(-self.probabilities[row], kind="stable")
        first = self.decided[row]
        if order[0] != first:
            order = np.array([first, *order[order != first]])
        return [int(index) for index in order[:top_k]]


def decisions(probabilities: Array, threshold: float | None) -> Array:
    """The class that is the answer to each row: int64 [rows].

    Args:
        probabilities: [rows, classes].
        threshold: the second of two classes is the answer when its probability is above this; None
            for the most probable class, of a tie the one with the lower index.
    """
    if threshold is None:
        most_probable: Array = probabilities.argmax(axis=1)
        return most_probable
    above: Array = (probabilities[:, 1] > threshold).astype(np.int64)
    return above


def confidences_of(probabilities: Array, decided: Array) -> Array:
    """The probability of the answer to each row: [rows]."""
    confidences: Array = probabilities[np.arange(len(decided)), decided]
    return confidences


def score(output: Array, kind: ScoresKind, threshold: float | None = None) -> Scores:
    """Scores the rows of ``output``.

    Args:
        output: of a floating dtype and in the form of its kind.
        kind: what it is.
        threshold: as of ``decisions``.

    Raises:
        InvalidInput: as ``probabilities_of``.
    """
    logits = None
    if kind in LOGITS:
        logits = class_scores(output, kind).astype(np.float32, copy=False)
    return score_probabilities(probabilities_of(output, kind), logits, threshold)


def class_scores(output: Array, kind: ScoresKind) -> Array:
    """One column a class: [rows, classes], of the dtype of ``output``.

    Of a binary model the columns are those of the first and the second class: ``1 - p`` and ``p``,
    or the logits ``0`` and ``z``, whose softmax is ``1 - sigmoid(z)`` and ``sigmoid(z)``.

    Args:
        output: [rows, classes]; of a binary model [rows, 1] or [rows].
        kind: what it is.
    """
    if kind not in BINARY:
        return output
    second = output.reshape(len(output))
    first = np.zeros_like(second) if kind == "binary_logit" else 1 - second
    return np.stack([first, second], axis=1)


def output_of(probabilities: Array, kind: ScoresKind) -> Array:
    """The output of which ``probabilities_of`` would make these: float64.

    Logits are logarithms, of a probability of at least 1e-300.

    Args:
        probabilities: float64 [rows, classes].
        kind: of the output.

    Returns:
        [rows, classes]; of a binary model [rows].
    """
    values = probabilities
    if kind in LOGITS:
        values = np.log(np.maximum(probabilities, _LEAST_PROBABILITY))
    if kind not in BINARY:
        return values
    second: Array = values[:, 1] - values[:, 0] if kind == "binary_logit" else values[:, 1]
    return second


_LEAST_PROBABILITY = 1e-300


def probabilities_of(
    output: Array,
    kind: ScoresKind,
    name_of: Callable[[int], str] = "row {}".format,
) -> Array:
    """The probabilities of the rows of ``output``, float64 [rows, classes].

    Args:
        output: of a floating dtype, in the form of its kind.
        kind: what it is.
        name_of: what a row is called in an error.

    Raises:
        InvalidInput: the output is not finite. A model whose load succeeded answers finitely, so it
            is the input that went beyond what the model can compute.
    """
    finite = np.isfinite(output).reshape(len(output), -1).all(axis=1)
    if not finite.all():
        raise InvalidInput(
            f"the model's output for {name_of(int(np.argmin(finite)))} is not finite; expected an "
            "input within the range that the model can compute"
        )
    exact = class_scores(output.astype(np.float64), kind)
    return _softmax(exact) if kind in LOGITS else exact


def score_probabilities(
    probabilities: Array, logits: Array | None, threshold: float | None = None
) -> Scores:
    """Scores rows of float64 probabilities [rows, classes].

    Args:
        probabilities: each row sums to 1.
        logits: float32 [rows, classes], or None where there are none.
        threshold: as of ``decisions``, which is made on what the caller gets: float32.
    """
    given = probabilities.astype(np.float32)
    best = np.sort(probabilities, axis=1)[:, ::-1]
    return Scores(
        probabilities=given,
        logits=logits,
        entropy=_entropy(probabilities),
        margin=best[:, 0] - best[:, 1] if best.shape[1] > 1 else best[:, 0],
        decided=decisions(given, threshold),
    )


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Array = shifted / shifted.sum(axis=1, keepdims=True)
    return result


def _entropy(probabilities: Array) -> Array:
    """-sum p ln p with 0 ln 0 = 0 (Shannon 1948, section 6); never below 0 through rounding."""
    positive = np.where(probabilities > 0, probabilities, 1.0)
    entropy: Array = np.maximum(0.0, -(positive * np.log(positive)).sum(axis=1))
    return entropy
