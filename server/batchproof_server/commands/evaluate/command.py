"""``batchproof-server evaluate``: labelled pictures alone, in company and through Keras."""

import asyncio
import importlib
import sys
from argparse import Namespace
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from batchproof_server.application.config import Config, prepare_engines, read_config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.application.server import Server, compose
from batchproof_server.base.errors import ModelRefused
from batchproof_server.commands.bars import Bars, shown_bars
from batchproof_server.commands.certify.command import FINDINGS, OK, USAGE, only_bundle
from batchproof_server.commands.evaluate.report import evaluation_report
from batchproof_server.commands.terminal import ProgressLine, write, write_error
from batchproof_server.models.bundle import Bundle, read_bundle
from batchproof_server.models.discovery import Place
from batchproof_server.models.served import ServedModel
from batchproof_server.observing.logs import configure_logs, library_logs
from batchproof_server.offline.datasets.pictures import LabelledPicture, spread
from batchproof_server.offline.datasets.reading import read_labelled
from batchproof_server.offline.evaluation import plots
from batchproof_server.offline.evaluation.evaluating import Evaluator, served_recipe
from batchproof_server.offline.evaluation.paths import EvaluationFailed, Predict
from batchproof_server.offline.evaluation.result import Evaluation
from batchproof_server.rpc.fronts.grpc_aio.loopback import Loopback, connected
from batchproof_server.rpc.fronts.grpc_aio.server import PortUnavailable


def evaluate(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0 when single and batch agree, 1 when they do not or the model was refused, 2 for wrong
        usage and for data that cannot be used.
    """
    try:
        config = evaluation_config(arguments)
        sizes = batch_sizes(arguments.batch_sizes)
        place = only_bundle(arguments.bundle)
        pictures = chosen_pictures(arguments, place, config)
        check_plots(arguments.plots)
        prepare_engines()
        evaluation = asyncio.run(_evaluated(arguments, config, place, pictures, sizes))
    except (ModelRefused, EvaluationFailed, ValueError, PortUnavailable) as fault:
        return told_fault(arguments.bundle, fault)
    return _told(evaluation, arguments)


def told_fault(bundle: Path, fault: Exception) -> int:
    """Writes what ended an evaluation.

    Args:
        bundle: as it was given.
        fault: ``ModelRefused``, ``EvaluationFailed``, or what says that settings, data or paths
            cannot be used.

    Returns:
        The exit code.
    """
    if isinstance(fault, ModelRefused):
        write_error(f"{bundle}: REFUSED, {fault}")
        for finding in fault.findings:
            write_error(f"  {finding}")
        return FINDINGS
    write_error(str(fault))
    return FINDINGS if isinstance(fault, EvaluationFailed) else USAGE


def evaluation_config(arguments: Namespace) -> Config:
    """The server's configuration, on free ports of this machine and without transport security.

    Raises:
        InvalidSettings: with every fault and its path.
    """
    given = {"proof": {"allow_unproven": True}} if arguments.allow_unproven else {}
    config = read_config(arguments.config, given)
    here = replace(config.server, host="127.0.0.1", grpc_port=0, http_port=0, lame_duck_s=0.0)
    return replace(config, server=here, rpc=replace(config.rpc, tls=None), version_labels={})


def batch_sizes(text: str) -> tuple[int, ...]:
    """The sizes of ``--batch-sizes``, each once and ascending.

    Raises:
        ValueError: one is no whole number from 1, or none is above 1.
    """
    parts = [part.strip() for part in text.split(",")]
    sizes = sorted({int(part) for part in parts if part.isascii() and part.isdigit()})
    if not all(part.isascii() and part.isdigit() for part in parts) or sizes[0] < 1:
        raise ValueError(f'--batch-sizes: "{text}", expected whole numbers from 1, as in 1,2,8,32')
    if sizes[-1] == 1:
        raise ValueError("--batch-sizes: 1 alone compares nothing, expected a size above 1")
    return tuple(sizes)


def chosen_pictures(
    arguments: Namespace, place: Place, config: Config
) -> tuple[int, tuple[LabelledPicture, ...]]:
    """How many pictures there are, and those that take part.

    Raises:
        ValueError: the limit, the bundle or the data cannot be used.
    """
    if arguments.limit is not None and arguments.limit < 1:
        raise ValueError(f"--limit: {arguments.limit}, expected 1 or more")
    labels = read_bundle(place.name, place.version, place.directory).labels
    there = read_labelled(arguments.data, labels, config.images)
    return len(there), spread(there, arguments.limit)


def check_plots(directory: Path | None) -> None:
    """Finds out before the work what would spoil its end, and makes the directory.

    Raises:
        ValueError: nothing can be drawn, or not there.
    """
    if directory is None:
        return
    if not plots.is_installed():
        raise ValueError(plots.MISSING)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise ValueError(f"{directory}: cannot be made ({fault.strerror})") from fault


async def _evaluated(
    arguments: Namespace,
    config: Config,
    place: Place,
    pictures: tuple[int, tuple[LabelledPicture, ...]],
    sizes: tuple[int, ...],
) -> Evaluation:
    logger = configure_logs("error", config.log.format, sys.stderr)
    progress = ProgressLine(sys.stderr)
    # A refusal is told by this command, in its own words, and not by the log.
    server = compose(
        config,
        (place,),
        logger,
        plugs=lambda config, _: loading_plugs(config, progress),
        log_versions=False,
    )
    there, chosen = pictures
    with library_logs(logger):
        try:
            addresses = await server.open()
            await _load(server, place)
            model = server.versions.loaded()[0]
            served_recipe(model.loaded)
            with shown_bars(len(chosen)) as bars:
                async with connected(addresses.grpc) as channel:
                    logits = model.loaded.output.kind == "logits"
                    caller = Loopback(channel, place.name, place.version, logits=logits)
                    evaluator = _evaluator(model, caller, sizes, bars)
                    return await evaluator.evaluate(chosen, str(arguments.data), there)
        finally:
            await server.rpc.stop(0)
            server.close()


async def _load(server: Server, place: Place) -> None:
    if not await server.load():
        (status,) = server.versions.statuses()
        raise ModelRefused(
            f"{place.name} version {place.version} cannot be loaded", status.findings
        )


def _evaluator(
    model: ServedModel, caller: Loopback, sizes: tuple[int, ...], bars: Bars
) -> Evaluator:
    predict, reason = keras_predict(model.loaded.bundle)
    return Evaluator(
        model=model.loaded,
        ask=caller.predict,
        device=model.device,
        predict=predict,
        no_predict=reason,
        batch_sizes=sizes,
        begin=bars.begin,
    )


def keras_predict(bundle: Bundle) -> tuple[Predict | None, str]:
    """Keras' ``predict`` of the artefact as it was saved, without any repair.

    Returns:
        It, or why it is not available.
    """
    if bundle.backend != "keras":
        return None, f"not available: {bundle.artefact.name} is no .keras file"
    keras: Any = importlib.import_module("batchproof_server.backends.keras")
    try:
        model = keras.load_model(bundle.artefact)
    except ModelRefused as refused:
        return None, f"not available: {'; '.join(refused.findings) or refused}"
    return partial(keras.predict, model), ""


def _told(evaluation: Evaluation, arguments: Namespace) -> int:
    write(evaluation.to_json() if arguments.json else evaluation_report(evaluation))
    if arguments.plots is not None:
        try:
            files = plots.draw(evaluation, arguments.plots)
        except OSError as fault:
            write_error(f"{arguments.plots}: cannot be written ({fault.strerror})")
            return USAGE
        for file in [] if arguments.json else files:
            write(f"  wrote         {file}")
    return OK if evaluation.agrees else FINDINGS
