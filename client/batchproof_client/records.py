"""Answers as what other programs read: dictionaries, lines of JSON, and CSV."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy.typing as npt

if TYPE_CHECKING:
    from batchproof_client.answers import HeadPrediction, Prediction, PredictResult

COLUMNS: Final = ("row", "rank", "index", "label", "score")
"""Of the CSV."""


def result_record(result: "PredictResult") -> dict[str, Any]:
    """A result as values that JSON knows: ``request_id``, ``rows``, ``outputs``, ``provenance``.

    ``outputs`` is left out where there are none.
    """
    record: dict[str, Any] = {
        "request_id": result.request_id,
        "rows": [row_record(row) for row in result.rows],
    }
    if result.outputs:
        record["outputs"] = {name: _array_record(each) for name, each in result.outputs.items()}
    return record | {"provenance": asdict(result.provenance)}


def row_record(row: "Prediction") -> dict[str, Any]:
    """A row as values that JSON knows; what was not asked for is left out."""
    record = {
        "classes": [asdict(each) for each in row.classes],
        "entropy": row.entropy,
        "margin": row.margin,
        "handle": row.handle,
        "labels": [asdict(each) for each in row.labels],
    }
    if row.heads:
        record["heads"] = {name: _head_record(head) for name, head in row.heads.items()}
    if row.probabilities is not None:
        record["probabilities"] = row.probabilities.tolist()
    if row.logits is not None:
        record["logits"] = row.logits.tolist()
    if row.tta is not None:
        record["tta"] = row.tta.record()
    return record


def _head_record(head: "HeadPrediction") -> dict[str, Any]:
    record: dict[str, Any] = {
        "classes": [asdict(each) for each in head.classes],
        "labels": [asdict(each) for each in head.labels],
        "entropy": head.entropy,
        "margin": head.margin,
    }
    if head.probabilities is not None:
        record["probabilities"] = head.probabilities.tolist()
    return record


def _array_record(array: npt.NDArray[Any]) -> dict[str, Any]:
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": array.tolist()}


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
