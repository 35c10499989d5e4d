"""The dashboard of drift: how far each signal is from its reference, which bins moved, accuracy."""

from monitoring.accuracy_panels import accuracy_panels
from monitoring.dashboard import Dashboard, Section, Variable
from monitoring.drift_choices import GREY, MODEL, PSI_LIMITS, PSI_LINES, VERSION
from monitoring.panels import Panel, Query, lines, named, stat
from monitoring.signal_panels import signal_panels
from monitoring.thresholds import ALERT_OBSERVATIONS, ALERT_PSI

_INPUTS = f'{MODEL}, signal=~"brightness|contrast|sharpness|aspect_ratio|tensor_mean"'

_OUTPUTS = (
    f'{MODEL}, signal=~"confidence|entropy|margin|energy|tta_flip_rate|tta_mutual_information"'
)


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
            Section("All signals over the last $window", _now()),
            Section("$signal", signal_panels()),
            Section("Confidence", _confidence()),
            Section("Input", _input()),
            Section("Accuracy", accuracy_panels()),
        ),
    )


def _now() -> tuple[Panel, ...]:
    return (
        stat(
            "PSI above the noise floor",
            f"Effect, for each signal. From {ALERT_PSI} on it alerts, if it is significant.",
            Query(f"model_signal:psi_above_noise:$window{{{MODEL}}}", "{{signal}}"),
            has_names=True,
            width=24,
            decimals=2,
            limits=PSI_LIMITS,
            height=5,
        ),
        stat(
            "Observations",
            f"Predictions that were counted. Below {ALERT_OBSERVATIONS} nothing alerts.",
            Query(f"max(model_signal:drift_observations:increase$window{{{MODEL}}})"),
            width=4,
            decimals=0,
            limits=((None, "orange"), (ALERT_OBSERVATIONS, "green")),
        ),
        stat(
            "Significant signals",
            "How many signals differ from the reference by more than chance.",
            Query(f"sum(model_signal:drift_significant:$window{{{MODEL}}})"),
            width=4,
            decimals=0,
            limits=((None, "green"), (1, "orange")),
        ),
        *_accuracies(),
        stat(
            "Unusable answers",
            "Left out of the counters: not finite, of a class that the profile does not know, or counting failed.",
            Query(
                f"sum(increase(batchproof_drift_unusable_total{{{MODEL}}}[$window]))"
                f" + sum(increase(batchproof_uncounted_rows_total{{{VERSION}}}[$window]))"
            ),
            width=4,
            decimals=0,
            limits=((None, "green"), (1, "red")),
        ),
    )


def _accuracies() -> tuple[Panel, ...]:
    return (
        stat(
            "Accuracy, estimated",
            "Average thresholded confidence. No labels were used; it may be wrong.",
            Query(f"model:accuracy_estimate_atc:$window{{{MODEL}}}"),
            width=4,
            unit="percentunit",
            decimals=1,
            limits=((None, "text"),),
        ),
        stat(
            "Accuracy, reported",
            "Of the answers whose labels were reported.",
            Query(f"model:accuracy:$window{{{VERSION}}}"),
            width=4,
            unit="percentunit",
            decimals=1,
            limits=((None, "text"),),
        ),
        stat(
            "Reference accuracy",
            "On the labelled set that the profile was made of.",
            Query(f"model:reference_accuracy_ratio{{{MODEL}}}"),
            width=4,
            unit="percentunit",
            decimals=1,
            limits=((None, "text"),),
        ),
    )


def _confidence() -> tuple[Panel, ...]:
    confidence = f'{MODEL}, signal="confidence"'
    mean = f"max(batchproof_drift_reference_mean{{{confidence}}})"
    band = (
        f"3 * max(batchproof_drift_reference_stddev{{{confidence}}})"
        f" * sqrt(1 / (max(model_signal:drift_observations:increase$window{{{confidence}}}) > 0)"
        f" + 1 / max(batchproof_drift_reference_observations{{{confidence}}}))"
    )
    unseen = {"legend": False, "tooltip": False, "viz": False}
    return (
        lines(
            "Mean confidence",
            "The band is the reference, give or take three standard errors of so many observations.",
            [
                Query(f"model:confidence_mean:$window{{{VERSION}}}", "now"),
                Query(f"{mean} + {band}", "reference"),
                Query(f"{mean} - {band}", "reference, lower"),
            ],
            unit="percentunit",
            width=12,
            overrides=[
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
                    custom__hideFrom={**unseen, "legend": True},
                ),
            ],
        ),
        lines(
            "Shift of the mean of each output signal",
            "In standard deviations of the reference. The two of TTA are there where the profile holds its policy.",
            [Query(f"model_signal:mean_shift:$window{{{_OUTPUTS}}}", "{{signal}}")],
            decimals=2,
            width=12,
        ),
    )


def _input() -> tuple[Panel, ...]:
    return (
        lines(
            "Shift of the mean of each input property",
            "In standard deviations of the reference. A jump of tensor_mean is a mistake in preprocessing.",
            [Query(f"model_signal:mean_shift:$window{{{_INPUTS}}}", "{{signal}}")],
            decimals=2,
            width=12,
        ),
        lines(
            "PSI above the noise floor of each input property",
            "Pictures that differ from the reference, whatever the model makes of them.",
            [Query(f"model_signal:psi_above_noise:$window{{{_INPUTS}}}", "{{signal}}")],
            decimals=2,
            limits=PSI_LINES,
            has_limit_lines=True,
            width=12,
        ),
    )
