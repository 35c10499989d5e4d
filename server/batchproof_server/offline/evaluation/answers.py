"""What the paths of an evaluation answered: the single answers whole, the others as they compare.

The answers to single pictures are kept; of every other path a few figures a picture are, so that
memory grows with one matrix of probabilities and not with the number of paths.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.scores import Scores
from batchproof_server.base.signature import Array
from batchproof_server.offline.evaluation.measures import bits_differ, greatest_differences

NEAR_TIE: Final = 1e-4
"""Two classes whose probabilities are closer than this may change places by rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class SingleAnswer:
    """The answer to one picture, sent alone.

    Attributes:
        top1: index of the best class, as the server ranked.
        probabilities: float32 [classes].
        logits: float32 [classes], or None when the model answers with probabilities.
        bucket_rows: rows of the micro-batch that it was executed in.
    """

    top1: int
    probabilities: Array
    logits: Array | None
    bucket_rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The single answers to all pictures, which every other path is compared with.

    Attributes:
        top1: int64 [pictures].
        probabilities: float32 [pictures, classes].
        logits: float32 [pictures, classes], or None.
        buckets_rows: int64 [pictures].
    """

    top1: Array
    probabilities: Array
    logits: Array | None
    buckets_rows: Array


def reference(answers: Sequence[SingleAnswer]) -> Reference:
    """Stacks the answers to one or more pictures."""
    logits = [answer.logits for answer in answers if answer.logits is not None]
    return Reference(
        top1=np.array([answer.top1 for answer in answers]),
        probabilities=np.stack([answer.probabilities for answer in answers]),
        logits=np.stack(logits) if logits else None,
        buckets_rows=np.array([answer.bucket_rows for answer in answers]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What one path answered to each picture. Made by ``empty_tally``, filled by ``add``.

    Attributes:
        top1: int64 [pictures].
        confidence: float64 [pictures], the highest probability.
        true_probability: float64 [pictures], that of the true class.
        bits_differ: bool [pictures], whether probabilities or logits differ from the reference.
        difference: float64 [pictures], the greatest of the probabilities from the reference.
        near_tie: bool [pictures], whether the reference holds its own class and this path's for
            nearly as probable.
        buckets_rows: int64 [pictures], rows of the micro-batch; 0 where the path has none.
    """

    top1: Array
    confidence: Array
    true_probability: Array
    bits_differ: Array
    difference: Array
    near_tie: Array
    buckets_rows: Array

    def add(
        self, places: Array, scores: Scores, bucket_rows: int, truth: Array, known: Reference
    ) -> None:
        """Notes the answers to some pictures.

        Args:
            places: int64 [rows], which pictures they are.
            scores: theirs.
            bucket_rows: rows of their micro-batch.
            truth: int64 [pictures], the true classes.
            known: the reference.
        """
        rows, given = np.arange(len(places)), scores.probabilities
        top1 = scores.decided
        self.top1[places] = top1
        self.confidence[places] = given[rows, top1]
        self.true_probability[places] = given[rows, truth[places]]
        self.buckets_rows[places] = bucket_rows
        alone = known.probabilities[places]
        self.difference[places] = greatest_differences(given, alone)
        near = np.abs(alone[rows, known.top1[places]] - alone[rows, top1]) < NEAR_TIE
        if given.shape[1] == 2:  # noqa: PLR2004 - at a threshold, two classes tie elsewhere
            near |= self.difference[places] < NEAR_TIE
        self.near_tie[places] = near
        self.bits_differ[places] = bits_differ(given, alone) | _logits_differ(scores, known, places)


def _logits_differ(scores: Scores, known: Reference, places: Array) -> Array:
    if scores.logits is None or known.logits is None:
        return np.zeros(len(places), bool)
    return bits_differ(scores.logits, known.logits[places])


def empty_tally(pictures: int) -> Tally:
    """A tally of so many pictures, all of them still to come."""
    dtypes: Mapping[str, type] = {
        "top1": np.int64,
        "confidence": np.float64,
        "true_probability": np.float64,
        "bits_differ": np.bool_,
        "difference": np.float64,
        "near_tie": np.bool_,
        "buckets_rows": np.int64,
    }
    return Tally(**{name: np.zeros(pictures, dtype) for name, dtype in dtypes.items()})


def single_tally(known: Reference, truth: Array) -> Tally:
    """The tally of the reference itself."""
    rows = np.arange(len(truth))
    tally = empty_tally(len(truth))
    tally.top1[:] = known.top1
    tally.confidence[:] = known.probabilities[rows, known.top1]
    tally.true_probability[:] = known.probabilities[rows, truth]
    tally.buckets_rows[:] = known.buckets_rows
    return tally
