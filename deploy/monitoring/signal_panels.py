"""The panels of one signal: its bins, distances and tests."""

from monitoring.drift_choices import DASHED, GREY, PSI_LINES, SIGNAL
from monitoring.panels import Panel, Query, bars, lines, named, table

_KEY = "model, version, profile, signal, bin"
# Each bin's number and meaning, to be multiplied with a value of that bin.
_NAMED = f"* on ({_KEY}) group_left (label) max by ({_KEY}, label) (batchproof_drift_bin_info{{{SIGNAL}}})"


def signal_panels() -> tuple[Panel, ...]:
    """All of them."""
    return (*_bins(), *_figures(), _changes())


def _bins() -> tuple[Panel, ...]:
    return (
        lines(
            "Bins over time",
            "Share of each bin. Even stripes mean that nothing changes.",
            [Query(f"model_signal_bin:share:$window{{{SIGNAL}}} {_NAMED}", "{{label}}")],
            unit="percentunit",
            minimum=0,
            maximum=1,
            is_stacked=True,
            width=12,
            height=9,
        ),
        bars(
            "Share against the reference",
            "The last value of the stripes, beside the share that the reference profile has.",
            [
                Query(_by_bin(f"model_signal_bin:share:$window{{{SIGNAL}}}"), "now"),
                Query(
                    _by_bin(f"model_signal_bin:drift_reference_share_ratio{{{SIGNAL}}}"),
                    "reference",
                ),
            ],
            by="label",
            unit="percentunit",
            minimum=0,
            width=12,
            height=9,
        ),
    )


def _figures() -> tuple[Panel, ...]:
    return (
        lines(
            "PSI",
            "Solid: population stability index. Dashed: what it is on average when nothing drifts.",
            [
                Query(f"model_signal:psi:$window{{{SIGNAL}}}", "PSI"),
                Query(f"model_signal:psi_noise_floor:$window{{{SIGNAL}}}", "noise floor"),
            ],
            minimum=0,
            usual_maximum=0.3,
            limits=PSI_LINES,
            has_limit_lines=True,
            overrides=[named("noise floor", color=GREY, custom__lineStyle=DASHED)],
        ),
        lines(
            "Distances",
            "TV is the share of predictions that changed their bin. Both from 0 to 1.",
            [
                Query(f"model_signal:js_distance:$window{{{SIGNAL}}}", "Jensen-Shannon"),
                Query(f"model_signal:tv_distance:$window{{{SIGNAL}}}", "total variation"),
            ],
            minimum=0,
        ),
        lines(
            "Tests over their critical values",
            "Above 1 the difference is more than chance: chi-square and, but for class, Anderson-Darling.",
            [Query(f"model_signal_test:drift_significance:$window{{{SIGNAL}}}", "{{test}}")],
            minimum=0,
            limits=((None, "transparent"), (1, "orange")),
            has_limit_lines=True,
        ),
    )


def _changes() -> Panel:
    return table(
        "Bins that changed most",
        "Share now and in the reference, and the difference.",
        [
            Query(_worst(f"model_signal_bin:share_difference:$window{{{SIGNAL}}}"), "difference"),
            Query(_worst(f"model_signal_bin:share:$window{{{SIGNAL}}}"), "now"),
            Query(
                _worst(f"model_signal_bin:drift_reference_share_ratio{{{SIGNAL}}}"),
                "reference",
            ),
        ],
        by="label",
        unit="percentunit",
        decimals=1,
        width=24,
        height=7,
    )


def _by_bin(values: str) -> str:
    return f"sort(sum by (bin, label) ({values} {_NAMED}))"


def _worst(values: str) -> str:
    worst = f"topk(5, abs(model_signal_bin:share_difference:$window{{{SIGNAL}}}))"
    return f"sum by (bin, label) ({values} {_NAMED} and on ({_KEY}) {worst})"
