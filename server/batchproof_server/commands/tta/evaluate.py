"""``batchproof-server tta evaluate``: what test-time augmentation gains and costs."""

import asyncio
import re
from argparse import Namespace
from typing import Final

import numpy as np

from batchproof_server.base.errors import ModelRefused
from batchproof_server.commands.bars import show_bars
from batchproof_server.commands.certify.command import OK, USAGE
from batchproof_server.commands.evaluate.command import check_plots, tell_fault
from batchproof_server.commands.terminal import write, write_error
from batchproof_server.commands.tta.model import open_study
from batchproof_server.commands.tta.report import tta_report
from batchproof_server.offline.evaluation.augmentation import plots
from batchproof_server.offline.evaluation.augmentation.policies import (
    WantedTrials,
    plain_policy,
    tried_policies,
    view_warnings,
)
from batchproof_server.offline.evaluation.augmentation.result import (
    AugmentationEvaluation,
    evaluation_of,
)
from batchproof_server.offline.evaluation.augmentation.running import new_course
from batchproof_server.offline.evaluation.paths import EvaluationFailed

_BETWEEN_NAMES: Final = re.compile(r",(?![^(]*\))")


def tta_evaluate(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0 with a result, whatever it is; 1 when the model was refused or failed; 2 for wrong usage
        and for data that cannot be used.
    """
    try:
        thresholds = early_exit_thresholds(arguments.early_exit)
        check_plots(arguments.plots)
        evaluation = asyncio.run(_evaluate(arguments, thresholds))
    except (ModelRefused, EvaluationFailed, ValueError) as fault:
        return tell_fault(arguments.bundle, fault)
    return _tell(evaluation, arguments)


def early_exit_thresholds(text: str) -> tuple[float, ...]:
    """The thresholds of ``--early-exit``, each once and ascending; none for an empty text.

    Raises:
        ValueError: one is no number above 0 and up to 1.
    """
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    try:
        values = sorted({float(part) for part in parts})
    except ValueError:
        values = [-1.0]
    if not all(0 < value <= 1 for value in values):
        raise ValueError(f'--early-exit: "{text}", expected numbers above 0 and up to 1')
    return tuple(values)


def listed(text: str | None) -> tuple[str, ...] | None:
    """The names of a list with commas; a comma within parentheses separates numbers."""
    if text is None:
        return None
    return tuple(part.strip() for part in _BETWEEN_NAMES.split(text))


async def _evaluate(arguments: Namespace, thresholds: tuple[float, ...]) -> AugmentationEvaluation:
    async with open_study(arguments) as study:
        truth = np.array([picture.class_index for picture in study.pictures])
        wanted = WantedTrials(
            policies=listed(arguments.policies),
            views=listed(arguments.views),
            aggregations=listed(arguments.aggregations),
            seed=arguments.seed,
        )
        policies = tried_policies(study.choice, wanted)
        plain = new_course(plain_policy(study.choice), truth, study.choice.meaning)
        courses = [new_course(policy, truth, study.choice.meaning) for policy in policies]
        with show_bars(len(study.pictures)) as bars:
            count = bars.begin(f"plainly and with {len(courses)} policies")
            await study.runner(count).run(study.pictures, [plain, *courses])
        warnings = view_warnings(study.choice, policies)
        return evaluation_of(study.subject, plain, courses, thresholds, warnings)


def _tell(evaluation: AugmentationEvaluation, arguments: Namespace) -> int:
    write(evaluation.to_json() if arguments.json else tta_report(evaluation))
    if arguments.plots is not None:
        try:
            file = plots.draw(evaluation, arguments.plots)
        except OSError as fault:
            write_error(f"{arguments.plots}: cannot be written ({fault.strerror})")
            return USAGE
        if not arguments.json:
            write(f"  wrote         {file}")
    return OK
