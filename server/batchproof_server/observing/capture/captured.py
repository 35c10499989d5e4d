"""A captured row, as it is written: its content and what is said of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from batchproof_server.base.events import PredictionRecord
from batchproof_server.base.scores import NO_ANSWER
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.recorded import signals_of_records

Sample: TypeAlias = Literal["random", "suspicious"]


@dataclass(frozen=True, slots=True)
class CapturedRow:
    """One row.

    Attributes:
        said: what is written of it as a line of JSON.
        content: of its picture, as it came, or of its tensors as an ``.npz`` file.
        suffix: of that file, such as ``.png``.
    """

    said: Mapping[str, Any]
    content: bytes
    suffix: str


def row_signals(record: PredictionRecord) -> list[dict[str, float]]:
    """The signals of each row that it has, by name; none of a record that is not finite."""
    signals, not_finite = signals_of_records([record])
    if not_finite:
        return [{} for _ in range(record.rows)]
    named = {name: values.tolist() for name, values in signals.values.items()}
    return [
        {name: values[row] for name, values in named.items() if math.isfinite(values[row])}
        for row in range(record.rows)
    ]


def far_signals(
    signals: Mapping[str, float], profile: ReferenceProfile | None, deviations: float
) -> list[str]:
    """The names of the signals that are so many deviations from the mean of the reference.

    Args:
        signals: of one row.
        profile: of its version; without one nothing is far.
        deviations: standard deviations of the reference; 0 for nothing.
    """
    if profile is None or not deviations:
        return []
    return [
        name
        for name, value in signals.items()
        if (reference := profile.signals.get(name)) is not None
        and reference.stddev > 0
        and abs(value - reference.mean) > deviations * reference.stddev
    ]


def answer_of(record: PredictionRecord, row: int, labels: Sequence[str]) -> dict[str, Any]:
    """What a row was answered with: the class, and the most probable ones.

    Of independent labels ``labels`` are those that are the answer. A row to which the model gave
    NaN has no answer.
    """
    scores = record.scores
    if scores.decided[row] == NO_ANSWER:
        return {"class": None, "label": None, "confidence": None, "best": []}
    probabilities = scores.probabilities[row]
    best = probabilities.argsort()[::-1][:_MOST_CLASSES].tolist()
    answer: dict[str, Any] = {
        "class": int(scores.decided[row]),
        "label": _label(labels, int(scores.decided[row])),
        "confidence": float(scores.confidences[row]),
        "best": [
            {"class": each, "label": _label(labels, each), "score": float(probabilities[each])}
            for each in best
        ],
    }
    if scores.chosen is not None:
        chosen = scores.chosen[row].nonzero()[0].tolist()
        answer["labels"] = [_label(labels, each) for each in chosen]
    return answer


def _label(labels: Sequence[str], index: int) -> str:
    return labels[index] if 0 <= index < len(labels) else str(index)


_MOST_CLASSES: Final = 5
