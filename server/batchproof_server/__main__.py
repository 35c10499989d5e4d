"""The command ``batchproof-server``."""

import argparse
import asyncio
import importlib.metadata
import importlib.util
import os
import sys
import threading
from pathlib import Path
from typing import Any

from batchproof_server.backends import plug_list
from batchproof_server.commands.profile.arguments import add_profile, spelled_out
from batchproof_server.commands.tta.arguments import add_tta

USAGE = 2
_THREAD_PATIENCE_S = 1.0
# What the bare install does not bring, and the extra "server" does.
_SERVER_PACKAGES = ("grpc_reflection", "PIL", "prometheus_client", "pydantic", "structlog")


def main(argv: list[str] | None = None) -> int:
    """Runs the command.

    Returns:
        The exit code: 0 for an orderly end, 1 for a failure, 2 for wrong usage.
    """
    arguments = _parser().parse_args(spelled_out(sys.argv[1:] if argv is None else argv))
    missing = [name for name in _SERVER_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return _usage(
            f"{', '.join(missing)} not installed; the server needs the extra: "
            'pip install "batchproof[cpu]" (or [server] without TensorFlow)'
        )
    return _COMMANDS[arguments.command](arguments)


def _certify(arguments: argparse.Namespace) -> int:
    from batchproof_server.commands.certify.command import certify  # noqa: PLC0415 - as below

    return certify(arguments)


def _repair(arguments: argparse.Namespace) -> int:
    from batchproof_server.commands.repair.command import repair  # noqa: PLC0415 - as below

    return repair(arguments)


def _evaluate(arguments: argparse.Namespace) -> int:
    from batchproof_server.commands.evaluate.command import evaluate  # noqa: PLC0415 - as below

    return evaluate(arguments)


def _profile(arguments: argparse.Namespace) -> int:
    from batchproof_server.commands.profile.command import profile  # noqa: PLC0415 - as below

    return profile(arguments)


def _tta(arguments: argparse.Namespace) -> int:
    from batchproof_server.commands.tta.evaluate import tta_evaluate  # noqa: PLC0415 - as below
    from batchproof_server.commands.tta.fit import tta_fit  # noqa: PLC0415 - as below

    return {"evaluate": tta_evaluate, "fit": tta_fit}[arguments.action](arguments)


def _serve(arguments: argparse.Namespace) -> int:
    # Imported here, so that a bare install gets the sentence above instead of an ImportError.
    from batchproof_server.application import config as configuration  # noqa: PLC0415
    from batchproof_server.application.process import run  # noqa: PLC0415
    from batchproof_server.application.server import compose  # noqa: PLC0415
    from batchproof_server.models.discovery import discover  # noqa: PLC0415
    from batchproof_server.observing.logs import configure_logs, library_logs  # noqa: PLC0415
    from batchproof_server.rpc.fronts.grpc_aio.server import PortUnavailable  # noqa: PLC0415

    try:
        config = configuration.read_config(arguments.config, _flags(arguments))
        places = discover(arguments.path)
        logger = configure_logs(config.log.level, config.log.format, sys.stderr)
        server = compose(config, places, logger)
    except ValueError as fault:  # settings, or a path that holds nothing to serve
        return _usage(str(fault))
    configuration.prepare_engines()
    with library_logs(logger):
        try:
            code = asyncio.run(run(server, sys.stdout))
        except PortUnavailable as fault:
            code = _usage(str(fault))
    _leave_busy_threads(code)
    return code


def _leave_busy_threads(code: int) -> None:
    """Ends the process now if a thread is still at work that nothing can interrupt.

    Such as TensorFlow loading a model when SIGTERM came, or an execution that outlasted the grace.
    The interpreter would wait for it before it ends.
    """
    # Idle threads of the pools end at once; 1 s is for a machine under load.
    others = [t for t in threading.enumerate() if t is not threading.current_thread()]
    for thread in others:
        if not thread.daemon:
            thread.join(_THREAD_PATIENCE_S)
            if thread.is_alive():
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)


def _usage(text: str) -> int:
    for line in text.splitlines():
        sys.stderr.write(f"batchproof-server: {line}\n")
    return USAGE


def _flags(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What was given on the command line, as sections of the configuration."""
    given = {
        ("server", "host"): arguments.host,
        ("server", "grpc_port"): arguments.grpc_port,
        ("server", "http_port"): arguments.http_port,
        ("proof", "allow_unproven"): arguments.allow_unproven,
        ("log", "level"): arguments.log_level,
        ("log", "format"): arguments.log_format,
    }
    flags: dict[str, dict[str, Any]] = {}
    for (section, key), value in given.items():
        if value is not None:
            flags.setdefault(section, {})[key] = value
    return flags


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="batchproof-server",
        description="Serves image classifiers over gRPC: one image, one answer.",
    )
    parser.add_argument(
        "--version", action="version", version=importlib.metadata.version("batchproof")
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_certify(commands)
    _add_repair(commands)
    _add_evaluate(commands)
    add_profile(commands)
    add_tta(commands)
    return parser


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve",
        help="serve a bundle or a repository of models",
        description="Serves PATH until SIGTERM or Ctrl-C; what was accepted is finished first. "
        "The first line on standard output is a JSON object with the addresses.",
    )
    serve.add_argument(
        "path", type=Path, metavar="PATH", help="a bundle, or <model>/<integer version>/ folders"
    )
    serve.add_argument("--host", help="address to listen on (127.0.0.1)")
    serve.add_argument("--grpc-port", type=int, help="0 takes a free one (8500)")
    serve.add_argument(
        "--http-port", type=int, help="metrics and probes; 0 takes a free one (8080)"
    )
    serve.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML")
    serve.add_argument(
        "--allow-unproven",
        action="store_const",
        const=True,
        help="serve models that fail their proof; never what is not safe to load",
    )
    serve.add_argument("--log-level", choices=("debug", "info", "warning", "error"))
    serve.add_argument("--log-format", choices=("json", "console"))


def _add_certify(commands: Any) -> None:
    certify = commands.add_parser(
        "certify",
        help="prove one bundle and print its certificate",
        description="Audits, repairs in memory, compiles and probes BUNDLE. Exits with 0 and a "
        "certificate, with 1 and findings, or with 2 for wrong usage.",
    )
    certify.add_argument("bundle", type=Path, metavar="BUNDLE", help="the directory of one version")
    certify.add_argument("--json", action="store_true", help="print the certificate as JSON")
    certify.add_argument(
        "--engine", choices=tuple(plug_list.ENGINES), help="expect this engine (the artefact's own)"
    )
    certify.add_argument(
        "--consistency", choices=("strict", "tolerant"), help="which buckets may be served (strict)"
    )
    certify.add_argument(
        "--write", action="store_true", help="keep the certificate in the bundle for `serve`"
    )
    certify.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML")


def _add_repair(commands: Any) -> None:
    repair = commands.add_parser(
        "repair",
        help="write a bundle that is in inference mode for good",
        description="Writes a copy of BUNDLE whose .keras file is mended for any server, proves it "
        "and keeps its certificate there. Never overwrites.",
    )
    repair.add_argument("bundle", type=Path, metavar="BUNDLE", help="the directory of one version")
    repair.add_argument(
        "-o", "--out", type=Path, metavar="OUT", required=True, help="a new directory"
    )
    repair.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML")


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="compare single pictures, batches and Keras on labelled data",
        description="Serves BUNDLE and answers the same labelled pictures one at a time over gRPC, "
        "in batches, and through Keras' predict. Exits with 0 when single and batch agree bit for "
        "bit, with 1 when they do not, or with 2 for wrong usage.",
    )
    evaluate.add_argument(
        "bundle", type=Path, metavar="BUNDLE", help="the directory of one version"
    )
    evaluate.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        required=True,
        help="a folder <class>/<pictures>, or an .npz file with images and labels",
    )
    evaluate.add_argument(
        "--limit", type=int, metavar="N", help="take N pictures, spread evenly (all)"
    )
    evaluate.add_argument(
        "--batch-sizes", default="1,2,8,32", metavar="N,N", help="pictures together (1,2,8,32)"
    )
    evaluate.add_argument("--json", action="store_true", help="print the result as JSON")
    evaluate.add_argument(
        "--plots", type=Path, metavar="DIR", help="write confusion.png and reliability.png"
    )
    evaluate.add_argument(
        "--allow-unproven", action="store_true", help="evaluate a model that fails its proof"
    )
    evaluate.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML")


_COMMANDS = {
    "serve": _serve,
    "certify": _certify,
    "repair": _repair,
    "evaluate": _evaluate,
    "profile": _profile,
    "tta": _tta,
}


if __name__ == "__main__":
    sys.exit(main())
