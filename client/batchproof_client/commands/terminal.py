"""What the user sees: a table on a terminal, tab-separated lines in a pipe, or JSON lines."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from batchproof.text import printable


def write_line(text: str) -> None:
    """Writes one line to standard output at once, cells with tabs between them."""
    _write("\t".join(map(printable, text.split("\t"))))


def write_json(record: Mapping[str, object]) -> None:
    """Writes one JSON object as one line."""
    write_line(json.dumps(record, ensure_ascii=False))


def write_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = ""
) -> None:
    """Writes a table on a terminal; elsewhere plain lines whose cells are separated by tabs."""
    if not sys.stdout.isatty():
        for row in (headings, *rows):
            write_line("\t".join(map(printable, row)))
        return
    table = Table(caption=caption or None, caption_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console = Console(file=sys.stdout)
    with console.capture() as captured:  # so that a broken pipe is ours to handle
        console.print(table)
    _write(captured.get().rstrip("\n"))


def write_error(message: str) -> None:
    """Writes one line to standard error."""
    sys.stderr.write(f"batchproof: {printable(message.strip())}\n")
    sys.stderr.flush()


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def progress(total: int) -> Iterator[Progress]:
    """Shows a bar on standard error while more than one thing is done, on a terminal only."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=total < 2 or not sys.stderr.isatty(),  # noqa: PLR2004 - one needs no bar
        transient=True,
    )
    with bar:
        bar.add_task("pictures", total=total)
        yield bar
