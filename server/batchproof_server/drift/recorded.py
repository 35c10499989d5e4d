"""From the records of answered requests to the signals of their rows.

The server counts them, and a reference profile is made of them: by the same function.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from batchproof_server.base.events import PredictionRecord
from batchproof_server.base.input_statistics import InputStatistics
from batchproof_server.base.signature import Array
from batchproof_server.drift.pictures import input_values
from batchproof_server.drift.signals import Signals, label_signals, prediction_signals
from batchproof_server.drift.tta_reference import TTA_SIGNALS, TtaReference


def signals_of_records(
    records: Sequence[PredictionRecord], tta: TtaReference | None = None
) -> tuple[Signals, int]:
    """The signals of all rows whose scores are finite, and how many others there are.

    Args:
        records: of one model version; all with logits, or none.
        tta: the views whose disagreement is compared; None for none.
    """
    answers = [record.scores for record in records]
    probabilities = np.concatenate([each.probabilities for each in answers])
    entropy = np.concatenate([each.entropy for each in answers])
    decided = np.concatenate([each.decided for each in answers])
    logits = [each.logits for each in answers if each.logits is not None]
    scores = np.concatenate(logits) if logits else probabilities
    finite = np.isfinite(probabilities).all(axis=1) & np.isfinite(scores).all(axis=1)
    given = _given(records, tta)
    if not finite.all():
        probabilities, scores, entropy = probabilities[finite], scores[finite], entropy[finite]
        decided = decided[finite]
        given = {name: values[finite] for name, values in given.items()}
    chosen = [each.chosen for each in answers if each.chosen is not None]
    if chosen:
        margin = np.concatenate([each.margin for each in answers])[finite]
        labels = np.concatenate(chosen)[finite]
        signals = label_signals(probabilities, scores if logits else None, entropy, margin, labels)
    else:
        signals = prediction_signals(probabilities, scores if logits else None, entropy, decided)
    return replace(signals, values={**signals.values, **given}), int((~finite).sum())


def _given(records: Sequence[PredictionRecord], tta: TtaReference | None) -> dict[str, Array]:
    """The values that came with the records; NaN for the rows of those that had none."""
    given = {} if tta is None else _disagreement(records, tta)
    if any(record.inputs is not None for record in records):
        given |= input_values([record.inputs or _unseen(record.rows) for record in records])
    return given


def _disagreement(records: Sequence[PredictionRecord], tta: TtaReference) -> dict[str, Array]:
    """How far views disagree; only what the profile's own views do compares with it."""
    rows = [record.rows for record in records]
    views = [record.augmented for record in records]
    alike = [
        each if each is not None and tta.holds_for(each.policy_digest, each.weights) else None
        for each in views
    ]
    flips = [None if each is None else each.flip_rate for each in alike]
    information = [None if each is None else each.mutual_information for each in alike]
    values = (_stacked(flips, rows), _stacked(information, rows))
    return dict(zip(TTA_SIGNALS, values, strict=True))


def _unseen(rows: int) -> InputStatistics:
    nothing = np.full(rows, np.nan)
    return InputStatistics((None,) * rows, nothing, nothing)


def _stacked(parts: Sequence[Array | None], rows: Sequence[int]) -> Array:
    return np.concatenate(
        [
            np.full(count, np.nan) if part is None else part
            for part, count in zip(parts, rows, strict=True)
        ]
    )
