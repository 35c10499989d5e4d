"""``batchproof-server serve``: from the command line to a running server and its exit code."""

import asyncio
import os
import sys
import threading
from argparse import Namespace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from batchproof.text import joined
from batchproof_server.application.config import prepare_engines, read_config
from batchproof_server.application.process import run
from batchproof_server.application.server import Server, compose
from batchproof_server.application.sources import read_sources
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import PrivateDirectory
from batchproof_server.base.listener import PortUnavailable
from batchproof_server.commands.serve.model_file import served_path, what_pack_would_add
from batchproof_server.commands.terminal import write_error
from batchproof_server.models.looking import Sources
from batchproof_server.observing.engine_lines import engine_lines_apart
from batchproof_server.observing.library_logs import capture_library_logs
from batchproof_server.observing.log_outlet import LogOutlet
from batchproof_server.observing.logs import Logger, LogObserver, configure_logs, say_lost
from batchproof_server.rpc.fronts.choosing import loop_of
from batchproof_server.rpc.settings import FrontName

USAGE: Final = 2
_THREAD_PATIENCE_S: Final = 1.0


def serve(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0 for an orderly end, 1 for a failure, 2 for wrong usage.
    """
    scratch = PrivateDirectory()
    try:
        return _serve(arguments, scratch)
    finally:
        scratch.close()


def _serve(arguments: Namespace, scratch: PrivateDirectory) -> int:
    try:
        path = None if arguments.path is None else served_path(arguments.path, scratch)
        reread = partial(_sources, arguments, path)
        config = read_config(arguments.config, _flags(arguments))
        found = reread().look()
        places = tuple(each.place for each in found.versions.values())
    except ModelRefused as refused:
        write_error(joined(refused.findings or (str(refused),)))
        return USAGE
    except (ValueError, OSError) as fault:  # settings, or a path that holds nothing to serve
        write_error(str(fault))
        return USAGE
    prepare_engines()
    # The processes of the devices inherit what takes the lines of engines.
    with (
        engine_lines_apart(as_json=config.log.format == "json"),
        LogOutlet(sys.stderr.fileno(), partial(say_lost, config.log.format)) as lines,
    ):
        logger = configure_logs(config.log.level, config.log.format, lines)
        logger.info("starting", batchproof=version("batchproof"), process_id=os.getpid())
        if path is not None and (hint := what_pack_would_add(arguments.path, places)):
            logger.info("no manifest", detail=hint)
        try:
            server = compose(config, places, LogObserver(logger, lines.counts), reread=reread)
        except (ValueError, OSError) as fault:
            write_error(str(fault))
            return USAGE
        code = _run(server, config.server.front, logger)
    scratch.close()
    _leave_busy_threads(code)
    return code


def _run(server: Server, front: FrontName, logger: Logger) -> int:
    with capture_library_logs(logger):
        try:
            with asyncio.Runner(loop_factory=loop_of(front)) as runner:
                code = runner.run(run(server, sys.stdout, logger))
        except PortUnavailable as fault:
            write_error(str(fault))
            code = USAGE
        logger.info("stopped", exit_code=code)
    return code


def _sources(arguments: Namespace, path: Path | None) -> Sources:
    """Where versions lie and what is wanted of them, as it is written now."""
    return read_sources(read_config(arguments.config, _flags(arguments)), path)


def _flags(arguments: Namespace) -> dict[str, dict[str, Any]]:
    """What was given on the command line, as sections of the configuration."""
    given = {
        ("server", "host"): arguments.host,
        ("server", "grpc_port"): arguments.grpc_port,
        ("server", "http_port"): arguments.http_port,
        ("repository", "model_config_file"): arguments.model_config_file,
        ("repository", "poll_s"): arguments.poll_s,
        ("management", "enabled"): None if arguments.management_port is None else True,
        ("management", "port"): arguments.management_port,
        ("web", "port"): arguments.web_port,
        ("web", "enabled"): None if arguments.web_port is None else True,
        ("proof", "allow_unproven"): arguments.allow_unproven,
        ("log", "level"): arguments.log_level,
        ("log", "format"): arguments.log_format,
    }
    flags: dict[str, dict[str, Any]] = {}
    for (section, key), value in given.items():
        if value is not None:
            flags.setdefault(section, {})[key] = value
    return flags


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
