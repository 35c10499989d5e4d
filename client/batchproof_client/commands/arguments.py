"""What the user typed, as values."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from batchproof.command_line import add_completion, command_first, completion_script
from batchproof_client.augmentation import Augmentation
from batchproof_client.commands.diagnose import (
    DiagnoseOptions,
    add_diagnose_options,
    diagnose_options,
)
from batchproof_client.commands.numbers import at_least_1, positive
from batchproof_client.commands.outcome_options import add_outcome_options, outcomes_of
from batchproof_client.commands.pictures import STANDARD_INPUT
from batchproof_client.commands.server_options import (
    ServerArguments,
    add_server_options,
    server_of,
)
from batchproof_client.commands.tta_options import add_tta_options, tta_of
from batchproof_client.loadtest.options import add_options, settings_of
from batchproof_client.loadtest.settings import LoadSettings
from batchproof_client.outcomes import Outcome


class UsageError(Exception):
    """The arguments do not parse; one sentence says why."""


@dataclass(frozen=True, slots=True)
class PredictArguments:
    """``batchproof predict``.

    Attributes:
        images: files, folders and patterns, as typed; ``-`` is standard input.
        model: as :func:`~batchproof_client.inputs.selector_of` parses it; None for the only one.
        top_k: classes to show.
        probabilities: whether to show all probabilities.
        concurrency: requests under way.
        handles: whether to show the handle of each row.
        tta: what to ask for; None leaves it to the model.
    """

    server: ServerArguments
    images: tuple[str, ...]
    model: str | None
    top_k: int
    probabilities: bool
    concurrency: int
    handles: bool = False
    tta: Augmentation | None = None

    @property
    def reads_standard_input(self) -> bool:
        """Whether one of the pictures is to be read there."""
        return STANDARD_INPUT in self.images


@dataclass(frozen=True, slots=True)
class ModelsArguments:
    """``batchproof models``."""

    server: ServerArguments


@dataclass(frozen=True, slots=True)
class StatusArguments:
    """``batchproof status``.

    Attributes:
        wait_s: how long to wait for SERVING.
    """

    server: ServerArguments
    wait_s: float


@dataclass(frozen=True, slots=True)
class LoadArguments:
    """``batchproof load``.

    Attributes:
        load: what to send; or else two reports to compare.
    """

    server: ServerArguments
    load: LoadSettings | tuple[Path, Path]


@dataclass(frozen=True, slots=True)
class ReportOutcomeArguments:
    """``batchproof report-outcome``.

    Attributes:
        outcomes: a file, or else one outcome.
    """

    server: ServerArguments
    outcomes: Path | Outcome


@dataclass(frozen=True, slots=True)
class DiagnoseArguments:
    """``batchproof diagnose``."""

    server: ServerArguments
    options: DiagnoseOptions


Asking = (
    PredictArguments
    | ModelsArguments
    | StatusArguments
    | ReportOutcomeArguments
    | DiagnoseArguments
)
"""What is asked of a server on one loop."""


@dataclass(frozen=True, slots=True)
class CompletionArguments:
    """``batchproof completion``.

    Attributes:
        script: for the shell.
    """

    script: str


Arguments = Asking | LoadArguments | CompletionArguments


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def parse(argv: Sequence[str] | None, default_server: str, default_token: str = "") -> Arguments:
    """Parses a command line.

    Args:
        argv: None takes that of the process.
        default_server: asked where none is named.
        default_token: brought where no file is named.

    Raises:
        UsageError: it does not parse.
        SystemExit: help or the version was asked for, and is printed.
        LocalInputError: options contradict each other, or one does not parse.
    """
    parser = _parser(default_server)
    words = command_first(sys.argv[1:] if argv is None else argv, parser)
    parsed = parser.parse_args(words)
    if parsed.command == "completion":
        return CompletionArguments(completion_script(parser, parsed.shell))
    return _asked(parsed, server_of(parsed, default_token))


def _asked(parsed: argparse.Namespace, server: ServerArguments) -> Arguments:
    match parsed.command:
        case "predict":
            return PredictArguments(
                server=server,
                images=tuple(parsed.images),
                model=parsed.model,
                top_k=parsed.top_k,
                probabilities=parsed.probabilities,
                concurrency=parsed.concurrency,
                handles=parsed.handles,
                tta=tta_of(parsed),
            )
        case "diagnose":
            return DiagnoseArguments(server, diagnose_options(parsed))
        case "models":
            return ModelsArguments(server)
        case "load":
            compare = None if parsed.compare is None else tuple(parsed.compare)
            return LoadArguments(server, load=compare or settings_of(parsed))
        case "report-outcome":
            return ReportOutcomeArguments(server, outcomes=outcomes_of(parsed))
        case _:
            return StatusArguments(server, wait_s=parsed.wait)


def _parser(default_server: str) -> _Parser:
    parser = _Parser(
        prog="batchproof",
        description="Asks a batchproof server. Options may stand before or after the COMMAND; "
        "`batchproof COMMAND --help` lists them.",
    )
    parser.add_argument("--version", action="version", version=version("batchproof"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = _Parser(add_help=False)
    add_server_options(common, default_server)
    _add_predict(commands.add_parser("predict", parents=[common], help="classify pictures"))
    add_diagnose_options(
        commands.add_parser("diagnose", parents=[common], help="say why pictures get their answers")
    )
    commands.add_parser("models", parents=[common], help="list the models of the server")
    add_options(
        commands.add_parser(
            "load", parents=[common], help="send traffic and measure how the server stands it"
        )
    )
    add_outcome_options(
        commands.add_parser(
            "report-outcome", parents=[common], help="say what pictures really were"
        )
    )
    add_completion(commands)
    status = commands.add_parser(
        "status", parents=[common], help="say whether the server and its models are serving"
    )
    status.add_argument(
        "--wait",
        type=positive,
        default=0.0,
        metavar="SECONDS",
        help="wait until the server is serving",
    )
    return parser


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help='a file, a folder, a pattern ("shots/*.png"), or - for a picture on standard input',
    )
    parser.add_argument("--model", metavar="NAME[:VERSION|@LABEL]")
    parser.add_argument("--top-k", type=at_least_1, default=5, metavar="N", help="default 5")
    parser.add_argument(
        "--probabilities", action="store_true", help="show the probabilities of all classes"
    )
    parser.add_argument(
        "--concurrency", type=at_least_1, default=8, metavar="N", help="requests under way; 8"
    )
    parser.add_argument(
        "--handles",
        action="store_true",
        help="show the handle of each answer, for report-outcome; --json always has it",
    )
    add_tta_options(parser)
