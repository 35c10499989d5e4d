"""What the views of a row came to: the answer, and how far the views agree."""

from dataclasses import dataclass

import numpy as np

from batchproof_server.base.meaning import Meaning
from batchproof_server.base.signature import Array
from batchproof_server.tta.aggregation import aggregate, exact_mean
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.views import IDENTITY, View


@dataclass(frozen=True, slots=True, eq=False)
class RowResult:
    """The answer to one row.

    A row of a single view, such as one that stopped early, has nothing to disagree with: its flip
    rate, mutual information and standard deviation are 0.

    Attributes:
        probabilities: float64 [classes].
        views: those that were executed, in the plan's order.
        view_probabilities: float64 [views, classes].
        weights: what each executed view counts, with sum 1.
        exited_early: whether the plain view was sure enough to be the answer.
        flip_rate: the share of the views that alone would have another answer.
        mutual_information: entropy of the mean of the views minus the mean of their entropies, in
            nats; 0 when they agree (BALD: Houlsby et al. 2011, arXiv 1112.5745).
        confidence_stddev: population standard deviation over the views of the probability of the
            answer.
    """

    probabilities: Array
    views: tuple[View, ...]
    view_probabilities: Array
    weights: tuple[float, ...]
    exited_early: bool
    flip_rate: float
    mutual_information: float
    confidence_stddev: float


def is_sure(plan: Plan, plain_probabilities: Array) -> bool:
    """Whether a row may stop after its plain view: its answer's probability reaches the limit."""
    if plan.early_exit is None:
        return False
    row = plain_probabilities[np.newaxis]
    confidence = plan.meaning.probability_of(row, plan.meaning.answers(row))
    return bool(confidence[0] >= plan.early_exit)


def early_result(plain_probabilities: Array) -> RowResult:
    """The answer to a row that stopped after its plain view, float64 [classes]."""
    return RowResult(
        probabilities=plain_probabilities,
        views=(IDENTITY,),
        view_probabilities=plain_probabilities[np.newaxis],
        weights=(1.0,),
        exited_early=True,
        flip_rate=0.0,
        mutual_information=0.0,
        confidence_stddev=0.0,
    )


def row_result(plan: Plan, view_probabilities: Array) -> RowResult:
    """The answer to a row whose views were all executed.

    Args:
        plan: whose views.
        view_probabilities: float64 [views, classes], in the plan's order.
    """
    meaning = plan.meaning
    apart = meaning.apart(view_probabilities)
    answer = meaning.together(aggregate(apart, plan.aggregation, plan.weights, plan.plain))
    answered = meaning.answers(answer[np.newaxis])
    of_answer = np.repeat(answered, len(view_probabilities), axis=0)
    flips = (meaning.answers(view_probabilities) != answered).any(axis=1)
    return RowResult(
        probabilities=answer,
        views=plan.views,
        view_probabilities=view_probabilities,
        weights=plan.shares,
        exited_early=False,
        flip_rate=float(flips.mean()),
        mutual_information=_mutual_information(view_probabilities, meaning),
        confidence_stddev=_stddev(meaning.probability_of(view_probabilities, of_answer)),
    )


def _mutual_information(views: Array, meaning: Meaning) -> float:
    if len(views) == 1:
        return 0.0
    of_mean = meaning.entropy(exact_mean(views)[np.newaxis])[0]
    mean_of = exact_mean(meaning.entropy(views)[:, np.newaxis])[0]
    return max(0.0, float(of_mean - mean_of))


def _stddev(values: Array) -> float:
    column = values[:, np.newaxis]
    return float(np.sqrt(exact_mean((column - exact_mean(column)) ** 2)[0]))
