"""From a model's output to class scores: probabilities, ranking, entropy and margin of each row.

Every figure of a row is computed from that row alone, so it does not depend on the other rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of some rows.

    Attributes:
        probabilities: float32 [rows, classes], each row summing to 1.
        logits: float32 [rows, classes], or None when the model answers with probabilities.
        entropy: float64 [rows], Shannon entropy in nats.
        margin: float64 [rows], highest minus second highest probability.
    """

    probabilities: Array
    logits: Array | None
    entropy: Array
    margin: Array

    def ranking(self, row: int, top_k: int) -> list[int]:
        """The class indices of a row, best first, at most ``top_k``; ties go to the lower index."""
        order = np.argsort(-self.probabilities[row], kind="stable")[:top_k]
        return [int(index) for index in order]


def score(output: Array, kind: Literal["logits", "probabilities"]) -> Scores:
    """Scores the rows of ``output``, [rows, classes] of a floating dtype.

    Raises:
        InvalidInput: as ``probabilities_of``.
    """
    logits = output.astype(np.float32, copy=False) if kind == "logits" else None
    return score_probabilities(probabilities_of(output, kind), logits)


def probabilities_of(
    output: Array,
    kind: Literal["logits", "probabilities"],
    name_of: Callable[[int], str] = "row {}".format,
) -> Array:
    """The probabilities of the rows of ``output``, float64 [rows, classes].

    Args:
        output: [rows, classes] of a floating dtype.
        kind: what it is.
        name_of: what a row is called in an error.

    Raises:
        InvalidInput: the output is not finite. A model whose load succeeded answers finitely, so it
            is the input that went beyond what the model can compute.
    """
    finite = np.isfinite(output).all(axis=1)
    if not finite.all():
        raise InvalidInput(
            f"the model's output for {name_of(int(np.argmin(finite)))} is not finite; expected an "
            "input within the range that the model can compute"
        )
    exact = output.astype(np.float64)
    return _softmax(exact) if kind == "logits" else exact


def score_probabilities(probabilities: Array, logits: Array | None) -> Scores:
    """Scores rows of float64 probabilities [rows, classes].

    Args:
        probabilities: each row sums to 1.
        logits: float32 [rows, classes], or None where there are none.
    """
    best = np.sort(probabilities, axis=1)[:, ::-1]
    return Scores(
        probabilities=probabilities.astype(np.float32),
        logits=logits,
        entropy=_entropy(probabilities),
        margin=best[:, 0] - best[:, 1] if best.shape[1] > 1 else best[:, 0],
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
