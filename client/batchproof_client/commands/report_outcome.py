"""``batchproof report-outcome``: what pictures really were, from a CSV file or for one answer."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from batchproof_client.client import AsyncClient
from batchproof_client.commands.arguments import ReportOutcomeArguments
from batchproof_client.commands.terminal import write_error, write_json, write_line
from batchproof_client.errors import LocalInputError
from batchproof_client.outcomes import Outcome, OutcomeResult

_COLUMNS: Final = frozenset({"request_id", "row", "label", "class_index"})


async def report_outcome(client: AsyncClient, arguments: ReportOutcomeArguments) -> int:
    """Returns 0 when every outcome was accepted, 1 when not.

    Raises:
        LocalInputError: the file cannot be read or has faults; nothing was sent.
        BatchproofError: the server could not answer.
    """
    asked = arguments.outcomes
    outcomes = [asked] if isinstance(asked, Outcome) else read_outcomes(asked)
    results = await client.report_outcomes(outcomes)
    if arguments.server.json:
        for result in results:
            write_json(_record(result))
    else:
        _show(results)
    return 0 if all(result.accepted for result in results) else 1


def read_outcomes(file: Path) -> list[Outcome]:
    """Reads a CSV file with a heading.

    Raises:
        LocalInputError: it cannot be read, or with the line of the first fault.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            return list(_rows(file, opened))
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise LocalInputError(f"{file}: cannot be read as CSV: {fault}") from fault


def _rows(file: Path, lines: Iterator[str]) -> Iterator[Outcome]:
    reader = csv.DictReader(lines, restkey="", restval="", strict=True)
    columns = set(reader.fieldnames or ())
    if "request_id" not in columns or not columns & {"label", "class_index"}:
        raise LocalInputError(f"{file}: expected the columns request_id and label or class_index")
    if unknown := columns - _COLUMNS:
        raise LocalInputError(f'{file}: column "{min(unknown)}" is unknown')
    for row in reader:
        try:
            yield _outcome(row)
        except ValueError as fault:
            raise LocalInputError(f"{file}: line {reader.line_num}: {fault}") from None


def _outcome(row: Mapping[str, str]) -> Outcome:
    if "" in row:
        raise ValueError("has more cells than there are columns")
    request_id, label, index = (
        row.get(name, "") for name in ("request_id", "label", "class_index")
    )
    if not request_id:
        raise ValueError("request_id is empty")
    if bool(label) == bool(index):
        raise ValueError("expected either label or class_index")
    truth = label or _number("class_index", index)
    return Outcome(request_id, truth, _number("row", row.get("row") or "0"))


def _number(column: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f'{column} is "{text}", expected a number from 0')
    return int(text)


def _record(result: OutcomeResult) -> dict[str, object]:
    record: dict[str, object] = {"request_id": result.outcome.request_id, "row": result.outcome.row}
    accepted = result.accepted
    if accepted is None:
        return record | {"error": str(result.error), "kind": type(result.error).__name__}
    return record | {
        "model": accepted.model,
        "version": accepted.version,
        "predicted": accepted.predicted.label,
        "confidence": accepted.predicted.score,
        "is_correct": accepted.is_correct,
    }


def _show(results: Sequence[OutcomeResult]) -> None:
    for result in results:
        if result.error is not None:
            write_error(str(result.error))
    accepted = [result.accepted for result in results if result.accepted is not None]
    correct = sum(each.is_correct for each in accepted)
    refused = len(results) - len(accepted)
    write_line(f"{len(accepted)} accepted, {correct} of them correct; {refused} refused")
