"""Asks for the answers to labelled pictures with the views of several policies."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from batchproof_server.base.errors import InvalidInput, ServingError
from batchproof_server.base.meaning import MOST_PROBABLE, Meaning
from batchproof_server.base.signature import Array
from batchproof_server.models.served import ServedModel
from batchproof_server.offline.asking import Count, Predict, ask
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.offline.evaluation.augmentation.figures import Answers, no_answers
from batchproof_server.offline.evaluation.paths import EvaluationFailed
from batchproof_server.serving.request import NO_DEADLINE_S, PredictRequest
from batchproof_server.tta.plan import Plan

Combine: TypeAlias = Callable[[Array], Array]
"""From probabilities, float64 [views, classes], to those of the answer, [classes]."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as it is tried.

    Attributes:
        name: as requests call it.
        views: their names, one or more.
        plan: is asked for; without early exit.
        combine: by the names of the aggregations.
        combine_without: the first of them with each view left out; empty for a single view.
    """

    name: str
    views: tuple[str, ...]
    plan: Plan
    combine: Mapping[str, Combine]
    combine_without: tuple[Combine, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What a policy answered. Made by ``new_course``, filled by ``Runner``.

    Attributes:
        policy: the policy.
        answers: by aggregation.
        alone: of each view, its own answers.
        without: of each view, what the others answer together; empty when there is one view.
        picture_s: float64 [pictures], seconds from the encoded picture to the scores of its views.
    """

    policy: Policy
    answers: Mapping[str, Answers]
    alone: tuple[Answers, ...]
    without: tuple[Answers, ...]
    picture_s: Array

    def note(self, place: int, probabilities: Array, seconds: float) -> None:
        """Keeps what the views of one picture answered, float64 [views, classes]."""
        self.picture_s[place] = seconds
        for name, combine in self.policy.combine.items():
            self.answers[name].note(place, combine(probabilities))
        for own, row in zip(self.alone, probabilities, strict=True):
            own.note(place, row)
        for others, combine in zip(self.without, self.policy.combine_without, strict=True):
            others.note(place, combine(probabilities))


def new_course(policy: Policy, truth: Array, meaning: Meaning = MOST_PROBABLE) -> Course:
    """A course whose answers are still to come.

    Args:
        policy: the policy.
        truth: int64 [pictures], the true classes.
        meaning: of the probabilities, of classes that exclude each other.
    """
    return Course(
        policy=policy,
        answers={name: no_answers(truth, meaning) for name in policy.combine},
        alone=tuple(no_answers(truth, meaning) for _ in policy.views),
        without=tuple(no_answers(truth, meaning) for _ in policy.combine_without),
        picture_s=np.zeros(len(truth)),
    )


@dataclass(frozen=True, slots=True)
class Runner:
    """Asks for one picture at a time, as a caller does who sends nothing else.

    Attributes:
        model: with a recipe and class scores.
        predict: answers requests to it.
        now_s: a monotonic clock.
        count: learns of the progress.
    """

    model: ServedModel
    predict: Predict
    now_s: Callable[[], float]
    count: Count

    async def run(self, pictures: Sequence[LabelledPicture], courses: Sequence[Course]) -> None:
        """Fills the courses; every picture goes through all of them before the next one comes.

        Whatever else the machine does meanwhile slows all policies down, and not one of them; and
        each picture begins with another one, since the first finds the caches cold.

        Raises:
            InvalidData: pictures that cannot be read, or that the recipe refuses.
            EvaluationFailed: the model failed.
        """
        refused: list[str] = []
        for place, picture in enumerate(pictures):
            try:
                await self._ask_picture(place, picture.read(), courses)
            except OSError as fault:
                refused.append(f"{picture.name}: cannot be read ({fault.strerror})")
            except InvalidInput as invalid:
                refused.append(f"{picture.name}: {invalid}")
            except ServingError as failed:
                raise EvaluationFailed(f"{picture.name}: {failed}") from failed
            self.count(place + 1)
        if refused:
            raise InvalidData(refused)

    async def _ask_picture(self, place: int, encoded: bytes, courses: Sequence[Course]) -> None:
        first = place % len(courses)
        for course in (*courses[first:], *courses[:first]):
            began_s = self.now_s()
            request = PredictRequest(
                self.model,
                NO_DEADLINE_S,
                images=[encoded],
                plan=course.policy.plan,
                names_views=True,
            )
            prediction = await ask(self.predict, request)
            took_s = self.now_s() - began_s
            if prediction.augmentation is None:
                raise ServingError("the model's output is raw")
            (result,) = prediction.augmentation.results
            course.note(place, result.view_probabilities, took_s)
