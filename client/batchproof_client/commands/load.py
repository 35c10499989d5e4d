"""``batchproof load``: sends traffic and says how the server stood it."""

from pathlib import Path

from batchproof_client.commands.arguments import LoadArguments
from batchproof_client.commands.terminal import write_error, write_json, write_table
from batchproof_client.connection import Endpoint
from batchproof_client.errors import LocalInputError
from batchproof_client.loadtest.compare import HEADINGS, compared, read_comparable, same_load
from batchproof_client.loadtest.live import live_view
from batchproof_client.loadtest.page import page
from batchproof_client.loadtest.report import document, written_csv, written_json
from batchproof_client.loadtest.session import Address, LoadResult
from batchproof_client.loadtest.session import load as run_load
from batchproof_client.loadtest.settings import LoadSettings
from batchproof_client.loadtest.table import (
    DURATION_HEADINGS,
    STEP_HEADINGS,
    notes,
    overview,
    steps,
    times,
)


def load(arguments: LoadArguments) -> int:
    """Returns the exit code of the verdict; 0 for a comparison.

    Raises:
        BatchproofError: the load cannot be done.
    """
    if isinstance(arguments.load, LoadSettings):
        return _run(arguments, arguments.load)
    return _compare(*arguments.load, as_json=arguments.server.json)


def _run(arguments: LoadArguments, settings: LoadSettings) -> int:
    server = arguments.server
    metadata = (*server.metadata, *settings.metadata)
    endpoint = Endpoint(server.server, tls=server.tls, metadata=metadata)
    with live_view() as view:
        result = run_load(settings, Address(endpoint, server.timeout_s), view)
    if server.json:
        write_json(document(result))
    else:
        _show(result)
    _save(result)
    return result.verdict.exit_code


def _show(result: LoadResult) -> None:
    write_table(("figure", "value"), overview(result))
    write_table(DURATION_HEADINGS, times(result.run.total))
    curve = result.probes or result.run.steps
    if len(curve) > 1:
        write_table(STEP_HEADINGS, steps(curve))
    for note in notes(result):
        write_error(note)


def _save(result: LoadResult) -> None:
    files = result.settings.files
    if files.json is not None:
        _write(files.json, written_json(document(result)))
    if files.csv is not None:
        _write(files.csv, written_csv(result.run.intervals))
    if files.html is not None:
        _write(files.html, page(result))


def _write(path: Path, content: str) -> None:
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as fault:
        raise LocalInputError(f"{path}: cannot be written: {fault.strerror or fault}") from fault


def _compare(first_path: Path, second_path: Path, *, as_json: bool) -> int:
    first, second = read_comparable(first_path), read_comparable(second_path)
    if not same_load(first, second):
        write_error("the two loads were not asked for the same")
    rows = compared(first, second)
    if as_json:
        for row in rows:
            write_json(dict(zip(HEADINGS, row, strict=True)))
    else:
        write_table(HEADINGS, rows)
    return 0
