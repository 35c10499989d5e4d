"""Charts as SVG files, the same bytes for the same figures."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from results import Chart

_INCHES = (7.0, 3.6)
_WIDE_INCHES = (9.0, 3.6)
_MOST_INSIDE = 4


def draw(chart: Chart, directory: Path) -> Path:
    """Draws the lines of a chart.

    Returns:
        The file.
    """
    mpl.rcParams["svg.hashsalt"] = "batchproof"
    is_crowded = len(chart.lines) > _MOST_INSIDE
    figure = Figure(figsize=_WIDE_INCHES if is_crowded else _INCHES, layout="constrained")
    axes = figure.subplots()
    for label, points in chart.lines.items():
        horizontal, vertical = zip(*points, strict=True)
        axes.plot(horizontal, vertical, marker="o", markersize=4, label=label)
    if chart.log_x:
        ticks = sorted({x for points in chart.lines.values() for x, _ in points})
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    if chart.log_y:
        axes.set_yscale("log")
        # A decade may hold all of them, and then one label would be alone.
        for kind in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            kind(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.8)))
    else:
        axes.set_ylim(bottom=0)
    axes.set_title(chart.title, fontsize=11)
    axes.set_xlabel(chart.x)
    axes.set_ylabel(chart.y)
    axes.grid(alpha=0.3)
    if is_crowded:  # within the axes it would hide a line
        figure.legend(fontsize=8, loc="outside right center")
    else:
        axes.legend(fontsize=8)
    file = directory / f"{chart.file}.svg"
    figure.savefig(file, metadata={"Date": None, "Creator": "batchproof"})
    # matplotlib ends lines with blanks, which editors and hooks would remove again.
    lines = (line.rstrip() for line in file.read_text(encoding="utf-8").splitlines())
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file
