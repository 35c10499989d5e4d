"""What test-time augmentation gains and costs, as a few tables for people."""

from collections.abc import Iterator
from typing import Final

from batchproof.text import joined
from batchproof_server.commands.tables import table
from batchproof_server.offline.evaluation.augmentation.figures import Figures
from batchproof_server.offline.evaluation.augmentation.result import (
    AugmentationEvaluation,
    PolicyDetail,
    is_recommended,
)
from batchproof_server.offline.evaluation.augmentation.verdict import Cost, Trial, p_text
from batchproof_server.offline.evaluation.result import EvaluatedModel
from batchproof_server.tta.policies import NONE

_TRIALS: Final = (
    "policy", "aggregation", "views", "right", "accuracy", "corrected", "corrupted",
    "p", "p, Holm", "NLL", "ECE", "time", "x plain", "",
)  # fmt: skip
_VIEWS: Final = (
    "policy", "view", "alone: right", "accuracy",
    "all but it: right", "accuracy", "it corrects", "it corrupts",
)  # fmt: skip
_EXITS: Final = (
    "policy", "threshold", "stop at one view", "accuracy", "corrected", "corrupted",
    "answers unlike all views", "views", "time up to",
)  # fmt: skip


def tta_report(evaluation: AugmentationEvaluation) -> str:
    """Recommendation, what was evaluated, trials, views, early exit; no line break at the end."""
    subject, chosen = evaluation.subject, evaluation.recommendation
    said = chosen.policy if chosen.policy == NONE else f"{chosen.policy}, {chosen.aggregation}"
    lines = [
        f"{subject.model} version {subject.version}: RECOMMENDED {said}",
        f"  because       {chosen.why}",
        *subject_lines(subject),
        "",
        *table([_TRIALS, *_trials(evaluation)], left=2),
        "",
        *_details(evaluation.details),
        "  Corrected and corrupted are compared with the plain answers; p is McNemar's, exact and",
        "  two-sided. NLL in nats. Time is that of one picture alone, the median.",
        *(f"  WARNING: {warning}" for warning in evaluation.warnings),
    ]
    return joined(lines)


def subject_lines(subject: EvaluatedModel) -> Iterator[str]:
    """The data, the model, the certificate and the engine."""
    taken = f"{subject.pictures} of {subject.pictures_there} pictures"
    yield f"  data          {subject.data}: {taken}, {len(subject.labels)} classes"
    yield f"  model         {subject.model_digest}"
    certificate = f"{subject.verdict}, {subject.consistency}, {subject.certificate_digest}"
    yield f"  certificate   {certificate}"
    yield f"  engine        {subject.engine}"


def _trials(evaluation: AugmentationEvaluation) -> Iterator[tuple[str, ...]]:
    plain = evaluation.plain
    yield (
        NONE,
        "-",
        "1",
        *_accuracy(plain.figures),
        *("" for _ in range(4)),
        *_calibration(plain.figures),
        *_time(plain.cost),
        "",
    )
    for trial in evaluation.trials:
        chosen = is_recommended(trial, evaluation.recommendation)
        yield (*_trial(trial), "recommended" if chosen else _verdict(trial))


def _trial(trial: Trial) -> tuple[str, ...]:
    return (
        trial.policy,
        trial.aggregation,
        str(trial.cost.views),
        *_accuracy(trial.figures),
        str(trial.change.corrected),
        str(trial.change.corrupted),
        p_text(trial.change.p_value),
        p_text(trial.adjusted_p),
        *_calibration(trial.figures),
        *_time(trial.cost),
    )


def _verdict(trial: Trial) -> str:
    if trial.is_gain:
        return "gain"
    return "HARM" if trial.is_harm else "no difference shown"


def _accuracy(figures: Figures) -> tuple[str, str]:
    return str(figures.right), f"{figures.accuracy:.2%}"


def _calibration(figures: Figures) -> tuple[str, str]:
    return f"{figures.nll:.4f}", f"{figures.ece:.4f}"


def _time(cost: Cost) -> tuple[str, str]:
    return _milliseconds(cost.picture_s), f"{cost.ratio:.2f}"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


def _details(details: tuple[PolicyDetail, ...]) -> Iterator[str]:
    views = [row for detail in details for row in _views(detail)]
    exits = [row for detail in details for row in _exits(detail)]
    aggregation = details[0].aggregation
    if views:
        yield f"  View by view, {aggregation}:"
        yield from table([_VIEWS, *views], left=2)
        yield ""
    if exits:
        yield f"  Early exit, {aggregation}, when the plain answer is as sure as the threshold:"
        yield from table([_EXITS, *exits])
        yield ""


def _views(detail: PolicyDetail) -> Iterator[tuple[str, ...]]:
    for effect in detail.views:
        yield (
            detail.policy,
            effect.view,
            *_accuracy(effect.alone),
            *_accuracy(effect.without),
            str(effect.gain.corrected),
            str(effect.gain.corrupted),
        )


def _exits(detail: PolicyDetail) -> Iterator[tuple[str, ...]]:
    for point in detail.early_exit:
        yield (
            detail.policy,
            f"{point.threshold:g}",
            f"{point.stopped_share:.2%}",
            f"{point.accuracy:.2%}",
            str(point.change.corrected),
            str(point.change.corrupted),
            str(point.other_answers),
            f"{point.views:.2f}",
            _milliseconds(point.picture_s),
        )
