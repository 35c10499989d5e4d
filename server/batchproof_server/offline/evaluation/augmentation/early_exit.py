"""What early exit would have done: pure, from the plain and the full answers."""

from dataclasses import dataclass

import numpy as np

from batchproof_server.offline.evaluation.augmentation.figures import Answers
from batchproof_server.offline.evaluation.augmentation.paired import Paired, paired
from batchproof_server.offline.evaluation.augmentation.verdict import Cost


@dataclass(frozen=True, slots=True)
class ExitPoint:
    """One threshold of early exit.

    Attributes:
        threshold: of the plain answer's confidence; from it on the other views are left out.
        stopped: pictures that stop at one view.
        stopped_share: their share.
        right: pictures that are right with early exit.
        accuracy: their share.
        change: against the plain answers.
        other_answers: pictures whose best class is another one than all views together give.
        views: executed, the mean over the pictures.
        picture_s: seconds that a picture alone takes on average, at most: a picture that goes on is
            counted as a plain one and then one with all views, though one view is there already.
    """

    threshold: float
    stopped: int
    stopped_share: float
    right: int
    accuracy: float
    change: Paired
    other_answers: int
    views: float
    picture_s: float


def exit_point(
    threshold: float, plain: Answers, full: Answers, costs: tuple[Cost, Cost]
) -> ExitPoint:
    """What a threshold would have done to these pictures.

    Args:
        threshold: 0 to 1.
        plain: the answers of the plain view.
        full: the answers of all views together.
        costs: of both.
    """
    stops = plain.sureness >= threshold
    top1 = np.where(stops, plain.top1, full.top1)
    right = top1 == plain.truth
    alone, together = costs
    going_on = 1 - float(stops.mean())
    return ExitPoint(
        threshold=threshold,
        stopped=int(stops.sum()),
        stopped_share=1 - going_on,
        right=int(right.sum()),
        accuracy=float(right.mean()),
        change=paired(plain.is_right, right),
        other_answers=int((top1 != full.top1).sum()),
        views=1 + going_on * (together.views - 1),
        picture_s=alone.picture_s + going_on * together.picture_s,
    )
