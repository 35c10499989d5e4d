"""The result of an evaluation: figures, comparisons, verdict. Schema in ``docs/schemas``."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.offline.evaluation import measures
from batchproof_server.offline.evaluation.answers import Reference, Tally
from batchproof_server.offline.evaluation.measures import Reliability
from batchproof_server.offline.evaluation.paths import PathName
from batchproof_server.offline.evaluation.several_labels import SeveralLabels
from batchproof_server.offline.evaluation.two_classes import TwoClasses

FORMAT: Final = 2


@dataclass(frozen=True, slots=True)
class Difference:
    """How the answers of a path differ from those to the same pictures sent alone.

    Attributes:
        top1_pictures: pictures that get another class.
        near_ties: those of them whose two classes are about equally probable.
        bits_pictures: pictures whose probabilities or logits differ in any bit.
        must_agree_pictures: pictures whose bits the certificate says are the same.
        broken_pictures: those of them whose bits differ.
        greatest: of the probabilities, absolute.
    """

    top1_pictures: int
    near_ties: int
    bits_pictures: int
    must_agree_pictures: int
    broken_pictures: int
    greatest: float


@dataclass(frozen=True, slots=True)
class PathResult:
    """The figures of one path.

    Attributes:
        path: which one.
        batch_rows: pictures together; 1 for gRPC, which sends them one at a time.
        buckets_rows: micro-batches that were executed, ascending; empty for Keras.
        right: pictures whose class is right.
        accuracy: their share.
        nll: negative log-likelihood, nats a picture.
        ece: expected calibration error, 15 bins.
        difference: None for the single pictures, which the others are compared with.
    """

    path: PathName
    batch_rows: int
    buckets_rows: tuple[int, ...]
    right: int
    accuracy: float
    nll: float
    ece: float
    difference: Difference | None

    @property
    def title(self) -> str:
        """As reports call it."""
        match self.path:
            case "single":
                return "one at a time"
            case "in_process":
                return f"in process, {self.batch_rows} together"
            case "keras_predict":
                return f"Keras predict, {self.batch_rows} together"


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """What was evaluated.

    Attributes:
        verdict: of the certificate.
        buckets_rows: those that are served.
        data: the path as it was given.
        pictures: how many took part.
        pictures_there: how many the data has.
        labels: of the classes; the indices in decimal when the bundle names none.
    """

    model: str
    version: int
    model_digest: str
    recipe_digest: str
    engine: str
    certificate_digest: str
    verdict: str
    consistency: str
    buckets_rows: tuple[int, ...]
    data: str
    pictures: int
    pictures_there: int
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecipeComparison:
    """How the manifest's recipe stands against the plausible others.

    Attributes:
        is_beaten: whether another one is better beyond doubt.
        note: what was found, or why nothing was; never empty.
    """

    is_beaten: bool
    note: str


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The whole result.

    Attributes:
        subject: what was evaluated.
        paths: gRPC first.
        confusion: int64 [classes, classes] of the single pictures, the truth on axis 0.
        reliability: of the single pictures.
        keras_note: why Keras' ``predict`` differs, or why it was not asked; empty when it agrees.
        second_class: of the single pictures, for a model with two classes.
        several_labels: of the single pictures, for a model with independent labels, which has an
            empty confusion.
        recipe_check: of the manifest's recipe; None where it was not asked for.
    """

    subject: EvaluatedModel
    paths: tuple[PathResult, ...]
    confusion: Array
    reliability: Reliability
    keras_note: str
    second_class: TwoClasses | None = None
    several_labels: SeveralLabels | None = None
    recipe_check: RecipeComparison | None = None

    @property
    def failures(self) -> tuple[str, ...]:
        """One sentence for each broken promise; none when single and batch agree."""
        return tuple(sentence for path in self.paths for sentence in _failures(path))

    @property
    def agrees(self) -> bool:
        """Whether every promise is kept."""
        return not self.failures

    def to_json(self) -> str:
        """One JSON object in one line."""
        return json.dumps(_document(self), sort_keys=True)


def path_result(
    path: PathName, batch_rows: int, tally: Tally, difference: Difference | None
) -> PathResult:
    """The figures of a path's tally."""
    right = tally.is_right
    diagram = measures.reliability(tally.confidence, right)
    return PathResult(
        path=path,
        batch_rows=batch_rows,
        buckets_rows=tuple(int(rows) for rows in np.unique(tally.buckets_rows) if rows),
        right=int(right.sum()),
        accuracy=float(right.mean()),
        nll=measures.negative_log_likelihood(tally.true_probability),
        ece=measures.calibration_error(diagram),
        difference=difference,
    )


def compare(tally: Tally, known: Reference, classes: Sequence[Sequence[int]]) -> Difference:
    """Compares a path with the reference.

    Args:
        tally: of the path.
        known: the reference.
        classes: buckets with bit-identical answers, of the certificate. A picture that was alone in
            a bucket of the same class must get the same bits; so must one in the same bucket.
    """
    of_bucket = {rows: number for number, members in enumerate(classes) for rows in members}
    pairs = zip(tally.buckets_rows.tolist(), known.buckets_rows.tolist(), strict=True)
    must_agree = np.array(
        [here == alone or of_bucket.get(here, -1) == of_bucket.get(alone) for here, alone in pairs]
    )
    top1 = tally.is_other
    return Difference(
        top1_pictures=int(top1.sum()),
        near_ties=int((top1 & tally.near_tie).sum()),
        bits_pictures=int(tally.bits_differ.sum()),
        must_agree_pictures=int(must_agree.sum()),
        broken_pictures=int((tally.bits_differ & must_agree).sum()),
        greatest=float(tally.difference.max()),
    )


def _failures(path: PathResult) -> Iterator[str]:
    difference = path.difference
    if difference is None:
        return
    # Keras rounds otherwise, which may turn a near tie; the server owes the same bits.
    excused = difference.near_ties if path.path == "keras_predict" else 0
    if broken := difference.broken_pictures:
        yield (
            f"{path.title}: {broken} of {difference.must_agree_pictures} pictures get other bits "
            f"than alone, by up to {difference.greatest:.3g}"
        )
    if (changed := difference.top1_pictures - excused) > 0:
        yield f"{path.title}: {changed} pictures get another class than alone"


def _document(evaluation: Evaluation) -> dict[str, Any]:
    verdict: Literal["same", "different"] = "same" if evaluation.agrees else "different"
    diagram, cells = evaluation.reliability, np.argwhere(evaluation.confusion)
    return {
        "format": FORMAT,
        "verdict": verdict,
        "failures": list(evaluation.failures),
        "subject": dataclasses.asdict(evaluation.subject),
        "paths": [dataclasses.asdict(path) for path in evaluation.paths],
        "keras_note": evaluation.keras_note,
        "recipe_check": evaluation.recipe_check and dataclasses.asdict(evaluation.recipe_check),
        "second_class": evaluation.second_class and dataclasses.asdict(evaluation.second_class),
        "several_labels": (
            evaluation.several_labels and dataclasses.asdict(evaluation.several_labels)
        ),
        "confusion": [
            {"true": int(true), "answer": int(answer), "pictures": int(count)}
            for (true, answer), count in zip(
                cells, evaluation.confusion[evaluation.confusion > 0], strict=True
            )
        ],
        "reliability": [
            {"pictures": int(pictures), "confidence": float(confidence), "accuracy": float(share)}
            for pictures, confidence, share in zip(
                diagram.pictures, diagram.confidence, diagram.accuracy, strict=True
            )
        ],
    }
