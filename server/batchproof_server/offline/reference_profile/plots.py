"""The pictures of a profile: one histogram for each signal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from batchproof_server.base.errors import cut
from batchproof_server.base.signature import Array
from batchproof_server.drift.profile import ReferenceProfile, SignalReference
from batchproof_server.offline.evaluation.plots import new_figure, save

_BLUE, _GREY = "#1f5fa8", "#666666"
_LABEL_CHARACTERS: Final = 16
_MOST_BARS: Final = 100
_STEEP: Final = 30.0


def draw(profile: ReferenceProfile, directory: Path) -> tuple[Path, ...]:
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


def _figures(profile: ReferenceProfile) -> Iterator[tuple[str, Any]]:
    yield profile.class_groups().signal, _classes(profile)
    for name, signal in profile.signals.items():
        yield name, _signal(name, signal)


def _classes(profile: ReferenceProfile) -> Any:
    figure = new_figure(6.4, 4.0)
    axes = figure.add_subplot()
    groups = profile.class_groups()
    texts = groups.labels([each.label for each in profile.classes])
    labels = [cut(text, _LABEL_CHARACTERS) for text in texts]
    shares = groups.counts / max(1, groups.counts.sum())
    axes.bar(range(len(shares)), shares, color=_BLUE)
    axes.set_xticks(range(len(shares)), labels, rotation=45, ha="right", parse_math=False)
    axes.set(ylabel="share of the answers", title=f"{groups.signal}: {profile.pictures:,} pictures")
    return figure


def _signal(name: str, signal: SignalReference) -> Any:
    """The height of a bar is the density, its area the share."""
    figure = new_figure(6.4, 3.6)
    axes = figure.add_subplot()
    title = f"{name}: {sum(signal.counts):,} observations"
    if signal.min == signal.max:
        axes.bar([0], [1], color=_BLUE)
        axes.set_xticks([0], [f"{signal.mean:.4g}"])
        axes.set(xlabel=name, ylabel="share", title=title, xlim=(-4, 4))
        return figure
    left, width, density = density_bars(signal)
    axes.bar(left, density, width, align="edge", color=_BLUE, edgecolor="white", linewidth=0.6)
    mean = f"mean {signal.mean:.4g}"
    axes.axvline(signal.mean, color=_GREY, linestyle="--", label=mean)
    axes.legend(frameon=False)
    shown = density[density > 0]
    is_steep = shown.max() > _STEEP * shown.min()  # a bar of a long tail would not be seen
    scale = {"yscale": "log", "ylabel": "density, logarithmic"} if is_steep else {}
    axes.set(**{"xlabel": name, "ylabel": "density", "title": title, **scale})
    return figure


def density_bars(signal: SignalReference) -> tuple[Array, Array, Array]:
    """Where each bar begins, how wide and how high it is: float64 [bars].

    A bin that is narrower than a hundredth of the range, such as an atom, is drawn together with
    the bins after it until they are as wide; what is left at the end, with those before it. So no
    two bars cover each other, and their areas add up to 1.

    Args:
        signal: of more than one value.
    """
    ends = np.clip([*signal.edges, signal.max], signal.min, signal.max)
    least = (signal.max - signal.min) / _MOST_BARS
    borders, shares = [signal.min], [0.0]
    for end, count in zip(ends, signal.counts, strict=True):
        shares[-1] += count / sum(signal.counts)
        if end - borders[-1] >= least:
            borders.append(float(end))
            shares.append(0.0)
    rest = shares.pop()
    borders[-1] = max(borders[-1], signal.max)
    shares[-1] += rest
    width = np.diff(borders)
    return np.array(borders[:-1]), width, np.array(shares) / width
