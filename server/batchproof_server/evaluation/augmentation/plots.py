"""The chart of tried policies: what each corrects and corrupts, and accuracy against cost."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from batchproof_server.evaluation.augmentation.result import AugmentationEvaluation
from batchproof_server.evaluation.augmentation.verdict import Trial
from batchproof_server.evaluation.plots import blank_figure, save

CHART_NAME: Final = "tta.png"

_BLUE, _RED, _GREY = "#1f5fa8", "#c0392b", "#666666"
_ROOM: Final = 1.25


def draw(evaluation: AugmentationEvaluation, directory: Path) -> Path:
    """Writes the chart as a PNG file, over an older one.

    Args:
        evaluation: what is shown.
        directory: there already.

    Raises:
        OSError: the file cannot be written.
    """
    trials = evaluation.trials
    figure = blank_figure(12.0, 2.6 + 0.38 * len(trials))
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
    """Corrected to the right, corrupted to the left, one line for each trial."""
    places = range(len(trials))
    corrected = axes.barh(places, [trial.change.corrected for trial in trials], color=_BLUE)
    corrupted = axes.barh(places, [-trial.change.corrupted for trial in trials], color=_RED)
    axes.bar_label(corrected, [str(t.change.corrected) for t in trials], padding=3, fontsize=8)
    axes.bar_label(corrupted, [str(t.change.corrupted) for t in trials], padding=3, fontsize=8)
    most = max(1, *(max(trial.change.corrected, trial.change.corrupted) for trial in trials))
    axes.set(xlim=(-_ROOM * most, _ROOM * most), xlabel="pictures: corrupted | corrected")
    axes.xaxis.set_major_formatter(lambda count, _: f"{abs(count):.0f}")
    names = [f"{trial.title} ({_mark(trial)})" for trial in trials]
    axes.set_yticks(places, names, fontsize=9, parse_math=False)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_title("what changes", fontsize=10)


def _mark(trial: Trial) -> str:
    return f"p {trial.adjusted_p:.2g}"


def _draw_accuracy(axes: Any, evaluation: AugmentationEvaluation) -> None:
    """Accuracy over views; a filled point is a difference that is significant."""
    plain = evaluation.plain.figures.accuracy
    axes.axhline(100 * plain, linestyle="--", color=_GREY, linewidth=1)
    axes.plot([1], [100 * plain], "s", color=_GREY, label="plain")
    for aggregation, marker in zip(_aggregations(evaluation.trials), "osDv^<>Pp", strict=False):
        trials = [t for t in evaluation.trials if t.aggregation == aggregation]
        axes.scatter(
            [trial.cost.views for trial in trials],
            [100 * trial.figures.accuracy for trial in trials],
            marker=marker,
            s=46,
            facecolors=[_colour(trial) if _is_sure(trial) else "none" for trial in trials],
            edgecolors=[_colour(trial) for trial in trials],
            label=aggregation,
        )
    _write_policies(axes, evaluation.trials)
    most = max(trial.cost.views for trial in evaluation.trials)
    axes.set(xlabel="views: rows that the model executes for a picture", ylabel="accuracy, %")
    axes.set_xlim(0.4, most + 0.8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.margins(y=0.18)
    axes.legend(fontsize=8, frameon=False, loc="best")
    axes.set_title("accuracy against cost; filled: p < 0.05", fontsize=10)


def _write_policies(axes: Any, trials: Sequence[Trial]) -> None:
    """The name of each policy above its best trial."""
    best: dict[str, Trial] = {}
    for trial in sorted(trials, key=lambda trial: trial.figures.accuracy):
        best[trial.policy] = trial
    for name, trial in best.items():
        axes.annotate(
            name,
            (trial.cost.views, 100 * trial.figures.accuracy),
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
