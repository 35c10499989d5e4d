"""How far the views of labelled pictures disagree, by the server's own views and aggregation."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.drift.tta_reference import TTA_SIGNALS
from batchproof_server.tta.combining import completed_results, row_results, without_plain
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.result import RowResult, early_result, is_sure
from batchproof_server.tta.views import IDENTITY, View

Execute: TypeAlias = Callable[[Sequence[int]], Array]
"""From rows, by their places, to the probabilities of ``other_views``, [rows, views, classes]."""


def other_views(plan: Plan) -> tuple[View, ...]:
    """Those that are executed beside the plain one."""
    return plan.views if plan.plain is None else without_plain(plan).views


def plain_first(plan: Plan) -> Plan:
    """The plain view, which the other signals are of, and then the plan's other ones."""
    return Plan(plan.policy, (IDENTITY, *other_views(plan)), seed=plan.seed)


def disagreement(plan: Plan, plain: Array, execute: Execute) -> dict[str, Array]:
    """The signals of test-time augmentation, by name: float64 [rows].

    A row that the early exit stops at its plain view has nothing to disagree with: it has 0 in
    both, as in the server's answers, and its other views are not executed.

    Args:
        plan: with two views or more.
        plain: probabilities of the plain view, float64 [rows, classes].
        execute: the other views of those that go on.
    """
    results = [early_result(row) for row in plain]
    unsure = [place for place, row in enumerate(plain) if not is_sure(plan, row)]
    if unsure:
        finished = _results(plan, plain[unsure], execute(unsure))
        for place, result in zip(unsure, finished, strict=True):
            results[place] = result
    values = np.array([(each.flip_rate, each.mutual_information) for each in results])
    return dict(zip(TTA_SIGNALS, values.T, strict=True))


def _results(plan: Plan, plain: Array, others: Array) -> list[RowResult]:
    if plan.plain is None:
        return row_results(plan, others)
    return completed_results(plan, plain, others)
