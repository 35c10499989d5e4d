"""The policies of a served model, as they are tried: the server's own views and aggregations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array
from batchproof_server.offline.datasets.pictures import InvalidData
from batchproof_server.offline.evaluation.augmentation.running import Combine, Policy
from batchproof_server.tta.aggregation import MEAN, aggregate, parse_aggregation
from batchproof_server.tta.choice import Choice, TtaRequest
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.policies import NONE
from batchproof_server.tta.views import parse_views

USUAL: Final = ("mean", "logit_mean")
"""Aggregations that are tried when none is asked for, beside the policy's own."""


@dataclass(frozen=True, slots=True)
class WantedTrials:
    """What to try.

    Attributes:
        policies: by name, each once; None tries all that the model allows, or, with views, none.
        views: of one policy more, as requests name them; None for none.
        aggregations: for each policy; None tries the usual ones and the policy's own.
        seed: of views that draw random numbers.
    """

    policies: tuple[str, ...] | None = None
    views: tuple[str, ...] | None = None
    aggregations: tuple[str, ...] | None = None
    seed: int = 0

    def requests(self, choice: Choice) -> Iterator[TtaRequest]:
        """One request for each policy.

        Raises:
            InvalidData: there is none.
        """
        names = self.policies
        if names is None:
            names = () if self.views else tuple(choice.plans)
        requests = [TtaRequest(policy=name) for name in dict.fromkeys(names) if name != NONE]
        if self.views is not None:
            requests.append(TtaRequest(views=self.views))
        if not requests:
            known = ", ".join(choice.plans)
            raise InvalidData([f'no policy beside "{NONE}", expected one of {known}'])
        yield from requests


def plain_policy(choice: Choice) -> Policy:
    """The plain answer, whatever the model's default is."""
    return policy_of([choice.plan(TtaRequest(policy=NONE))])


def tried_policies(choice: Choice, wanted: WantedTrials) -> tuple[Policy, ...]:
    """The policies to try, in the order asked for.

    Raises:
        InvalidData: there is none, or a policy, a view or an aggregation is unknown or does not
            fit.
    """
    return tuple(
        policy_of(list(_plans(choice, request, wanted.aggregations, wanted.seed)))
        for request in wanted.requests(choice)
    )


def policy_of(plans: Sequence[Plan]) -> Policy:
    """One policy with one aggregation or more.

    Args:
        plans: equal but for their aggregations.
    """
    first = plans[0]
    return Policy(
        name=first.policy,
        views=tuple(view.text for view in first.views),
        plan=replace(first, early_exit=None),
        combine={plan.aggregation.text: _combine(plan) for plan in plans},
        combine_without=tuple(_without(first)) if len(first.views) > 1 else (),
    )


def fit_plan(choice: Choice, name: str, seed: int) -> Plan:
    """The plan of a policy whose views are to be weighed, with their mean.

    Raises:
        InvalidData: the policy is unknown, or has one view.
    """
    (plan,) = _plans(choice, TtaRequest(policy=name), ("mean",), seed)
    if len(plan.views) == 1:
        raise InvalidData([f'the policy "{name}" has one view, expected several to weigh'])
    return plan


def view_warnings(choice: Choice, policies: Sequence[Policy]) -> tuple[str, ...]:
    """What to know of the policies' views: one sentence for each policy with unsafe ones."""
    return tuple(
        f"{policy.name}: {warning}"
        for policy in policies
        for warning in choice.warnings(parse_views(policy.views))
    )


def _plans(
    choice: Choice, asked: TtaRequest, aggregations: Sequence[str] | None, seed: int
) -> Iterator[Plan]:
    try:
        if not (asked.policy or asked.views):  # which a request may leave out, for the default
            raise ValueError(f'unknown policy "", one of {", ".join(choice.plans)}')  # noqa: TRY301 - one place says what is wrong
        own = choice.plan(replace(asked, seed=seed))
        texts = _usual(choice, own) if aggregations is None else aggregations
        for text in dict.fromkeys(parse_aggregation(each).text for each in texts):
            plan = choice.plan(replace(asked, aggregation=text, seed=seed))
            yield replace(plan, early_exit=None)
    except (InvalidInput, ValueError) as fault:
        said = str(fault).removeprefix("options.tta: ")
        raise InvalidData([said]) from fault


def _usual(choice: Choice, own: Plan) -> tuple[str, ...]:
    fitted = choice.fitted is not None and choice.fitted.policy == own.policy
    return (*USUAL, own.aggregation.text, *(["weighted"] if fitted else []))


def _combine(plan: Plan) -> Combine:
    return partial(_combined, plan=plan, left_out=None)


def _without(plan: Plan) -> Iterator[Combine]:
    """Leaves out each view in turn."""
    for place in range(len(plan.views)):
        views = (*plan.views[:place], *plan.views[place + 1 :])
        weights = (*plan.weights[:place], *plan.weights[place + 1 :])
        try:
            left = replace(plan, views=views, weights=weights)
        except ValueError:  # "blend" without the plain view, or no weight is left
            left = replace(plan, views=views, weights=(), aggregation=MEAN)
        yield partial(_combined, plan=left, left_out=place)


def _combined(probabilities: Array, *, plan: Plan, left_out: int | None) -> Array:
    kept = probabilities if left_out is None else np.delete(probabilities, left_out, axis=0)
    return aggregate(kept, plan.aggregation, plan.weights, plan.plain)
