"""Answers as what other programs read: dictionaries, lines of JSON, and CSV."""

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from batchproof_client.answers import HeadPrediction, Prediction, PredictResult

COLUMNS: Final = ("row", "rank", "index", "label", "score")
"""Of the CSV."""


def result_record(result: "PredictResult") -> dict[str, Any]:
    """A result as values that JSON knows: ``request_id``, ``rows``, ``outputs``, ``provenance``.

    ``outputs`` and ``warnings`` are left out where there are none.
    """
    record: dict[str, Any] = {
        "request_id": result.request_id,
        "rows": [row_record(row) for row in result.rows],
    }
    if result.outputs:
        record["outputs"] = {name: _array_record(each) for name, each in result.outputs.items()}
    if result.warnings:
        record["warnings"] = list(result.warnings)
    return record | {"provenance": asdict(result.provenance)}


def row_record(row: "Prediction") -> dict[str, Any]:
    """A row as values that JSON knows; what was not asked for is left out."""
    record: dict[str, Any] = {
        "classes": [asdict(each) for each in row.classes],
        "entropy": _number(row.entropy),
        "margin": _number(row.margin),
        "handle": row.handle,
        "labels": [asdict(each) for each in row.labels],
    }
    if row.heads:
        record["heads"] = {name: _head_record(head) for name, head in row.heads.items()}
    if row.probabilities is not None:
        record["probabilities"] = _numbers(row.probabilities)
    if row.logits is not None:
        record["logits"] = _numbers(row.logits)
    if row.tta is not None:
        record["tta"] = row.tta.record()
    return record


def _head_record(head: "HeadPrediction") -> dict[str, Any]:
    record: dict[str, Any] = {
        "classes": [asdict(each) for each in head.classes],
        "labels": [asdict(each) for each in head.labels],
        "entropy": _number(head.entropy),
        "margin": _number(head.margin),
    }
    if head.probabilities is not None:
        record["probabilities"] = _numbers(head.probabilities)
    return record


def _array_record(array: npt.NDArray[Any]) -> dict[str, Any]:
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": _numbers(array)}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _numbers(array: npt.NDArray[Any]) -> Any:
    """Nested lists; None for NaN and infinity, for which JSON has no word."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    values = array.astype(object)
    values[~np.isfinite(array)] = None
    return values.tolist()


def json_lines(result: "PredictResult") -> str:
    """One JSON object a row, each on a line with its end, with the request's id and the place."""
    return "".join(
        json.dumps({"request_id": result.request_id, "row": place, **row_record(row)}) + "\n"
        for place, row in enumerate(result.rows)
    )


def csv_text(result: "PredictResult") -> str:
    """The ranked classes of each row under ``COLUMNS``.

    What a spreadsheet would take for a formula stays text.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_cells(result))
    return stream.getvalue()


def _cells(result: "PredictResult") -> Iterator[tuple[object, ...]]:
    for place, row in enumerate(result.rows):
        for rank, each in enumerate(row.classes, start=1):
            label = f"'{each.label}" if each.label.startswith(("=", "+", "-", "@")) else each.label
            yield (place, rank, each.index, label, each.score)
