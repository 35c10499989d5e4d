"""The result of trying policies on labelled pictures. Schema in ``docs/schemas``."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from batchproof_server.offline.evaluation.augmentation.early_exit import ExitPoint, exit_point
from batchproof_server.offline.evaluation.augmentation.figures import Figures
from batchproof_server.offline.evaluation.augmentation.paired import Paired, paired
from batchproof_server.offline.evaluation.augmentation.running import Course
from batchproof_server.offline.evaluation.augmentation.verdict import (
    Cost,
    Recommendation,
    Trial,
    adjust,
    recommended,
)
from batchproof_server.offline.evaluation.result import EvaluatedModel
from batchproof_server.tta.policies import NONE
from batchproof_server.tta.views import IDENTITY

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Plain:
    """The plain answers: what every trial is compared with."""

    figures: Figures
    cost: Cost


@dataclass(frozen=True, slots=True)
class ViewEffect:
    """What one view of a policy does.

    Attributes:
        view: its name.
        alone: the figures of its own answers.
        without: those of the other views together.
        gain: pictures that are right with it and wrong without, and the other way round.
    """

    view: str
    alone: Figures
    without: Figures
    gain: Paired


@dataclass(frozen=True, slots=True)
class PolicyDetail:
    """A policy view by view, with its first aggregation.

    Attributes:
        policy: its name.
        aggregation: the first of those that were tried.
        views: in the policy's order; empty when there is only one.
        early_exit: by threshold, ascending; empty when the plain view is not among the views.
    """

    policy: str
    aggregation: str
    views: tuple[ViewEffect, ...]
    early_exit: tuple[ExitPoint, ...]


@dataclass(frozen=True, slots=True)
class AugmentationEvaluation:
    """The whole result.

    Attributes:
        subject: what was evaluated.
        plain: without augmentation.
        trials: every policy with every aggregation.
        details: of each policy.
        recommendation: what to serve.
        warnings: about views that may change what a picture shows.
    """

    subject: EvaluatedModel
    plain: Plain
    trials: tuple[Trial, ...]
    details: tuple[PolicyDetail, ...]
    recommendation: Recommendation
    warnings: tuple[str, ...]

    def to_json(self) -> str:
        """One JSON object in one line."""
        document: dict[str, Any] = {"format": FORMAT, **dataclasses.asdict(self)}
        for trial, tried in zip(document["trials"], self.trials, strict=True):
            trial["change"]["p_value"] = tried.change.p_value
        return json.dumps(document, sort_keys=True)


def evaluation_of(
    subject: EvaluatedModel,
    plain: Course,
    courses: Sequence[Course],
    thresholds: Sequence[float],
    warnings: tuple[str, ...] = (),
) -> AugmentationEvaluation:
    """What the courses amount to.

    Args:
        subject: what was evaluated.
        plain: the course of the policy "none".
        courses: those of the others, one or more.
        thresholds: of early exit.
        warnings: for the reader.
    """
    trials = tuple(_trials(plain, courses))
    right = [answers.is_right for course in courses for answers in course.answers.values()]
    return AugmentationEvaluation(
        subject=subject,
        plain=Plain(plain.alone[0].figures(), _cost(plain, plain)),
        trials=trials,
        details=tuple(_detail(plain, course, thresholds) for course in courses),
        recommendation=recommended(trials, right),
        warnings=warnings,
    )


def _trials(plain: Course, courses: Sequence[Course]) -> Iterator[Trial]:
    before = plain.alone[0].is_right
    tried = [(course, name) for course in courses for name in course.answers]
    changes = [paired(before, course.answers[name].is_right) for course, name in tried]
    for (course, name), change, p_value in zip(tried, changes, adjust(changes), strict=True):
        yield Trial(
            policy=course.policy.name,
            aggregation=name,
            figures=course.answers[name].figures(),
            change=change,
            adjusted_p=p_value,
            cost=_cost(course, plain),
        )


def _cost(course: Course, plain: Course) -> Cost:
    picture_s = float(np.median(course.picture_s))
    least_s = np.finfo(float).tiny  # a clock may be too coarse to see a plain answer at all
    ratio = picture_s / max(float(np.median(plain.picture_s)), least_s)
    return Cost(len(course.policy.views), picture_s, ratio)


def _detail(plain: Course, course: Course, thresholds: Sequence[float]) -> PolicyDetail:
    name, full = next(iter(course.answers.items()))
    costs = (_cost(plain, plain), _cost(course, plain))
    tried = sorted(thresholds) if IDENTITY.text in course.policy.views else ()
    return PolicyDetail(
        policy=course.policy.name,
        aggregation=name,
        views=tuple(
            ViewEffect(
                view=view,
                alone=alone.figures(),
                without=without.figures(),
                gain=paired(without.is_right, full.is_right),
            )
            for view, alone, without in zip(
                course.policy.views, course.alone, course.without, strict=False
            )
        ),
        early_exit=tuple(exit_point(threshold, plain.alone[0], full, costs) for threshold in tried),
    )


def is_recommended(trial: Trial, recommendation: Recommendation) -> bool:
    """Whether this is the trial that is recommended."""
    chosen = (recommendation.policy, recommendation.aggregation)
    return recommendation.policy != NONE and (trial.policy, trial.aggregation) == chosen
