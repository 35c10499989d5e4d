"""The command ``batchproof``.

It exits with 0 when all went well, 1 when a picture failed, an outcome was refused, the server is
not serving or a load broke a limit, 2 when the command cannot be done (usage, server, model), 3
when a load was limited by the client, 130 after Ctrl-C and 141 when its reader went away.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from batchproof.command_line import INTERRUPTED, lead_nowhere, open_standard_streams
from batchproof_client.client import AsyncClient
from batchproof_client.commands.arguments import (
    Arguments,
    Asking,
    CompletionArguments,
    DiagnoseArguments,
    LoadArguments,
    ModelsArguments,
    PredictArguments,
    ReportOutcomeArguments,
    UsageError,
    parse,
)
from batchproof_client.commands.diagnose import diagnose
from batchproof_client.commands.load import load
from batchproof_client.commands.models import models
from batchproof_client.commands.pictures import read_standard_input
from batchproof_client.commands.predict import predict
from batchproof_client.commands.report_outcome import report_outcome
from batchproof_client.commands.status import status
from batchproof_client.commands.terminal import write_error
from batchproof_client.connection import default_target, default_token
from batchproof_client.errors import BatchproofError, DeadlineExceeded, LocalInputError, Unavailable

_FAILED: Final = 2
_READER_GONE: Final = 141  # 128 + SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    Args:
        argv: the arguments; None for those of the process.
    """
    try:
        code = _run(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        lead_nowhere(sys.stdout)
        return _READER_GONE
    except SystemExit as asked:  # argparse after --help and --version
        return int(asked.code or 0)
    return code


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = parse(argv, default_target(), default_token())
    except (UsageError, LocalInputError) as fault:
        write_error(str(fault))
        return _FAILED
    if isinstance(arguments, CompletionArguments):
        sys.stdout.write(arguments.script + "\n")
        return 0
    try:
        if isinstance(arguments, LoadArguments):
            return load(arguments)
        # Before the loop, since Ctrl-C ends the reading of no other thread.
        given = read_standard_input() if _reads_standard_input(arguments) else b""
        return asyncio.run(_ask(arguments, given))
    except (Unavailable, DeadlineExceeded) as fault:
        write_error(f"{arguments.server.server}: {fault}")
    except BatchproofError as fault:
        write_error(str(fault))
    return _FAILED


async def _ask(arguments: Asking, given: bytes) -> int:
    server = arguments.server
    async with AsyncClient(
        server.server, timeout_s=server.timeout_s, tls=server.tls, metadata=server.metadata
    ) as client:
        if isinstance(arguments, PredictArguments):
            return await predict(client, arguments, given)
        if isinstance(arguments, DiagnoseArguments):
            return await diagnose(client, arguments.options)
        if isinstance(arguments, ModelsArguments):
            return await models(client, arguments)
        if isinstance(arguments, ReportOutcomeArguments):
            return await report_outcome(client, arguments)
        return await status(client, arguments)


def _reads_standard_input(arguments: Arguments) -> bool:
    return isinstance(arguments, PredictArguments) and arguments.reads_standard_input


if __name__ == "__main__":
    open_standard_streams()
    sys.exit(main())
