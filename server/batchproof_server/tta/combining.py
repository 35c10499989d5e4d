"""From the model's answers to the views of a request's rows to one answer for each row. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchproof_server.base.output import OutputSettings
from batchproof_server.base.output_forms import FORMS
from batchproof_server.base.scores import Scores, probabilities_of, score_probabilities
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.result import RowResult, row_result
from batchproof_server.tta.views import View


@dataclass(frozen=True, slots=True, eq=False)
class Augmentation:
    """What was done to the rows of a request.

    Attributes:
        plan: the views and what was made of them.
        results: of each row, in the request's order.
        warnings: what the caller should know.
    """

    plan: Plan
    results: tuple[RowResult, ...]
    warnings: tuple[str, ...]


def view_probabilities(
    outputs: Tensors, output: OutputSettings, rows: Sequence[int], views: tuple[View, ...]
) -> Array:
    """The probabilities of some views of some rows, float64 [rows, views, classes].

    Args:
        outputs: the model's, all views of the first row before those of the next.
        output: which holds the scores, and what they are.
        rows: their numbers in the request, for messages.
        views: of each row.

    Raises:
        InvalidInput: a view's output is not finite; the text names row and view.
    """

    def name_of(place: int) -> str:
        row, view = divmod(place, len(views))
        return f'row {rows[row]}, view "{views[view].text}",'

    name, kind = output.scores()
    probabilities = probabilities_of(outputs[name], kind, name_of)
    return probabilities.reshape(len(rows), len(views), -1)


def row_results(plan: Plan, probabilities: Array) -> list[RowResult]:
    """What the views of each row came to; ``probabilities`` as ``view_probabilities`` gives."""
    return [row_result(plan, views) for views in probabilities]


def without_plain(plan: Plan) -> Plan:
    """The views that are left when the plain one, which the plan has, was executed before."""
    place = plan.plain or 0
    views = (*plan.views[:place], *plan.views[place + 1 :])
    return Plan(plan.policy, views, seed=plan.seed)


def completed_results(plan: Plan, plain: Array, others: Array) -> list[RowResult]:
    """What rows came to whose plain view was executed before the others.

    Args:
        plan: with the plain view.
        plain: its probabilities, float64 [rows, classes].
        others: those of ``without_plain``, float64 [rows, views, classes].
    """
    return row_results(plan, np.insert(others, plan.plain or 0, plain, axis=1))


def answer(
    results: Sequence[RowResult], plain: Tensors, output: OutputSettings
) -> tuple[Scores, Tensors]:
    """The scores and the outputs that a request is answered with.

    The output that holds the scores gets those of the aggregate, as probabilities or, of a model
    that answers with logits, as logits whose softmax or sigmoid they are. Every other output is
    that of the plain view.

    Args:
        results: of each row.
        plain: the model's outputs for the plain view of each row, or else for its first view.
        output: which holds the scores, and what they are.
    """
    probabilities = np.stack([result.probabilities for result in results])
    name, kind = output.scores()
    like = plain[name]
    aggregate = FORMS[kind].output(probabilities).astype(like.dtype).reshape(like.shape)
    return score_probabilities(probabilities, None, output.meaning), {**plain, name: aggregate}
