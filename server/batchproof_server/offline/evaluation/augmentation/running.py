"""Answers labelled pictures with the views of several policies, through the served model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from batchproof_server.base.errors import InvalidInput, ServingError
from batchproof_server.base.scores import probabilities_of
from batchproof_server.base.signature import Array
from batchproof_server.models.loading import LoadedModel
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.offline.evaluation.augmentation.figures import Answers, no_answers
from batchproof_server.offline.evaluation.evaluating import scores_kind
from batchproof_server.offline.evaluation.paths import (
    Count,
    EvaluationFailed,
    Execute,
    served_execution,
)

Expand: TypeAlias = Callable[[bytes], Array]
"""From an encoded picture to one row of the model's input for each view, stacked."""
Combine: TypeAlias = Callable[[Array], Array]
"""From probabilities, float64 [views, classes], to those of the answer, [classes]."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as it is tried.

    Attributes:
        name: as requests call it.
        views: their names, one or more.
        expand: makes them.
        combine: by the names of the aggregations.
        combine_without: the first of them with each view left out; empty for a single view.
    """

    name: str
    views: tuple[str, ...]
    expand: Expand
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


def new_course(policy: Policy, truth: Array) -> Course:
    """A course whose answers are still to come.

    Args:
        policy: the policy.
        truth: int64 [pictures], the true classes.
    """
    return Course(
        policy=policy,
        answers={name: no_answers(truth) for name in policy.combine},
        alone=tuple(no_answers(truth) for _ in policy.views),
        without=tuple(no_answers(truth) for _ in policy.combine_without),
        picture_s=np.zeros(len(truth)),
    )


@dataclass(frozen=True, slots=True)
class Runner:
    """Executes the views of one picture at a time, as a single request is executed.

    Attributes:
        execute: of the served backend, padded to a bucket.
        kind: of the model's output.
        largest_rows: of a micro-batch; more views are executed in several.
        now_s: a monotonic clock.
        count: learns of the progress.
    """

    execute: Execute
    kind: Literal["logits", "probabilities"]
    largest_rows: int
    now_s: Callable[[], float]
    count: Count

    def run(self, pictures: Sequence[LabelledPicture], courses: Sequence[Course]) -> None:
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
                self._picture(place, picture.read(), courses)
            except OSError as fault:
                refused.append(f"{picture.name}: cannot be read ({fault.strerror})")
            except InvalidInput as invalid:
                refused.append(f"{picture.name}: {invalid}")
            except ServingError as failed:
                raise EvaluationFailed(f"{picture.name}: {failed}") from failed
            self.count(place + 1)
        if refused:
            raise InvalidData(refused)

    def _picture(self, place: int, encoded: bytes, courses: Sequence[Course]) -> None:
        first = place % len(courses)
        for course in (*courses[first:], *courses[:first]):
            began_s = self.now_s()
            probabilities = self._probabilities(course.policy, course.policy.expand(encoded))
            course.note(place, probabilities, self.now_s() - began_s)

    def _probabilities(self, policy: Policy, rows: Array) -> Array:
        starts = range(0, len(rows), self.largest_rows)
        outputs = [self.execute(rows[start : start + self.largest_rows])[0] for start in starts]

        def name_of(place: int) -> str:
            return f'view "{policy.views[place]}"'

        return probabilities_of(np.concatenate(outputs), self.kind, name_of)


def served_runner(model: LoadedModel, now_s: Callable[[], float], count: Count) -> Runner:
    """The runner of a model that gives class scores, on the thread that executes it."""
    return Runner(
        execute=served_execution(model),
        kind=scores_kind(model),
        largest_rows=model.batching.max_batch_rows,
        now_s=now_s,
        count=count,
    )
