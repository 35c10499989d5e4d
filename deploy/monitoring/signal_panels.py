"""The panels of one signal: its bins, distances and tests."""

from monitoring.drift_choices import DASHED, GREY, PSI_LINES, SIGNAL
from monitoring.panels import Panel, Row, bars, lines, named, panels, table

_KEY = "model, version, profile, signal, bin"
# Each bin's number and meaning, to be multiplied with a value of that bin.
_NAMED = f"* on ({_KEY}) group_left (label) max by ({_KEY}, label) (batchproof_drift_bin_info{{{SIGNAL}}})"
_SHARE = f"model_signal_bin:share:$window{{{SIGNAL}}}"
_REFERENCE = f"model_signal_bin:drift_reference_share_ratio{{{SIGNAL}}}"
_DIFFERENCE = f"model_signal_bin:share_difference:$window{{{SIGNAL}}}"


def signal_panels() -> tuple[Panel, ...]:
    """All of them."""
    return (
        *panels(lines, _STRIPES, unit="percentunit", minimum=0, width=12, height=9),
        *panels(bars, _SHARES, unit="percentunit", minimum=0, width=12, height=9),
        *panels(lines, _FIGURES, minimum=0),
        *panels(table, _CHANGES, unit="percentunit", decimals=1, width=24, height=7),
    )


def _by_bin(values: str) -> str:
    return f"sort(sum by (bin, label) ({values} {_NAMED}))"


def _worst(values: str) -> str:
    return f"sum by (bin, label) ({values} {_NAMED} and on ({_KEY}) topk(5, abs({_DIFFERENCE})))"


_STRIPES: tuple[Row, ...] = (
    (
        "Bins over time",
        "Share of each bin. Even stripes mean that nothing changes.",
        {"{{label}}": f"{_SHARE} {_NAMED}"},
        {"maximum": 1, "is_stacked": True},
    ),
)
_SHARES: tuple[Row, ...] = (
    (
        "Share against the reference",
        "The last value of the stripes, beside the share that the reference profile has.",
        {"now": _by_bin(_SHARE), "reference": _by_bin(_REFERENCE)},
        {"by": "label"},
    ),
)
_FIGURES: tuple[Row, ...] = (
    (
        "PSI",
        "Solid: population stability index. Dashed: what it is on average when nothing drifts.",
        {
            "PSI": f"model_signal:psi:$window{{{SIGNAL}}}",
            "noise floor": f"model_signal:psi_noise_floor:$window{{{SIGNAL}}}",
        },
        {
            "usual_maximum": 0.3,
            "limits": PSI_LINES,
            "has_limit_lines": True,
            "overrides": [named("noise floor", color=GREY, custom__lineStyle=DASHED)],
        },
    ),
    (
        "Distances",
        "TV is the share of predictions that changed their bin. Both from 0 to 1.",
        {
            "Jensen-Shannon": f"model_signal:js_distance:$window{{{SIGNAL}}}",
            "total variation": f"model_signal:tv_distance:$window{{{SIGNAL}}}",
        },
        {},
    ),
    (
        "Tests over their critical values",
        "Above 1 the difference is more than chance: chi-square and, but for class, Anderson-Darling.",
        {"{{test}}": f"model_signal_test:drift_significance:$window{{{SIGNAL}}}"},
        {"limits": ((None, "transparent"), (1, "orange")), "has_limit_lines": True},
    ),
)
_CHANGES: tuple[Row, ...] = (
    (
        "Bins that changed most",
        "Share now and in the reference, and the difference.",
        {
            "difference": _worst(_DIFFERENCE),
            "now": _worst(_SHARE),
            "reference": _worst(_REFERENCE),
        },
        {"by": "label"},
    ),
)
