"""``batchproof-server tta fit``: weights of a policy's views, from labelled pictures."""

import asyncio
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from batchproof.text import joined
from batchproof_server.base.errors import ModelRefused
from batchproof_server.commands.bars import show_bars
from batchproof_server.commands.certify.command import OK, USAGE
from batchproof_server.commands.evaluate.command import tell_fault
from batchproof_server.commands.tables import table
from batchproof_server.commands.terminal import write, write_error
from batchproof_server.commands.tta.model import open_study
from batchproof_server.commands.tta.report import subject_lines
from batchproof_server.offline.evaluation.augmentation.fitting import (
    Fitter,
    Judged,
    WeightsFit,
    split,
)
from batchproof_server.offline.evaluation.augmentation.policies import fit_plan
from batchproof_server.offline.evaluation.augmentation.verdict import p_sentence, p_text
from batchproof_server.offline.evaluation.paths import EvaluationFailed
from batchproof_server.tta.weights import WEIGHTS_NAME

_HEADINGS: Final = (
    "answers", "right", "accuracy", "corrected", "corrupted", "p", "NLL", "ECE",
)  # fmt: skip


def tta_fit(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0 with weights written; 1 when the model was refused or failed; 2 for wrong usage and for
        data that cannot be used.
    """
    out: Path = arguments.out or arguments.bundle / WEIGHTS_NAME
    try:
        _check(arguments.held_out, out)
        found = asyncio.run(_fit(arguments))
    except (ModelRefused, EvaluationFailed, ValueError) as fault:
        return tell_fault(arguments.bundle, fault)
    return _tell(found, out, as_json=arguments.json)


def _check(held_out: float, out: Path) -> None:
    """Finds out before the work what would spoil its end.

    Raises:
        ValueError: the share is none, or the file is there already or cannot be made.
    """
    if not 0 < held_out < 1:
        raise ValueError(f"--held-out: {held_out:g}, expected above 0 and below 1")
    if out.exists() or out.is_symlink():
        raise ValueError(f"{out}: exists already, expected a new file")
    if not out.parent.is_dir():
        raise ValueError(f"{out}: cannot be written, {out.parent} is no directory")


async def _fit(arguments: Namespace) -> WeightsFit:
    async with open_study(arguments) as study:
        plan = fit_plan(study.choice, arguments.policy, arguments.seed)
        parts = split(study.pictures, arguments.held_out, arguments.split_seed)
        with show_bars(len(study.pictures)) as bars:
            fitter = Fitter(plan, study.runner, bars.begin)
            return await fitter.fit(parts, study.subject, arguments.split_seed)


def _tell(found: WeightsFit, out: Path, *, as_json: bool) -> int:
    try:
        with out.open("x", encoding="utf-8") as stream:
            stream.write(found.weights.to_json())
    except OSError as fault:
        write_error(f"{out}: cannot be written ({fault.strerror})")
        return USAGE
    write(found.to_json() if as_json else fit_report(found))
    if not as_json:
        write(f"  wrote         {out}")
    return OK


def fit_report(found: WeightsFit) -> str:
    """The weights and what they do on held-out pictures; no line break at the end."""
    weights, change = found.weights, found.against_mean
    said = "BETTER" if found.is_better else "NOT BETTER"
    title = f"{found.subject.model} version {found.subject.version}"
    before, after = weights.loss_before_nats, weights.loss_after_nats
    losses = f"NLL {before:.4f} with equal weights, {after:.4f} with these"
    changed = f"corrects {change.corrected}, corrupts {change.corrupted}"
    pairs = zip(weights.views, weights.weights, strict=True)
    lines = [
        f"{title}: weights of {weights.policy}, {said} than equal ones on held-out pictures",
        *subject_lines(found.subject),
        f"  fitted on     {weights.rows} pictures: {losses}",
        f"  method        {weights.method}",
        f"  digest        {weights.digest}",
        "",
        *table([("view", "weight"), *((view, f"{weight:.4f}") for view, weight in pairs)]),
        "",
        f"  {found.held_out_pictures} held-out pictures:",
        *table([_HEADINGS, *_rows(found.judged)]),
        "",
        f"  Against equal weights: {changed}, {p_sentence(change.p_value)}. NLL in nats.",
    ]
    return joined(lines)


def _rows(judged: tuple[Judged, ...]) -> Iterator[tuple[str, ...]]:
    for each in judged:
        figures, change = each.figures, each.change
        changes = (str(change.corrected), str(change.corrupted), p_text(change.p_value))
        yield (
            each.answers,
            str(figures.right),
            f"{figures.accuracy:.2%}",
            *(("", "", "") if each.answers == "plain" else changes),
            f"{figures.nll:.4f}",
            f"{figures.ece:.4f}",
        )
