"""The pictures of an evaluation: confusion matrix and reliability diagram. The only matplotlib.

Draws on figures of its own, without pyplot and its global state.
"""

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from batchproof_server.base.errors import cut
from batchproof_server.base.signature import Array
from batchproof_server.offline.evaluation.measures import Reliability
from batchproof_server.offline.evaluation.result import Evaluation

CONFUSION_NAME: Final = "confusion.png"
RELIABILITY_NAME: Final = "reliability.png"
MISSING: Final = (
    'matplotlib is not installed; --plots needs the extra: pip install ".[plots]" in the repository'
)

_MAX_COUNTED_CLASSES: Final = 25
_MAX_NAMED_CLASSES: Final = 60
_LABEL_CHARACTERS: Final = 24
_MOST_IN_FULL: Final = 10_000
_DOTS_PER_INCH: Final = 110
_DARK: Final = 0.55
_BLUE, _RED, _GREY, _PALE = "#1f5fa8", "#c0392b", "#666666", "#d8dde3"


def is_installed() -> bool:
    """Whether matplotlib is there; imports nothing."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(evaluation: Evaluation, directory: Path) -> tuple[Path, ...]:
    """Writes both pictures as PNG files, over older ones; of independent labels only the second.

    Args:
        evaluation: what is shown: the answers to single pictures.
        directory: there already.

    Returns:
        The files.

    Raises:
        OSError: a file cannot be written.
    """
    subject, path = evaluation.subject, evaluation.paths[0]
    title = f"{subject.model} version {subject.version}"
    share = f"{path.right} of {subject.pictures} right ({path.accuracy:.2%})"
    figures = {}
    if evaluation.confusion.size:
        figures[CONFUSION_NAME] = _confusion(
            evaluation.confusion, subject.labels, f"{title}: {share}"
        )
    calibration = f"{title}: ECE {path.ece:.4f}, NLL {path.nll:.4f} nats"
    figures[RELIABILITY_NAME] = _reliability(evaluation.reliability, calibration)
    for name, figure in figures.items():
        save(figure, directory / name)
    return tuple(directory / name for name in figures)


def save(figure: Any, file: Path) -> None:
    """Writes a figure as PNG, over an older file.

    Raises:
        OSError: it cannot be written.
    """
    with warnings.catch_warnings():
        # A label in a script that the font lacks is drawn as boxes; the report has it in full.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        # No version of matplotlib in the file: the same figures are the same bytes.
        figure.savefig(file, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})


def new_figure(width_inches: float, height_inches: float) -> Any:
    """An empty figure that has nothing to do with pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415 - an extra

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=(width_inches, height_inches), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _confusion(counts: Array, labels: tuple[str, ...], title: str) -> Any:
    """Rows are true classes; the colour is the share of the row, the number is the count."""
    classes = len(labels)
    side_inches = min(2.4 + 0.5 * classes, 14.0)
    figure = new_figure(side_inches + 1.0, side_inches)
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, format=lambda share, _: f"{share:.0%}")
    bar.set_label("share of the true class")
    axes.set(xlabel="answer", ylabel="true class")
    axes.set_title(title, fontsize=11, pad=12, parse_math=False)
    if classes <= _MAX_NAMED_CLASSES:
        _write_names(axes, [cut(label, _LABEL_CHARACTERS) for label in labels])
    if classes <= _MAX_COUNTED_CLASSES:
        _write_counts(axes, counts, shares)
    return figure


def _write_names(axes: Any, names: Sequence[str]) -> None:
    """The names of the classes at both sides, and lines between the cells."""
    places = range(len(names))
    style = {"fontsize": 10 if len(names) <= _MAX_COUNTED_CLASSES else 7, "parse_math": False}
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor", **style)
    axes.set_yticks(places, names, **style)
    for set_ticks in (axes.set_xticks, axes.set_yticks):
        set_ticks([place + 0.5 for place in places[:-1]], minor=True)
    axes.grid(which="minor", color=_PALE, linewidth=0.6)
    axes.tick_params(which="minor", length=0)


def _write_counts(axes: Any, counts: Array, shares: Array) -> None:
    for true, answer in np.argwhere(counts):
        axes.text(
            answer,
            true,
            str(counts[true, answer]),
            ha="center",
            va="center",
            fontsize=9,
            color="white" if shares[true, answer] > _DARK else "black",
        )


def _reliability(diagram: Reliability, title: str) -> Any:
    """Accuracy of each bin against its confidence above, how many pictures it holds below."""
    figure = new_figure(6.4, 6.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = len(diagram.pictures)
    width = 1 / bins
    middles = (np.arange(bins) + 0.5) * width
    full = diagram.pictures > 0
    above.plot((0, 1), (0, 1), linestyle="--", color=_GREY, label="confidence = accuracy")
    above.bar(
        middles[full],
        diagram.accuracy[full],
        width * 0.92,
        color=_BLUE,
        alpha=0.75,
        label="accuracy",
    )
    above.plot(
        diagram.confidence[full],
        diagram.accuracy[full],
        "o",
        color=_RED,
        markersize=5,
        clip_on=False,
        zorder=3,
        label="mean confidence of the bin",
    )
    above.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    above.set_title(title, fontsize=11, pad=28, parse_math=False)
    # Above the axes, where no bar can hide it.
    above.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=9)
    _histogram(below, middles, diagram.pictures, width)
    return figure


def _histogram(axes: Any, middles: Array, pictures: Array, width: float) -> None:
    bars = axes.bar(middles, pictures, width * 0.92, color=_GREY)
    axes.bar_label(bars, [_counted(count) for count in pictures], fontsize=8, padding=2)
    axes.set(xlabel="confidence", ylabel="pictures", ylim=(0, max(1, pictures.max()) * 1.2))


def _counted(count: int) -> str:
    """A count that fits above a bar; nothing for none."""
    if not count:
        return ""
    return str(count) if count < _MOST_IN_FULL else f"{count / 1000:.0f}k"
