"""Courses that a test writes itself: what each view answers to each picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from batchproof_server.offline.evaluation.augmentation.result import (
    AugmentationEvaluation,
    evaluation_of,
)
from batchproof_server.offline.evaluation.augmentation.running import (
    Combine,
    Course,
    Policy,
    new_course,
)
from batchproof_server.offline.evaluation.result import EvaluatedModel
from batchproof_server.tta.plan import PLAIN

SUBJECT = EvaluatedModel(
    model="pets",
    version=2,
    model_digest="a" * 64,
    recipe_digest="b" * 64,
    engine="numpy 2",
    certificate_digest="c" * 64,
    verdict="proven",
    consistency="strict",
    buckets_rows=(2, 8),
    data="pets/",
    pictures=10,
    pictures_there=10,
    labels=("cat", "dog"),
)


def mean(probabilities: Any) -> Any:
    """The mean of the views."""
    return probabilities.mean(axis=0)


def highest(probabilities: Any) -> Any:
    """The maximum over the views."""
    return probabilities.max(axis=0) / probabilities.max(axis=0).sum()


def without(place: int) -> Combine:
    """The mean of the other views."""
    return lambda probabilities: mean(np.delete(probabilities, place, axis=0))


def policy(name: str, views: Sequence[str], combine: Mapping[str, Combine] | None = None) -> Policy:
    """A policy that is never asked for: its answers are noted by the test."""
    left_out = tuple(without(place) for place in range(len(views))) if len(views) > 1 else ()
    return Policy(name, tuple(views), PLAIN, combine or {"mean": mean}, left_out)


def course(tried: Policy, dogs: Any, truth: Any, seconds: float = 0.001) -> Course:
    """What the views of a policy of two classes answered.

    Args:
        tried: the policy.
        dogs: [pictures, views], the probability of class 1.
        truth: [pictures].
        seconds: that each picture took.
    """
    made = new_course(tried, np.array(truth))
    for place, row in enumerate(np.array(dogs, float)):
        made.note(place, np.stack([1 - row, row], axis=1), seconds)
    return made


def evaluation(
    corrected: int = 12, corrupted: int = 2, unchanged: int = 20, policies: int = 1
) -> AugmentationEvaluation:
    """An evaluation in which every flip corrects and corrupts so many pictures."""
    right, wrong = [0.4, 0.9], [0.6, 0.1]
    rows = [right] * corrected + [wrong] * corrupted + [[0.95, 0.9]] * unchanged
    truth = [1] * len(rows)
    plain = course(policy("none", ["identity"]), np.array(rows)[:, :1], truth)
    courses = [
        course(
            policy(f"flip{number}", ["identity", "hflip"], {"mean": mean, "max": highest}),
            rows,
            truth,
            0.002,
        )
        for number in range(policies)
    ]
    return evaluation_of(SUBJECT, plain, courses, (0.9, 0.5), ("flip: may be unsafe",))
