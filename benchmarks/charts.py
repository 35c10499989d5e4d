"""Charts as SVG files, the same bytes for the same figures."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from results import Chart

_INCHES = (7.0, 3.6)


def draw(chart: Chart, directory: Path) -> Path:
    """Draws the lines of a chart.

    Returns:
        The file.
    """
    mpl.rcParams["svg.hashsalt"] = "batchproof"
    figure = Figure(figsize=_INCHES, layout="constrained")
    axes = figure.subplots()
    for label, points in chart.lines.items():
        horizontal, vertical = zip(*points, strict=True)
        axes.plot(horizontal, vertical, marker="o", markersize=4, label=label)
    if chart.log_x:
        ticks = sorted({x for points in chart.lines.values() for x, _ in points})
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_ylim(bottom=0)
    axes.set_title(chart.title, fontsize=11)
    axes.set_xlabel(chart.x)
    axes.set_ylabel(chart.y)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    file = directory / f"{chart.file}.svg"
    figure.savefig(file, metadata={"Date": None, "Creator": "batchproof"})
    # matplotlib ends lines with blanks, which editors and hooks would remove again.
    lines = (line.rstrip() for line in file.read_text(encoding="utf-8").splitlines())
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file
