"""The command ``batchproof-server``."""

import argparse
import importlib
import importlib.metadata
import importlib.util
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Final, TypeAlias

from batchproof.command_line import (
    INTERRUPTED,
    add_completion,
    command_first,
    completion_script,
    open_standard_streams,
)
from batchproof.text import printable
from batchproof_server.base.errors import ServingError
from batchproof_server.commands.certify.arguments import add_certify
from batchproof_server.commands.ctl.arguments import add_ctl
from batchproof_server.commands.diagnose.arguments import add_diagnose
from batchproof_server.commands.drift.arguments import add_drift
from batchproof_server.commands.ending import end_if_hanging
from batchproof_server.commands.evaluate.arguments import add_evaluate
from batchproof_server.commands.inspect.arguments import add_inspect
from batchproof_server.commands.pack.arguments import add_pack
from batchproof_server.commands.profile.arguments import add_profile, spelled_out
from batchproof_server.commands.recipe.arguments import add_recipe
from batchproof_server.commands.repair.arguments import add_repair
from batchproof_server.commands.serve.arguments import add_serve
from batchproof_server.commands.token.arguments import add_token
from batchproof_server.commands.tta.arguments import add_tta
from batchproof_server.observing.engine_lines import engine_lines_apart
from batchproof_server.rpc.fronts.polling import read_on_the_queue

Command: TypeAlias = Callable[[argparse.Namespace], int]

FAILED: Final = 1
USAGE: Final = 2
# What the bare install does not bring, and the extra "server" does.
_SERVER_PACKAGES: Final = (
    "cryptography",
    "grpc_reflection",
    "PIL",
    "prometheus_client",
    "pydantic",
    "structlog",
)
# Imported when asked for, so that a bare install gets a sentence instead of an ImportError, and
# nobody waits for what another command needs.
_COMMANDS: Final = {
    "pack": "batchproof_server.commands.pack.command:pack",
    "inspect": "batchproof_server.commands.inspect.command:inspect",
    "serve": "batchproof_server.commands.serve.command:serve",
    "ctl": "batchproof_server.commands.ctl.command:ctl",
    "token": "batchproof_server.commands.token.command:token",
    "certify": "batchproof_server.commands.certify.command:certify",
    "repair": "batchproof_server.commands.repair.command:repair",
    "evaluate": "batchproof_server.commands.evaluate.command:evaluate",
    "diagnose": "batchproof_server.commands.diagnose.command:diagnose_pictures",
    "profile": "batchproof_server.commands.profile.command:profile",
    "recipe": "batchproof_server.commands.recipe.command:recipe",
    "drift": "batchproof_server.commands.drift.command:drift",
    "tta": "batchproof_server.commands.tta.command:tta",
}

# `serve` sees to it itself: it knows whether its log is JSON.
_OPENS_ENGINES: Final = frozenset(_COMMANDS) - {"serve", "ctl"}


def main(argv: list[str] | None = None) -> int:
    """Runs the command.

    Returns:
        The exit code: 0 for an orderly end, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C
        (which is an orderly end of ``serve``).
    """
    parser = _parser()
    words = command_first(sys.argv[1:] if argv is None else argv, parser)
    arguments = parser.parse_args(spelled_out(words))
    if arguments.command == "completion":
        sys.stdout.write(completion_script(parser, arguments.shell) + "\n")
        return 0
    missing = [name for name in _SERVER_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"batchproof-server: {', '.join(missing)} not installed; the server needs the extra: "
            'pip install ".[cpu]" in the repository (or ".[server]" without TensorFlow)\n'
        )
        return USAGE
    if arguments.command == "serve":
        read_on_the_queue()
    # Whoever hands over the arguments runs the command in a process of its own.
    code, is_whole_process = FAILED, argv is None and arguments.command in _OPENS_ENGINES
    try:
        with engine_lines_apart() if is_whole_process else nullcontext():
            code = _command(arguments.command)(arguments)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except ServingError as failed:
        sys.stderr.write(f"batchproof-server: {printable(str(failed))}\n")
    finally:
        if is_whole_process:
            end_if_hanging(code, threading.enumerate())
    return code


def _command(name: str) -> Command:
    module, _, function = _COMMANDS[name].partition(":")
    command: Command = getattr(importlib.import_module(module), function)
    return command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="batchproof-server",
        description="Serves image classifiers over gRPC: one image, one answer. Options may stand "
        "before or after the COMMAND; `batchproof-server COMMAND --help` lists them.",
    )
    parser.add_argument(
        "--version", action="version", version=importlib.metadata.version("batchproof")
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (
        add_pack,
        add_inspect,
        add_serve,
        add_ctl,
        add_token,
        add_certify,
        add_repair,
        add_evaluate,
        add_diagnose,
        add_profile,
        add_recipe,
        add_drift,
        add_tta,
        add_completion,
    ):
        add(commands)
    return parser


if __name__ == "__main__":
    open_standard_streams()
    sys.exit(main())
