"""What ``batchproof report-outcome`` may say."""

import argparse
from pathlib import Path

from batchproof_client.commands.numbers import at_least_0
from batchproof_client.errors import LocalInputError
from batchproof_client.outcomes import Outcome


def add_outcome_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "handle",
        nargs="?",
        metavar="HANDLE",
        help="of the answer, as predict --handles or --json shows it",
    )
    parser.add_argument(
        "--request-id",
        metavar="ID",
        help="of the answer, in place of HANDLE; only where the server is set to accept it",
    )
    parser.add_argument("--row", type=at_least_0, metavar="N", help="of that request id; 0")
    parser.add_argument("--label", help="what the picture really was")
    parser.add_argument("--class-index", type=at_least_0, metavar="N", help="in place of --label")
    parser.add_argument(
        "--labels",
        metavar="A|B",
        help='of a model with independent labels: all that are true, with | between; "" for none',
    )
    parser.add_argument(
        "--file",
        metavar="FILE",
        help="a CSV file with the columns handle (or request_id and row) and label (or "
        'class_index, or labels), or JSON lines with these keys if its name ends with ".jsonl"',
    )


def outcomes_of(parsed: argparse.Namespace) -> Path | Outcome:
    """A file of outcomes, or the one that was given.

    Raises:
        LocalInputError: neither, or too much, was given.
    """
    truths = [
        each for each in (parsed.label, parsed.class_index, parsed.labels) if each is not None
    ]
    answers = [each for each in (parsed.handle, parsed.request_id) if each is not None]
    if parsed.file is not None:
        if answers or truths or parsed.row is not None:
            raise LocalInputError("--file holds the outcomes, expected no other")
        return Path(parsed.file)
    if len(answers) != 1 or len(truths) != 1:
        raise LocalInputError(
            "expected HANDLE (or --request-id) with --label, --class-index or --labels, or --file"
        )
    if parsed.handle is not None and parsed.row is not None:
        raise LocalInputError("a handle is of one row, expected no --row beside it")
    row, handle = parsed.row or 0, parsed.handle or ""
    if parsed.labels is not None:
        return Outcome(parsed.request_id or "", "", row, handle, labels_of(parsed.labels))
    return Outcome(parsed.request_id or "", truths[0], row, handle)


def labels_of(text: str) -> tuple[str, ...]:
    """The labels of a text with | between them."""
    return tuple(part.strip() for part in text.split("|") if part.strip())
