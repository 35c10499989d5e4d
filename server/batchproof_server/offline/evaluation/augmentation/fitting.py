"""Fits the weights of a policy on one part of the pictures and judges them on the rest."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np

from batchproof_server.offline.asking import Count
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.offline.evaluation.augmentation.figures import Answers, Figures
from batchproof_server.offline.evaluation.augmentation.mixture import TOLERANCE, Fitted, fit_weights
from batchproof_server.offline.evaluation.augmentation.paired import Paired, paired
from batchproof_server.offline.evaluation.augmentation.policies import policy_of
from batchproof_server.offline.evaluation.augmentation.running import Course, Runner, new_course
from batchproof_server.offline.evaluation.result import EvaluatedModel
from batchproof_server.tta.aggregation import WEIGHTED
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.views import IDENTITY
from batchproof_server.tta.weights import FittedWeights, fitted_policy_digest

FORMAT: Final = 1
METHOD: Final = "expectation maximisation of the mixture's likelihood"

Begin: TypeAlias = Callable[[str, int], Count]
"""Begins a step with its title and its pictures."""


@dataclass(frozen=True, slots=True)
class Split:
    """Which pictures the weights are fitted on, and which they never see.

    Attributes:
        fitted: for the fit.
        held_out: for the judgement.
    """

    fitted: tuple[LabelledPicture, ...]
    held_out: tuple[LabelledPicture, ...]


def split(pictures: Sequence[LabelledPicture], held_out_share: float, seed: int) -> Split:
    """Splits pictures by chance that is the same on every machine and in every version.

    The pictures are sorted by the SHA-256 of ``<seed> <place>``; the first ones are held out.

    Args:
        pictures: two or more.
        held_out_share: above 0 and below 1; at least one picture is on each side.
        seed: chooses another split.

    Raises:
        InvalidData: there are too few pictures.
    """
    count = len(pictures)
    if count < 2:  # noqa: PLR2004 - one for each side
        raise InvalidData([f"{count} picture, expected at least 2: some are held out"])
    held_out = min(count - 1, max(1, round(held_out_share * count)))
    order = sorted(range(count), key=lambda at: hashlib.sha256(f"{seed} {at}".encode()).digest())
    return Split(
        fitted=tuple(pictures[at] for at in sorted(order[held_out:])),
        held_out=tuple(pictures[at] for at in sorted(order[:held_out])),
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """One way of answering the held-out pictures.

    Attributes:
        answers: "plain", "mean" or "weighted".
        figures: of them.
        change: against the plain answers.
    """

    answers: str
    figures: Figures
    change: Paired


@dataclass(frozen=True, slots=True)
class WeightsFit:
    """The whole result.

    Attributes:
        subject: what the weights were fitted to.
        weights: as they are written.
        steps: of the fit.
        gap_nats: the most that the loss on the fitted pictures lies above the smallest possible.
        held_out_pictures: that the fit never saw.
        split_seed: chose them.
        judged: plain, mean and weighted on the held-out pictures.
        against_mean: what the weights correct and corrupt there, compared with equal weights.
    """

    subject: EvaluatedModel
    weights: FittedWeights
    steps: int
    gap_nats: float
    held_out_pictures: int
    split_seed: int
    judged: tuple[Judged, ...]
    against_mean: Paired

    @property
    def is_better(self) -> bool:
        """Whether the weights are better than equal ones on pictures that they never saw."""
        _, mean, weighted = self.judged
        return weighted.figures.nll < mean.figures.nll

    def to_json(self) -> str:
        """One JSON object in one line."""
        document: dict[str, Any] = {
            "format": FORMAT,
            **dataclasses.asdict(self),
            "weights_digest": self.weights.digest,
            "better_than_equal": self.is_better,
        }
        for judged, each in zip(document["judged"], self.judged, strict=True):
            judged["change"]["p_value"] = each.change.p_value
        document["against_mean"]["p_value"] = self.against_mean.p_value
        return json.dumps(document, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Fitter:
    """Fits the weights of one policy.

    Attributes:
        plan: of the policy, with its views' mean.
        runner: makes a runner that tells its progress.
        begin: begins a step.
    """

    plan: Plan
    runner: Callable[[Count], Runner]
    begin: Begin

    async def fit(self, parts: Split, subject: EvaluatedModel, split_seed: int) -> WeightsFit:
        """Answers the fitted pictures, weighs the views, answers the held-out pictures.

        Raises:
            InvalidData: pictures that cannot be read, or that the recipe refuses.
            EvaluationFailed: the model failed.
        """
        (seen,) = await self._fill_courses("the pictures to fit on", parts.fitted, [(self.plan,)])
        found = fit_weights(np.stack([view.true_probability for view in seen.alone], axis=1))
        weights = self._weights(found, subject, len(parts.fitted))
        plain = replace(self.plan, policy="plain", views=(IDENTITY,))
        weighted = replace(self.plan, aggregation=WEIGHTED, weights=weights.weights)
        title, plans = "the held-out pictures", [(plain,), (self.plan, weighted)]
        without, together = await self._fill_courses(title, parts.held_out, plans)
        equal, fitted = together.answers.values()
        return WeightsFit(
            subject=subject,
            weights=weights,
            steps=found.steps,
            gap_nats=found.gap,
            held_out_pictures=len(parts.held_out),
            split_seed=split_seed,
            judged=_judged(without.alone[0], equal, fitted),
            against_mean=paired(equal.is_right, fitted.is_right),
        )

    async def _fill_courses(
        self, title: str, pictures: Sequence[LabelledPicture], plans: Sequence[tuple[Plan, ...]]
    ) -> list[Course]:
        truth = np.array([picture.class_index for picture in pictures])
        courses = [new_course(policy_of(each), truth, each[0].meaning) for each in plans]
        await self.runner(self.begin(title, len(pictures))).run(pictures, courses)
        return courses

    def _weights(self, found: Fitted, subject: EvaluatedModel, pictures: int) -> FittedWeights:
        views = tuple(view.text for view in self.plan.views)
        return FittedWeights(
            format=1,
            model_digest=subject.model_digest,
            recipe_digest=subject.recipe_digest,
            policy=self.plan.policy,
            policy_digest=fitted_policy_digest(views),
            views=views,
            weights=tuple(map(float, found.weights)),
            method=f"{METHOD}, {found.steps} steps, at most {max(found.gap, TOLERANCE):.1g} nats "
            "above the optimum",
            rows=pictures,
            loss_before_nats=found.nlls[0],
            loss_after_nats=found.nlls[-1],
        )


def _judged(plain: Answers, equal: Answers, fitted: Answers) -> tuple[Judged, ...]:
    ways = {"plain": plain, "mean": equal, "weighted": fitted}
    return tuple(
        Judged(name, answers.figures(), paired(plain.is_right, answers.is_right))
        for name, answers in ways.items()
    )
