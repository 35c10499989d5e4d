"""``batchproof-server evaluate``: labelled pictures alone, in batches and through Keras."""

import asyncio
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from batchproof_server.application.config import Config, prepare_engines, read_config
from batchproof_server.backends.artefact import LayeredKind
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.spread import spread
from batchproof_server.commands.bars import show_bars
from batchproof_server.commands.certify.command import FINDINGS, OK, USAGE, only_bundle
from batchproof_server.commands.evaluate.recipe_check import check_recipe
from batchproof_server.commands.evaluate.report import evaluation_report
from batchproof_server.commands.opening import LimitedKeras, open_within
from batchproof_server.commands.serving import serve_version
from batchproof_server.commands.terminal import write, write_error
from batchproof_server.models.bundle import Bundle, read_bundle
from batchproof_server.models.discovery import Place
from batchproof_server.offline.datasets.pictures import LabelledPicture
from batchproof_server.offline.datasets.reading import read_labelled
from batchproof_server.offline.evaluation import plots
from batchproof_server.offline.evaluation.evaluating import Evaluator, served_recipe
from batchproof_server.offline.evaluation.paths import EvaluationFailed
from batchproof_server.offline.evaluation.result import Evaluation


def evaluate(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0 when single and batch agree, 1 when they do not or the model was refused, 2 for wrong
        usage and for data that cannot be used.
    """
    try:
        config = offline_config(arguments)
        sizes = batch_sizes(arguments.batch_sizes)
        place = only_bundle(arguments.bundle)
        pictures = choose_pictures(arguments, place, config)
        check_plots(arguments.plots)
        prepare_engines()
        evaluation = asyncio.run(_evaluate(arguments, config, place, pictures, sizes))
    except (ModelRefused, EvaluationFailed, ValueError) as fault:
        return tell_fault(arguments.bundle, fault)
    return _tell(evaluation, arguments)


def tell_fault(bundle: Path, fault: Exception) -> int:
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


def offline_config(arguments: Namespace) -> Config:
    """The server's configuration, with what was given on the command line.

    Raises:
        InvalidSettings: with every fault and its path.
    """
    given = {"proof": {"allow_unproven": True}} if arguments.allow_unproven else {}
    return read_config(arguments.config, given)


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


def choose_pictures(
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


async def _evaluate(
    arguments: Namespace,
    config: Config,
    place: Place,
    pictures: tuple[int, tuple[LabelledPicture, ...]],
    sizes: tuple[int, ...],
) -> Evaluation:
    there, chosen = pictures
    async with serve_version(config, place) as serving:
        served_recipe(serving.model.loaded)
        with show_bars(len(chosen)) as bars:
            source, reason = open_keras(serving.model.loaded.bundle, config)
            evaluator = Evaluator(
                served=serving.model,
                predict=serving.core.predict,
                keras_predict=None if source is None else source.predict,
                no_keras_predict=reason,
                batch_sizes=sizes,
                begin=bars.begin,
            )
            evaluation = await evaluator.evaluate(chosen, str(arguments.data), there)
            if arguments.no_recipe_search:
                return evaluation
            check = await check_recipe(serving, config, chosen, evaluation.subject, bars)
            return replace(evaluation, recipe_check=check)


def open_keras(bundle: Bundle, config: Config) -> tuple[LimitedKeras | None, str]:
    """The artefact as it was saved, opened by Keras, without any repair.

    Args:
        bundle: that was loaded with these settings.
        config: how engines use the machine, and how long they may take.

    Returns:
        It, or why it is not available.
    """
    kind = bundle.kind
    if not isinstance(kind, LayeredKind):
        return None, f"not available: {bundle.artefact.name} is no .keras file"
    try:
        file = bundle.artefact
        source = open_within(config, file.name, lambda: kind.open(file, config.engine))
        return LimitedKeras(source, config), ""
    except ModelRefused as refused:
        return None, f"not available: {'; '.join(refused.findings) or refused}"


def _tell(evaluation: Evaluation, arguments: Namespace) -> int:
    report = evaluation_report(evaluation, verbose=arguments.verbose)
    write(evaluation.to_json() if arguments.json else report)
    check = evaluation.recipe_check
    if check is not None and check.is_beaten:
        write_error(f"warning: the manifest's recipe is {check.note}")
    if arguments.plots is not None:
        try:
            files = plots.draw(evaluation, arguments.plots)
        except OSError as fault:
            write_error(f"{arguments.plots}: cannot be written ({fault.strerror})")
            return USAGE
        for file in [] if arguments.json else files:
            write(f"  wrote         {file}")
    return OK if evaluation.agrees else FINDINGS
