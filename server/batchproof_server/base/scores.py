"""From a model's output to class scores: probabilities, ranking, entropy and margin of each row.

Every figure of a row is computed from that row alone, so it does not depend on the other rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

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
        confidences: float32 [rows], its probability.
        best_first: int64 [rows, classes], the classes of each row by their probability, ties by
            their index; None where it is worked out for the rows that somebody asks for.
    """

    probabilities: Array
    logits: Array | None
    entropy: Array
    margin: Array
    decided: Array
    confidences: Array
    best_first: Array | None = None

    def ranking(self, row: int, top_k: int) -> list[int]:
        """The classes of a row, at most ``top_k``: the answer, then the others, best first.

        Ties go to the lower index.
        """
        if self.best_first is None:
            order = _best_first(self.probabilities[row])
        else:
            order = self.best_first[row]
        first = self.decided[row]
        if order[0] != first:
            order = np.array([first, *order[order != first]])
        ranking: list[int] = order[:top_k].tolist()
        return ranking


def _best_first(probabilities: Array) -> Array:
    order: Array = np.argsort(-probabilities, kind="stable")
    return order


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


def score_together(
    outputs: Sequence[Array], kind: ScoresKind, threshold: float | None = None
) -> tuple[Scores, ...]:
    """Scores the rows of several outputs at once: of each exactly what ``score`` makes of it.

    Args:
        outputs: one or more, which differ in the number of their rows only.
        kind: what they are.
        threshold: as of ``decisions``.

    Raises:
        InvalidInput: one of them is not finite.
    """
    scores = score(np.concatenate(outputs), kind, threshold)
    logits, order = scores.logits, None
    if scores.probabilities.shape[1] <= _FEW_CLASSES:
        order = _best_first(scores.probabilities)
    parts: list[Scores] = []
    start = 0
    for output in outputs:
        rows = slice(start, start + len(output))
        parts.append(
            Scores(
                probabilities=scores.probabilities[rows],
                logits=None if logits is None else logits[rows],
                entropy=scores.entropy[rows],
                margin=scores.margin[rows],
                decided=scores.decided[rows],
                confidences=scores.confidences[rows],
                best_first=None if order is None else order[rows],
            )
        )
        start = rows.stop
    return tuple(parts)


# So few are put in order as quickly as one finds out whether anybody wants to know their order.
_FEW_CLASSES: Final = 64


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
    finite = np.isfinite(output)
    if not finite.all():
        row = int(np.argmin(finite.reshape(len(output), -1).all(axis=1)))
        raise InvalidInput(
            f"the model's output for {name_of(row)} is not finite; expected an "
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
    decided = decisions(given, threshold)
    return Scores(
        probabilities=given,
        logits=logits,
        entropy=_entropy(probabilities),
        margin=best[:, 0] - best[:, 1] if best.shape[1] > 1 else best[:, 0],
        decided=decided,
        confidences=confidences_of(given, decided),
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
