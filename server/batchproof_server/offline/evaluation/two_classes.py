"""The figures of a model with two classes, of which the second is the one looked for. Pure."""

from dataclasses import dataclass

import numpy as np

from batchproof_server.base.signature import Array


@dataclass(frozen=True, slots=True)
class TwoClasses:
    """What was found of the second class.

    Attributes:
        precision: the share of the pictures answered with it that are of it; None when there are
            none.
        recall: the share of its pictures that are answered with it; None when there are none.
        roc_auc: how often a picture of it has a higher probability of it than one of the first
            class, ties counting half; None unless there are pictures of both.
    """

    precision: float | None
    recall: float | None
    roc_auc: float | None


def two_classes(truth: Array, answers: Array, probability: Array) -> TwoClasses:
    """The figures.

    Args:
        truth: int64 [pictures], 0 or 1.
        answers: int64 [pictures], 0 or 1.
        probability: [pictures], of class 1.
    """
    found = int((truth & answers).sum())
    return TwoClasses(
        precision=_share(found, int(answers.sum())),
        recall=_share(found, int(truth.sum())),
        roc_auc=_roc_auc(truth, probability),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _roc_auc(truth: Array, probability: Array) -> float | None:
    """The area by Mann and Whitney's U over all pairs (Hanley and McNeil 1982, equation 1)."""
    positives, negatives = int(truth.sum()), int((1 - truth).sum())
    if not positives or not negatives:
        return None
    _, places, counts = np.unique(probability, return_inverse=True, return_counts=True)
    ranks = counts.cumsum() - (counts - 1) / 2  # of ties the mean, from 1
    u = ranks[places][truth == 1].sum() - positives * (positives + 1) / 2
    return float(u / (positives * negatives))
