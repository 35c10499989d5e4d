"""The figures of a model with independent labels: of each, and of all together. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.offline.evaluation.two_classes import TwoClasses, two_classes


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """What was found of one label.

    Attributes:
        label: its name.
        pictures: that have it.
        answered: pictures that are answered with it.
        figures: as of the second of two classes.
    """

    label: str
    pictures: int
    answered: int
    figures: TwoClasses

    @property
    def right(self) -> int:
        """Pictures that have it and are answered with it."""
        return round((self.figures.recall or 0.0) * self.pictures)


@dataclass(frozen=True, slots=True)
class SeveralLabels:
    """What was found of all labels.

    Attributes:
        labels: each by itself.
        label_accuracy: the share of all labels of all pictures that are right, there or not there.
        micro: every label of every picture counts alike.
        macro: the mean of the labels that have the figure; None where none has it.
    """

    labels: tuple[LabelFigures, ...]
    label_accuracy: float
    micro: TwoClasses
    macro: TwoClasses


def several_labels(
    names: Sequence[str], truth: Array, answers: Array, probabilities: Array
) -> SeveralLabels:
    """The figures.

    Args:
        names: of the labels.
        truth: bool [pictures, labels], which are true.
        answers: bool [pictures, labels], which are answered.
        probabilities: [pictures, labels].
    """
    true, answered = truth.astype(np.int64), answers.astype(np.int64)
    labels = tuple(
        LabelFigures(
            label=name,
            pictures=int(true[:, place].sum()),
            answered=int(answered[:, place].sum()),
            figures=two_classes(true[:, place], answered[:, place], probabilities[:, place]),
        )
        for place, name in enumerate(names)
    )
    found = [each.figures for each in labels]
    return SeveralLabels(
        labels=labels,
        label_accuracy=float((truth == answers).mean()),
        micro=two_classes(true.ravel(), answered.ravel(), probabilities.ravel()),
        macro=TwoClasses(
            precision=_mean([each.precision for each in found]),
            recall=_mean([each.recall for each in found]),
            roc_auc=_mean([each.roc_auc for each in found]),
        ),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None
