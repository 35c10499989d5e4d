"""The power curves of benchmarks/drift.py."""

from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from drift_windows import KS, RULE, SIZES

_COLOURS: Final = ("#9db8d9", "#4f83bd", "#123c69")
_COLUMNS: Final = 4
_DOTS_PER_INCH: Final = 110


def draw(result: dict[str, Any], file: Path) -> None:
    """One panel a kind of shift: detection by any signal over N, one line a grade."""
    kinds: dict[str, list[str]] = {}
    for shift in result["detection"]:
        kinds.setdefault(shift.partition(":")[0], []).append(shift)
    rows = -(-(len(kinds) + 1) // _COLUMNS)
    figure = Figure(figsize=(13, 3.2 * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axis, (kind, shifts) in zip(axes, kinds.items(), strict=False):
        for shift, colour in zip(shifts, _COLOURS, strict=True):
            _curve(axis, result["detection"][shift], shift.partition(":")[2], colour)
        _dress(axis, kind)
        axis.legend(fontsize=7, loc="best", frameon=False)
    _false_alarms(axes[len(kinds)], result)
    for axis in axes[len(kinds) + 1 :]:
        axis.set_visible(False)
    title = "Windows in which any signal has drifted: the rule (lines), Kolmogorov-Smirnov (dashes)"
    figure.suptitle(title, fontsize=11)
    figure.supxlabel("pictures in the window", fontsize=9)
    figure.savefig(file, dpi=_DOTS_PER_INCH)


def _curve(axis: Any, tests: dict[str, Any], amount: str, colour: str) -> None:
    for test, style in ((RULE, "-"), (KS, "--")):
        shares = [tests[test][str(size)]["any"] for size in SIZES]
        label = amount if test == RULE else None
        axis.plot(SIZES, shares, style, color=colour, marker=".", label=label, linewidth=1.4)


def _dress(axis: Any, title: str) -> None:
    axis.set_title(title, fontsize=10)
    axis.set_xscale("log")
    axis.set_xticks(SIZES, [str(size) for size in SIZES], fontsize=7)
    axis.minorticks_off()
    axis.set_ylim(-0.03, 1.03)
    axis.set_yticks((0, 0.5, 1), ("0", "50 %", "100 %"), fontsize=7)
    axis.grid(visible=True, alpha=0.25)


def _false_alarms(axis: Any, result: dict[str, Any]) -> None:
    for name in result["settings"]["signals"]:
        shares = [100 * result["false_alarms"][RULE][str(size)][name] for size in SIZES]
        axis.plot(SIZES, shares, marker=".", linewidth=1, label=name)
    axis.axhline(1, color="#c0392b", linewidth=1, linestyle=":")
    _dress(axis, "false alarms of each signal, %")
    axis.set_ylim(0, 1.5)
    axis.set_yticks((0, 0.5, 1, 1.5), ("0", "0.5", "1", "1.5"), fontsize=7)
    axis.legend(fontsize=6, ncols=2, frameon=False)
