"""What the paths of an evaluation answered: the single answers whole, the others as they compare.

The answers to single pictures are kept; of every other path a few figures a picture are, so that
memory grows with one matrix of probabilities and not with the number of paths.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.meaning import MOST_PROBABLE, AnyOfMany, Meaning
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
        chosen: bool [labels], the answer of independent labels; None for exclusive classes.
    """

    top1: int
    probabilities: Array
    logits: Array | None
    bucket_rows: int
    chosen: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The single answers to all pictures, which every other path is compared with.

    Attributes:
        answers: int64 [pictures, 1]; of independent labels bool [pictures, labels].
        probabilities: float32 [pictures, classes].
        logits: float32 [pictures, classes], or None.
        buckets_rows: int64 [pictures].
    """

    answers: Array
    probabilities: Array
    logits: Array | None
    buckets_rows: Array

    @property
    def top1(self) -> Array:
        """Of exclusive classes: int64 [pictures]."""
        top1: Array = self.answers[:, 0]
        return top1


def reference(answers: Sequence[SingleAnswer]) -> Reference:
    """Stacks the answers to one or more pictures."""
    logits = [answer.logits for answer in answers if answer.logits is not None]
    chosen = [answer.chosen for answer in answers if answer.chosen is not None]
    top1 = np.array([answer.top1 for answer in answers])
    return Reference(
        answers=np.stack(chosen) if chosen else top1[:, np.newaxis],
        probabilities=np.stack([answer.probabilities for answer in answers]),
        logits=np.stack(logits) if logits else None,
        buckets_rows=np.array([answer.bucket_rows for answer in answers]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What one path answered to each picture. Made by ``empty_tally``, filled by ``add``.

    Attributes:
        is_right: bool [pictures], whether the answer is the truth.
        is_other: bool [pictures], whether the answer is another than that of the reference.
        confidence: float64 [pictures], the probability of the answer.
        true_probability: float64 [pictures], that of the truth.
        bits_differ: bool [pictures], whether probabilities or logits differ from the reference.
        difference: float64 [pictures], the greatest of the probabilities from the reference.
        near_tie: bool [pictures], whether the reference holds its own class and this path's for
            nearly as probable.
        buckets_rows: int64 [pictures], rows of the micro-batch; 0 where the path has none.
    """

    is_right: Array
    is_other: Array
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
            truth: int64 [pictures], the true classes; of labels bool [pictures, labels].
            known: the reference.
        """
        given, meaning = scores.probabilities, meaning_of_scores(scores)
        answers, true = answers_of(scores), as_answers(truth)[places]
        self.is_right[places] = (answers == true).all(axis=1)
        self.is_other[places] = (answers != known.answers[places]).any(axis=1)
        self.confidence[places] = meaning.probability_of(given, answers)
        self.true_probability[places] = meaning.probability_of(given, true)
        self.buckets_rows[places] = bucket_rows
        alone = known.probabilities[places]
        self.difference[places] = greatest_differences(given, alone)
        # At a threshold, two classes and labels tie elsewhere than where they are equally probable.
        near = self.difference[places] < NEAR_TIE
        if scores.chosen is None:
            rows, ours = np.arange(len(places)), known.top1[places]
            tie = np.abs(alone[rows, ours] - alone[rows, scores.decided]) < NEAR_TIE
            near = tie | near if given.shape[1] == 2 else tie  # noqa: PLR2004 - two classes
        self.near_tie[places] = near
        self.bits_differ[places] = bits_differ(given, alone) | _logits_differ(scores, known, places)


def answers_of(scores: Scores) -> Array:
    """As a meaning has them: [rows, width]."""
    return scores.decided[:, np.newaxis] if scores.chosen is None else scores.chosen


def as_answers(truth: Array) -> Array:
    """A truth as an answer would be: [pictures, width]."""
    return truth if truth.ndim > 1 else truth[:, np.newaxis]


def meaning_of_scores(scores: Scores) -> Meaning:
    """What the probabilities mean together; their limits were applied already."""
    return MOST_PROBABLE if scores.chosen is None else AnyOfMany()


def _logits_differ(scores: Scores, known: Reference, places: Array) -> Array:
    if scores.logits is None or known.logits is None:
        return np.zeros(len(places), bool)
    return bits_differ(scores.logits, known.logits[places])


def empty_tally(pictures: int) -> Tally:
    """A tally of so many pictures, all of them still to come."""
    dtypes: Mapping[str, type] = {
        "is_right": np.bool_,
        "is_other": np.bool_,
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
    meaning = AnyOfMany() if truth.ndim > 1 else MOST_PROBABLE
    true = as_answers(truth)
    tally = empty_tally(len(truth))
    tally.is_right[:] = (known.answers == true).all(axis=1)
    tally.confidence[:] = meaning.probability_of(known.probabilities, known.answers)
    tally.true_probability[:] = meaning.probability_of(known.probabilities, true)
    tally.buckets_rows[:] = known.buckets_rows
    return tally
