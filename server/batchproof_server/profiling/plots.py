"""The pictures of a profile: one histogram for each signal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from batchproof_server.drift.profile import Profile, SignalReference
from batchproof_server.evaluation.plots import new_figure, save

_BLUE, _GREY = "#1f5fa8", "#666666"
_LABEL_CHARACTERS: Final = 16


def draw(profile: Profile, directory: Path) -> tuple[Path, ...]:
    """Writes ``<signal>.png`` for each signal, over older ones.

    Args:
        profile: what is shown.
        directory: there already.

    Returns:
        The files.

    Raises:
        OSError: a file cannot be written.
    """
    files = []
    for name, figure in _figures(profile):
        file = directory / f"{name}.png"
        save(figure, file)
        files.append(file)
    return tuple(files)


def _figures(profile: Profile) -> Iterator[tuple[str, Any]]:
    yield "class", _classes(profile)
    for name, signal in profile.signals.items():
        yield name, _signal(name, signal)


def _classes(profile: Profile) -> Any:
    figure = new_figure(6.4, 4.0)
    axes = figure.add_subplot()
    labels = [_shortened(label) for label in profile.class_bin_labels]
    shares = np.array(profile.class_counts) / profile.pictures
    axes.bar(range(len(shares)), shares, color=_BLUE)
    axes.set_xticks(range(len(shares)), labels, rotation=45, ha="right", parse_math=False)
    axes.set(ylabel="share of the answers", title=f"class: {profile.pictures:,} pictures")
    return figure


def _signal(name: str, signal: SignalReference) -> Any:
    """Bins as wide as they are: the height is the density, the area the share."""
    figure = new_figure(6.4, 3.6)
    axes = figure.add_subplot()
    borders = np.array([signal.min, *signal.edges, signal.max])
    borders = np.maximum.accumulate(np.clip(borders, signal.min, signal.max))
    widths = np.diff(borders)
    shares = np.array(signal.counts) / sum(signal.counts)
    # An atom has no width; it is drawn as wide as a hundredth of the range.
    least = max((signal.max - signal.min) / 100, 1e-9)
    shown = np.maximum(widths, least)
    axes.bar(borders[:-1], shares / shown, shown, align="edge", color=_BLUE, edgecolor="white")
    mean = f"mean {signal.mean:.4g}"
    axes.axvline(signal.mean, color=_GREY, linestyle="--", label=mean)
    axes.legend(frameon=False)
    axes.set(xlabel=name, ylabel="density", title=f"{name}: {sum(signal.counts):,} observations")
    return figure


def _shortened(label: str) -> str:
    return label if len(label) <= _LABEL_CHARACTERS else label[: _LABEL_CHARACTERS - 1] + "…"
