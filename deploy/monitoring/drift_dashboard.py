"""The dashboard of drift: how far each signal is from its reference, which bins moved, accuracy."""

from batchproof_server.drift.comparing import ALERT_OBSERVATIONS, ALERT_PSI, WITHHELD
from batchproof_server.drift.signals import INPUT_SIGNALS
from monitoring.accuracy_panels import accuracy_panels
from monitoring.dashboard import Dashboard, Section, Variable
from monitoring.drift_choices import GREY, MODEL, PSI_LIMITS, PSI_LINES, VERSION
from monitoring.panels import Panel, Row, lines, named, panels, stat
from monitoring.signal_panels import signal_panels

_INPUTS = f'{MODEL}, signal=~"{"|".join(INPUT_SIGNALS)}"'

_OUTPUTS = f'{MODEL}, signal=~"confidence|entropy|margin|energy|labels|tta_flip_rate|tta_mutual_information"'


def drift_dashboard() -> Dashboard:
    """The whole dashboard."""
    reference = "batchproof_drift_reference_observations"
    return Dashboard(
        uid="batchproof-drift",
        title="batchproof: drift",
        description="Whether what the model sees and answers still looks like its reference profile.",
        variables=(
            Variable("model", "Model", f"label_values({reference}, model)"),
            Variable("version", "Version", f'label_values({reference}{{model="$model"}}, version)'),
            Variable("profile", "Profile", f"label_values({reference}{{{VERSION}}}, profile)"),
            Variable("signal", "Signal", f"label_values({reference}{{{MODEL}}}, signal)"),
            # The windows are those for which there are rules.
            Variable(
                "window",
                "Window",
                'label_values({__name__=~"model_signal:psi:.+"}, __name__)',
                "/model_signal:psi:(.*)/",
            ),
        ),
        sections=(
            Section(
                "All signals over the last $window", (*_signals(), *panels(stat, _NOW, width=4))
            ),
            Section("$signal", signal_panels()),
            Section("Confidence", panels(lines, (_confidence(), _OUTPUT_SHIFT), width=12)),
            Section("Input", panels(lines, _INPUT, width=12, decimals=2)),
            Section("Accuracy", accuracy_panels()),
        ),
    )


def _signals() -> tuple[Panel, ...]:
    row: Row = (
        "PSI above the noise floor",
        f"Effect, for each signal. From {ALERT_PSI} on it alerts, if it is significant.",
        {"{{signal}}": f"model_signal:psi_above_noise:$window{{{MODEL}}}"},
        {"decimals": 2, "limits": PSI_LIMITS},
    )
    return panels(stat, [row], has_names=True, width=24, height=5)


_RATIO = {"unit": "percentunit", "decimals": 1, "limits": ((None, "text"),)}
_NOW: tuple[Row, ...] = (
    (
        "Observations",
        f"Predictions that were counted. Below {ALERT_OBSERVATIONS} nothing alerts.",
        {"": f"max(model_signal:drift_observations:increase$window{{{MODEL}}})"},
        {"decimals": 0, "limits": ((None, "orange"), (ALERT_OBSERVATIONS, "green"))},
    ),
    (
        "Significant signals",
        "How many signals differ from the reference by more than chance.",
        {"": f"sum(model_signal:drift_significant:$window{{{MODEL}}})"},
        {"decimals": 0, "limits": ((None, "green"), (1, "orange"))},
    ),
    (
        "Accuracy, estimated",
        "Difference of confidences. No labels were used; it may be wrong. Withheld while class or inputs have drifted severely.",
        {"": f"model:accuracy_estimate_doc:$window{{{MODEL}}}"},
        {**_RATIO, "no_value": WITHHELD},
    ),
    (
        "Accuracy, reported",
        "Of the answers whose labels were reported.",
        {"": f"model:accuracy:$window{{{VERSION}}}"},
        _RATIO,
    ),
    (
        "Reference accuracy",
        "On the labelled set that the profile was made of.",
        {"": f"model:reference_accuracy_ratio{{{MODEL}}}"},
        _RATIO,
    ),
    (
        "Unusable answers",
        "Left out of the counters: not finite, of a class that the profile does not know, or counting failed.",
        {
            "": f"sum(increase(batchproof_drift_unusable_total{{{MODEL}}}[$window]))"
            f" + sum(increase(batchproof_uncounted_rows_total{{{VERSION}}}[$window]))"
        },
        {"decimals": 0, "limits": ((None, "green"), (1, "red"))},
    ),
)


def _confidence() -> Row:
    confidence = f'{MODEL}, signal="confidence"'
    mean = f"max(batchproof_drift_reference_mean{{{confidence}}})"
    band = (
        f"3 * max(batchproof_drift_reference_stddev{{{confidence}}})"
        f" * sqrt(1 / (max(model_signal:drift_observations:increase$window{{{confidence}}}) > 0)"
        f" + 1 / max(batchproof_drift_reference_observations{{{confidence}}}))"
    )
    return (
        "Mean confidence",
        "The band is the reference, give or take three standard errors of so many observations.",
        {
            "now": f"model:confidence_mean:$window{{{VERSION}}}",
            "reference": f"{mean} + {band}",
            "reference, lower": f"{mean} - {band}",
        },
        {"unit": "percentunit", "overrides": _BAND},
    )


_BAND = (
    named(
        "reference",
        color=GREY,
        custom__fillBelowTo="reference, lower",
        custom__fillOpacity=15,
        custom__lineWidth=0,
    ),
    named(
        "reference, lower",
        color=GREY,
        custom__fillOpacity=0,
        custom__lineWidth=0,
        custom__hideFrom={"legend": True, "tooltip": False, "viz": False},
    ),
)
_OUTPUT_SHIFT: Row = (
    "Shift of the mean of each output signal",
    "In standard deviations of the reference. The two of TTA are there where the profile holds its policy.",
    {"{{signal}}": f"model_signal:mean_shift:$window{{{_OUTPUTS}}}"},
    {"decimals": 2},
)
_INPUT: tuple[Row, ...] = (
    (
        "Shift of the mean of each input property",
        "In standard deviations of the reference. A jump of tensor_mean is a mistake in preprocessing.",
        {"{{signal}}": f"model_signal:mean_shift:$window{{{_INPUTS}}}"},
        {},
    ),
    (
        "PSI above the noise floor of each input property",
        "Pictures that differ from the reference, whatever the model makes of them.",
        {"{{signal}}": f"model_signal:psi_above_noise:$window{{{_INPUTS}}}"},
        {"limits": PSI_LINES, "has_limit_lines": True},
    ),
)
