"""``batchproof report-outcome``: what pictures really were, from a file or for one answer."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from batchproof_client.client import AsyncClient
from batchproof_client.commands.arguments import ReportOutcomeArguments
from batchproof_client.commands.outcome_options import labels_of
from batchproof_client.commands.terminal import write_error, write_json, write_line
from batchproof_client.errors import LocalInputError
from batchproof_client.outcomes import MAX_OUTCOMES, Outcome, OutcomeResult

_ANSWERS: Final = frozenset({"handle", "request_id"})
_TRUTHS: Final = frozenset({"label", "class_index", "labels"})
_NUMBERS: Final = frozenset({"row", "class_index"})
_COLUMNS: Final = _ANSWERS | _TRUTHS | _NUMBERS


async def report_outcome(client: AsyncClient, arguments: ReportOutcomeArguments) -> int:
    """Returns 0 when every outcome was accepted, 1 when not.

    Raises:
        LocalInputError: the file cannot be read or has faults; nothing was sent.
        BatchproofError: the server could not answer.
    """
    asked = arguments.outcomes
    outcomes = [asked] if isinstance(asked, Outcome) else read_outcomes(asked)
    results: list[OutcomeResult] = []
    try:
        for first in range(0, len(outcomes), MAX_OUTCOMES):
            results += await client.report_outcomes(outcomes[first : first + MAX_OUTCOMES])
    finally:  # what was accepted counts, also when Ctrl-C or a fault ends the rest
        if results or not outcomes:
            _tell(results, arguments)
    return 0 if all(result.accepted for result in results) else 1


def _tell(results: Sequence[OutcomeResult], arguments: ReportOutcomeArguments) -> None:
    if arguments.server.json:
        for result in results:
            write_json(_record(result))
    else:
        _show(results)


def read_outcomes(file: Path) -> list[Outcome]:
    """Reads a CSV file with a heading, or JSON lines from a file whose name ends with ``.jsonl``.

    Raises:
        LocalInputError: it cannot be read, or with the line of the first fault.
    """
    is_json = file.suffix == ".jsonl"
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            return list(_objects(file, opened) if is_json else _rows(file, opened))
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        kind = "JSON lines" if is_json else "CSV"
        raise LocalInputError(f"{file}: cannot be read as {kind}: {fault}") from fault


def _rows(file: Path, lines: Iterator[str]) -> Iterator[Outcome]:
    reader = csv.DictReader(lines, restkey="", restval="", strict=True)
    columns = set(reader.fieldnames or ())
    if not columns & _ANSWERS or not columns & _TRUTHS:
        raise LocalInputError(
            f"{file}: expected the columns handle (or request_id) and label (or class_index, or "
            "labels)"
        )
    if unknown := columns - _COLUMNS:
        raise LocalInputError(f'{file}: column "{min(unknown)}" is unknown')
    for row in reader:
        try:
            yield _outcome(row)
        except ValueError as fault:
            raise LocalInputError(f"{file}: line {reader.line_num}: {fault}") from None


def _objects(file: Path, lines: Iterable[str]) -> Iterator[Outcome]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield _outcome(_texts(line))
            except ValueError as fault:
                raise LocalInputError(f"{file}: line {number}: {fault}") from None


def _texts(line: str) -> dict[str, str]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ValueError("is no JSON object")  # noqa: TRY004 - as every other fault of a line
    for key, value in values.items():
        if key not in _COLUMNS:
            raise ValueError(f'key "{key}" is unknown')
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if not (is_number if key in _NUMBERS else isinstance(value, str)):
            kind = "a number" if key in _NUMBERS else "a text"
            raise ValueError(f'"{key}" is {json.dumps(value)[:80]}, expected {kind}')
    return {key: str(value) for key, value in values.items()}


def _outcome(row: Mapping[str, str]) -> Outcome:
    if "" in row:
        raise ValueError("has more cells than there are columns")
    handle, request_id, label, index, place = (
        row.get(name, "") for name in ("handle", "request_id", "label", "class_index", "row")
    )
    if bool(handle) == bool(request_id):
        raise ValueError("expected either handle or request_id")
    if handle and place:
        raise ValueError("a handle is of one row, expected no row beside it")
    number = _number("row", place or "0")
    if not label and not index and "labels" in row:
        return Outcome(request_id, "", number, handle, labels_of(row["labels"]))
    if bool(label) == bool(index) or row.get("labels"):
        raise ValueError("expected either label or class_index, or labels")
    truth = label or _number("class_index", index)
    return Outcome(request_id, truth, number, handle)


def _number(column: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f'{column} is "{text}", expected a number from 0')
    return int(text)


def _record(result: OutcomeResult) -> dict[str, object]:
    outcome = result.outcome
    record: dict[str, object] = {"request_id": outcome.request_id, "row": outcome.row}
    if outcome.handle:
        record = {"handle": outcome.handle}
    accepted = result.accepted
    if accepted is None:
        return record | {"error": str(result.error), "kind": type(result.error).__name__}
    return record | {
        "model": accepted.model,
        "version": accepted.version,
        "predicted": accepted.predicted.label,
        "confidence": accepted.predicted.score,
        "is_correct": accepted.is_correct,
        **({"predicted_labels": accepted.predicted_labels} if accepted.predicted_labels else {}),
    }


def _show(results: Sequence[OutcomeResult]) -> None:
    for result in results:
        if result.error is not None:
            write_error(str(result.error))
    accepted = [result.accepted for result in results if result.accepted is not None]
    correct = sum(each.is_correct for each in accepted)
    refused = len(results) - len(accepted)
    write_line(f"{len(accepted)} accepted, {correct} of them correct; {refused} refused")
