"""From a model's output to class scores: probabilities, ranking, entropy and margin of each row.

Every figure of a row is computed from that row alone, so it does not depend on the other rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.meaning import MOST_PROBABLE, Limit, Meaning
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.output_forms import FORMS, ScoresForm, ScoresKind
from batchproof_server.base.signature import Array
from batchproof_server.base.unguarded import unguarded

NO_ANSWER: Final = -1
"""In the place of a class, of a row to which the model gave NaN or infinity."""


@unguarded()
class Scores:
    """The scores of some rows.

    Attributes:
        probabilities: float32 [rows, classes]; each row sums to 1, but those of labels.
        logits: float32 [rows, classes], or None when the model answers with probabilities.
        entropy: float64 [rows], Shannon entropy in nats.
        margin: float64 [rows], how far the row is from another answer: see ``Meaning.margin``.
        decided: int64 [rows], the class that is the answer; of labels as ``Meaning.best`` says;
            ``NO_ANSWER`` of a row that has none.
        confidences: float32 [rows], the probability of the answer.
        best_first: int64 [rows, classes], the classes of each row by their probability, ties by
            their index; None where it is worked out for the rows that somebody asks for.
        chosen: bool [rows, labels], the labels that are the answer; None for classes that exclude
            each other.
    """

    probabilities: Array
    logits: Array | None
    entropy: Array
    margin: Array
    decided: Array
    confidences: Array
    best_first: Array | None = None
    chosen: Array | None = None

    def ranking(self, row: int, top_k: int) -> list[int]:
        """The classes of a row, at most ``top_k``: the answer, then the others, best first.

        Ties go to the lower index. Labels stand by their probability alone. A row without an answer
        has none of either.
        """
        first = self.decided[row]
        if first == NO_ANSWER:
            return []
        if self.best_first is None:
            order = _best_of(self.probabilities[row], top_k + 1)  # the answer may not be the first
        else:
            order = self.best_first[row]
        if self.chosen is None and order[0] != first:
            order = np.array([first, *order[order != first]])
        ranking: list[int] = order[:top_k].tolist()
        return ranking

    def labels(self, row: int) -> list[int]:
        """The labels that are the answer to a row, best first; none for exclusive classes."""
        if self.chosen is None:
            return []
        chosen = self.chosen[row]
        return [each for each in self.ranking(row, len(chosen)) if chosen[each]]

    def part(self, rows: slice) -> "Scores":
        """The scores of some of the rows."""

        def of(values: Array | None) -> Array | None:
            return None if values is None else values[rows]

        return Scores(
            probabilities=self.probabilities[rows],
            logits=of(self.logits),
            entropy=self.entropy[rows],
            margin=self.margin[rows],
            decided=self.decided[rows],
            confidences=self.confidences[rows],
            best_first=of(self.best_first),
            chosen=of(self.chosen),
        )


def _best_first(probabilities: Array) -> Array:
    order: Array = np.argsort(-probabilities, kind="stable")
    return order


def _best_of(probabilities: Array, count: int) -> Array:
    """The head of ``_best_first`` of one row, ``count`` or more of its classes.

    Of many classes few are wanted. To find the least that is wanted takes a sixth of putting all of
    them in order, and only those that are no less are put in order.
    """
    classes = len(probabilities)
    if count * _FEW_OF_MANY > classes:
        return _best_first(probabilities)
    least = np.partition(probabilities, classes - count)[classes - count]
    best = np.flatnonzero(probabilities >= least)
    ordered: Array = best[_best_first(probabilities[best])]
    return ordered


@dataclass(frozen=True, slots=True)
class Scoring:
    """How one output becomes scores: all that is known of it before it is there.

    Attributes:
        name: of the output.
        form: how its numbers are written.
        meaning: what the probabilities mean together.
    """

    name: str
    form: ScoresForm
    meaning: Meaning

    def score(self, output: Array) -> Scores:
        """Scores the rows of ``output``.

        Args:
            output: of a floating dtype and in its form.

        Raises:
            InvalidInput: as ``probabilities_of``.
        """
        columns, form = _finite_columns(output, self.form), self.form
        logits = columns.astype(np.float32) if form.has_logits else None
        return score_probabilities(form.probabilities(columns), logits, self.meaning)

    def score_finite_rows(self, output: Array) -> Scores:
        """What ``score`` makes of each row that is finite; the others have no answer.

        Every figure of such a row is NaN, its logits are as the model gave them.

        Args:
            output: of a floating dtype and in its form.
        """
        finite = np.isfinite(output).reshape(len(output), -1).all(axis=1)
        scores = self.score(output[finite])

        def spread(values: Array, missing: Any = np.nan) -> Array:
            everywhere = np.full((len(output), *values.shape[1:]), missing, values.dtype)
            everywhere[finite] = values
            return everywhere

        logits = None
        if scores.logits is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                logits = self.form.columns(output.astype(np.float64)).astype(np.float32)
        return Scores(
            probabilities=spread(scores.probabilities),
            logits=logits,
            entropy=spread(scores.entropy),
            margin=spread(scores.margin),
            decided=spread(scores.decided, NO_ANSWER),
            confidences=spread(scores.confidences),
            chosen=None if scores.chosen is None else spread(scores.chosen, missing=False),
        )

    def score_together(self, outputs: Sequence[Array]) -> tuple[Scores, ...]:
        """Scores the rows of several outputs at once: of each exactly what ``score`` makes of it.

        Args:
            outputs: one or more, which differ in the number of their rows only.

        Raises:
            InvalidInput: one of them is not finite.
        """
        scores = self.score(np.concatenate(outputs))
        if scores.probabilities.shape[1] <= _FEW_CLASSES:
            scores = replace(scores, best_first=_best_first(scores.probabilities))
        parts: list[Scores] = []
        start = 0
        for output in outputs:
            parts.append(scores.part(slice(start, start + len(output))))
            start += len(output)
        return tuple(parts)


def scoring_of(output: OutputSettings) -> Scoring | None:
    """How an output becomes scores; None where it holds none."""
    if output.form is None or output.name is None:
        return None
    return Scoring(output.name, output.form, output.meaning)


def score(output: Array, kind: ScoresKind, limit: Limit = None) -> Scores:
    """Scores the rows of ``output``.

    Args:
        output: of a floating dtype and in the form of its kind.
        kind: what it is.
        limit: the threshold or the thresholds of its settings.

    Raises:
        InvalidInput: as ``probabilities_of``.
    """
    return Scoring("", FORMS[kind], FORMS[kind].meaning(limit)).score(output)


# So few are put in order as quickly as one finds out whether anybody wants to know their order.
_FEW_CLASSES: Final = 64
# Where more than one class in so many is wanted, all of them are put in order.
_FEW_OF_MANY: Final = 8


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
    form = FORMS[kind]
    return form.probabilities(_finite_columns(output, form, name_of))


def _finite_columns(
    output: Array, form: ScoresForm, name_of: Callable[[int], str] = "row {}".format
) -> Array:
    """One column a class, float64."""
    finite = np.isfinite(output)
    if not finite.all():
        row = int(np.argmin(finite.reshape(len(output), -1).all(axis=1)))
        raise InvalidInput(
            f"the model's output for {name_of(row)} is not finite; expected an "
            "input within the range that the model can compute"
        )
    return form.columns(output.astype(np.float64))


def score_probabilities(
    probabilities: Array, logits: Array | None, meaning: Meaning = MOST_PROBABLE
) -> Scores:
    """Scores rows of float64 probabilities [rows, classes].

    Args:
        probabilities: of each row.
        logits: float32 [rows, classes], or None where there are none.
        meaning: what the probabilities mean together. It decides on what the caller gets: float32.
    """
    given = probabilities.astype(np.float32)
    answers = meaning.answers(given)
    return Scores(
        probabilities=given,
        logits=logits,
        entropy=meaning.entropy(probabilities),
        margin=meaning.margin(probabilities),
        decided=meaning.best(given, answers),
        confidences=meaning.probability_of(given, answers),
        chosen=answers if meaning.is_multi_label else None,
    )
