"""Evaluations that a test writes itself."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from batchproof_server.offline.evaluation import measures
from batchproof_server.offline.evaluation.paths import PathName
from batchproof_server.offline.evaluation.result import (
    Difference,
    EvaluatedModel,
    Evaluation,
    PathResult,
)

SAME = Difference(
    top1_pictures=0,
    near_ties=0,
    bits_pictures=0,
    must_agree_pictures=100,
    broken_pictures=0,
    greatest=0.0,
)


def path(name: PathName, difference: Difference | None = SAME, batch_rows: int = 8) -> PathResult:
    """The figures of a path."""
    return PathResult(name, batch_rows, (8,), 90, 0.9, 0.25, 0.03, difference)


def different(**changes: float) -> Difference:
    """A difference that is none but for the changes."""
    return replace(SAME, **changes)  # type: ignore[arg-type] # counts and a float


def evaluation(
    *paths: PathResult, labels: Sequence[str] = ("cat", "dog"), pictures: int = 100
) -> Evaluation:
    """An evaluation of random answers, 9 in 10 of them right."""
    numbers = np.random.default_rng(0)
    truth = numbers.integers(0, len(labels), pictures)
    guess = numbers.integers(0, len(labels), pictures)
    answers = np.where(numbers.random(pictures) < 0.9, truth, guess)
    subject = EvaluatedModel(
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
        pictures=pictures,
        pictures_there=pictures,
        labels=tuple(labels),
    )
    return Evaluation(
        subject=subject,
        paths=(path("single", None, 1), *paths),
        confusion=measures.confusion(truth, answers, len(labels)),
        reliability=measures.reliability(numbers.uniform(0.4, 1, pictures), answers == truth),
        keras_note="",
    )
