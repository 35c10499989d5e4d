"""The chart of tried policies: what each corrects and corrupts, and accuracy against cost."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from batchproof_server.offline.evaluation.augmentation.result import AugmentationEvaluation
from batchproof_server.offline.evaluation.augmentation.verdict import Trial, p_text
from batchproof_server.offline.evaluation.plots import new_figure, save

CHART_NAME: Final = "tta.png"

_BLUE, _RED, _GREY = "#1f5fa8", "#c0392b", "#666666"
_MARKERS: Final = "osDv^<>Pp*hX"
_ROOM: Final = 1.3
_SHOWN_POINTS: Final = 8.0


def draw(evaluation: AugmentationEvaluation, directory: Path) -> Path:
    """Writes the chart as a PNG file, over an older one.

    Args:
        evaluation: what is shown.
        directory: there already.

    Raises:
        OSError: the file cannot be written.
    """
    trials = evaluation.trials
    figure = new_figure(12.0, 2.6 + 0.25 * len(trials))
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _draw_changes(left, trials)
    _draw_accuracy(right, evaluation)
    subject = evaluation.subject
    title = f"{subject.model} version {subject.version}, {subject.pictures} pictures"
    figure.suptitle(title, fontsize=11, parse_math=False)
    file = directory / CHART_NAME
    save(figure, file)
    return file


def _draw_changes(axes: Any, trials: Sequence[Trial]) -> None:
    """Corrected to the right, corrupted to the left, one line for each trial.

    The bars are as long as the square root, or a policy that ruins everything would hide the rest.
    """
    for place, trial in enumerate(trials):
        change = trial.change
        axes.barh(place, math.sqrt(change.corrected), color=_BLUE)
        axes.barh(place, -math.sqrt(change.corrupted), color=_RED)
        _write_count(axes, place, change.corrected, side=1)
        _write_count(axes, place, change.corrupted, side=-1)
    most = max(max(trial.change.corrected, trial.change.corrupted) for trial in trials)
    reach = _ROOM * math.sqrt(max(most, 1))
    axes.set(xlim=(-reach, reach), ylim=(len(trials) - 0.4, -0.6))
    axes.set_xticks([])
    axes.set_xlabel("pictures corrupted (left) and corrected (right), square root")
    names = [f"{trial.title} (p {p_text(trial.adjusted_p)})" for trial in trials]
    axes.set_yticks(range(len(trials)), names, fontsize=9, parse_math=False)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_title("what changes", fontsize=10)


def _write_count(axes: Any, place: int, count: int, *, side: int) -> None:
    axes.annotate(
        str(count),
        (side * math.sqrt(count), place),
        xytext=(3 * side, 0),
        textcoords="offset points",
        ha="left" if side > 0 else "right",
        va="center",
        fontsize=8,
    )


def _draw_accuracy(axes: Any, evaluation: AugmentationEvaluation) -> None:
    """Accuracy over views; a filled point is a difference that is significant.

    What lies far below the plain answers is drawn at the lower edge and named with its accuracy.
    """
    plain = 100 * evaluation.plain.figures.accuracy
    lowest = plain - _SHOWN_POINTS
    axes.axhline(plain, linestyle="--", color=_GREY, linewidth=1)
    axes.plot([1], [plain], "s", color=_GREY, label="plain")
    for aggregation, marker in zip(_aggregations(evaluation.trials), itertools.cycle(_MARKERS)):
        trials = [t for t in evaluation.trials if t.aggregation == aggregation]
        axes.scatter(
            [trial.cost.views for trial in trials],
            [max(lowest, 100 * trial.figures.accuracy) for trial in trials],
            marker=marker,
            s=46,
            facecolors=[_colour(trial) if _is_sure(trial) else "none" for trial in trials],
            edgecolors=[_colour(trial) for trial in trials],
        )
        axes.scatter([], [], marker=marker, s=46, c="none", edgecolors=_GREY, label=aggregation)
    _write_policies(axes, evaluation.trials, lowest)
    most = max(trial.cost.views for trial in evaluation.trials)
    axes.set_xlabel("views: rows that the model executes for a picture")
    axes.set_ylabel(f"accuracy, %; what is below {lowest:.1f} is shown there")
    axes.set_xlim(0.4, most + 0.8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.margins(y=0.15)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.set_title(
        "accuracy against cost; blue: more corrected than corrupted; filled: p < 0.05", fontsize=9
    )


def _write_policies(axes: Any, trials: Sequence[Trial], lowest: float) -> None:
    """The name of each policy above its best trial, with its accuracies if one is too low."""
    for name in dict.fromkeys(trial.policy for trial in trials):
        accuracies = [100 * t.figures.accuracy for t in trials if t.policy == name]
        views = next(trial.cost.views for trial in trials if trial.policy == name)
        best, worst = max(accuracies), min(accuracies)
        below = "" if worst > lowest else f"\n{worst:.0f} to {best:.0f} %"
        axes.annotate(
            name + below,
            (views, max(lowest, best)),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            parse_math=False,
        )


def _aggregations(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(trial.aggregation for trial in trials))


def _is_sure(trial: Trial) -> bool:
    return trial.is_gain or trial.is_harm


def _colour(trial: Trial) -> str:
    return _BLUE if trial.change.net >= 0 else _RED
