"""The dashboard of drift: how far each signal is from its reference, which bins moved, accuracy."""

from monitoring.dashboard import Dashboard, Section, Variable
from monitoring.panels import Panel, Query, bars, lines, named, stat, table
from monitoring.thresholds import ALERT_OBSERVATIONS, ALERT_PSI, ALERT_PSI_SEVERE

_VERSION = 'model="$model", version="$version"'
_MODEL = f'{_VERSION}, profile="$profile"'
_SIGNAL = f'{_MODEL}, signal="$signal"'
_KEY = "model, version, profile, signal, bin"
# Each bin's number and meaning, to be multiplied with a value of that bin.
_NAMED = f"* on ({_KEY}) group_left (label) max by ({_KEY}, label) (batchproof_drift_bin_info{{{_SIGNAL}}})"
# An outcome for an answer that nobody knows has no model.
_REPORTED = 'model=~"|$model"'
_INPUTS = f'{_MODEL}, signal=~"brightness|contrast|sharpness|aspect_ratio|tensor_mean"'
_PSI_LIMITS = ((None, "green"), (ALERT_PSI, "orange"), (ALERT_PSI_SEVERE, "red"))
_PSI_LINES = ((None, "transparent"), (ALERT_PSI, "orange"), (ALERT_PSI_SEVERE, "red"))
_GREY = {"mode": "fixed", "fixedColor": "text"}
_DASHED = {"fill": "dash", "dash": [6, 6]}


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
            Variable("profile", "Profile", f"label_values({reference}{{{_VERSION}}}, profile)"),
            Variable("signal", "Signal", f"label_values({reference}{{{_MODEL}}}, signal)"),
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
            Section("$signal", _signal()),
            Section("Confidence", _confidence()),
            Section("Input", _input()),
            Section("Accuracy", _accuracy()),
        ),
    )


def _now() -> tuple[Panel, ...]:
    return (
        stat(
            "PSI above the noise floor",
            f"Effect, for each signal. From {ALERT_PSI} on it alerts, if it is significant.",
            Query(f"model_signal:psi_above_noise:$window{{{_MODEL}}}", "{{signal}}"),
            has_names=True,
            width=24,
            decimals=2,
            limits=_PSI_LIMITS,
            height=5,
        ),
        stat(
            "Observations",
            f"Predictions that were counted. Below {ALERT_OBSERVATIONS} nothing alerts.",
            Query(f"max(model_signal:drift_observations:increase$window{{{_MODEL}}})"),
            width=4,
            decimals=0,
            limits=((None, "orange"), (ALERT_OBSERVATIONS, "green")),
        ),
        stat(
            "Significant signals",
            "How many signals differ from the reference by more than chance.",
            Query(f"sum(model_signal:drift_significant:$window{{{_MODEL}}})"),
            width=4,
            decimals=0,
            limits=((None, "green"), (1, "orange")),
        ),
        stat(
            "Accuracy, estimated",
            "Average thresholded confidence. No labels were used; it may be wrong.",
            Query(f"model:accuracy_estimate_atc:$window{{{_MODEL}}}"),
            width=4,
            unit="percentunit",
            decimals=1,
            limits=((None, "text"),),
        ),
        stat(
            "Accuracy, reported",
            "Of the answers whose labels were reported.",
            Query(f"model:accuracy:$window{{{_VERSION}}}"),
            width=4,
            unit="percentunit",
            decimals=1,
            limits=((None, "text"),),
        ),
        stat(
            "Reference accuracy",
            "On the labelled set that the profile was made of.",
            Query(f"model:reference_accuracy_ratio{{{_MODEL}}}"),
            width=4,
            unit="percentunit",
            decimals=1,
            limits=((None, "text"),),
        ),
        stat(
            "Unusable answers",
            "Left out of the counters: not finite, or of a class that the profile does not know.",
            Query(f"sum(increase(batchproof_drift_unusable_total{{{_MODEL}}}[$window]))"),
            width=4,
            decimals=0,
            limits=((None, "green"), (1, "red")),
        ),
    )


def _signal() -> tuple[Panel, ...]:
    return (
        lines(
            "Bins over time",
            "Share of each bin. Even stripes mean that nothing changes.",
            [Query(f"model_signal_bin:share:$window{{{_SIGNAL}}} {_NAMED}", "{{label}}")],
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
                Query(_by_bin(f"model_signal_bin:share:$window{{{_SIGNAL}}}"), "now"),
                Query(
                    _by_bin(f"model_signal_bin:drift_reference_share_ratio{{{_SIGNAL}}}"),
                    "reference",
                ),
            ],
            by="label",
            unit="percentunit",
            minimum=0,
            width=12,
            height=9,
        ),
        lines(
            "PSI",
            "Solid: population stability index. Dashed: what it is on average when nothing drifts.",
            [
                Query(f"model_signal:psi:$window{{{_SIGNAL}}}", "PSI"),
                Query(f"model_signal:psi_noise_floor:$window{{{_SIGNAL}}}", "noise floor"),
            ],
            minimum=0,
            usual_maximum=0.3,
            limits=_PSI_LINES,
            has_limit_lines=True,
            overrides=[named("noise floor", color=_GREY, custom__lineStyle=_DASHED)],
        ),
        lines(
            "Distances",
            "TV is the share of predictions that changed their bin. Both from 0 to 1.",
            [
                Query(f"model_signal:js_distance:$window{{{_SIGNAL}}}", "Jensen-Shannon"),
                Query(f"model_signal:tv_distance:$window{{{_SIGNAL}}}", "total variation"),
            ],
            minimum=0,
        ),
        lines(
            "Tests over their critical values",
            "Above 1 the difference is more than chance: chi-square, mean shift, Kolmogorov-Smirnov.",
            [Query(f"model_signal_test:drift_significance:$window{{{_SIGNAL}}}", "{{test}}")],
            minimum=0,
            limits=((None, "transparent"), (1, "orange")),
            has_limit_lines=True,
        ),
        table(
            "Bins that changed most",
            "Share now and in the reference, and the difference.",
            [
                Query(
                    _worst(f"model_signal_bin:share_difference:$window{{{_SIGNAL}}}"), "difference"
                ),
                Query(_worst(f"model_signal_bin:share:$window{{{_SIGNAL}}}"), "now"),
                Query(
                    _worst(f"model_signal_bin:drift_reference_share_ratio{{{_SIGNAL}}}"),
                    "reference",
                ),
            ],
            by="label",
            unit="percentunit",
            decimals=1,
            width=24,
            height=7,
        ),
    )


def _by_bin(values: str) -> str:
    return f"sort(sum by (bin, label) ({values} {_NAMED}))"


def _worst(values: str) -> str:
    worst = f"topk(5, abs(model_signal_bin:share_difference:$window{{{_SIGNAL}}}))"
    return f"sum by (bin, label) ({values} {_NAMED} and on ({_KEY}) {worst})"


def _confidence() -> tuple[Panel, ...]:
    confidence = f'{_MODEL}, signal="confidence"'
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
                Query(f"model:confidence_mean:$window{{{_VERSION}}}", "now"),
                Query(f"{mean} + {band}", "reference, upper"),
                Query(f"{mean} - {band}", "reference, lower"),
            ],
            unit="percentunit",
            width=12,
            overrides=[
                named(
                    "reference, upper",
                    color=_GREY,
                    custom__fillBelowTo="reference, lower",
                    custom__fillOpacity=15,
                    custom__lineWidth=0,
                ),
                named(
                    "reference, lower",
                    color=_GREY,
                    custom__fillOpacity=0,
                    custom__lineWidth=0,
                    custom__hideFrom={**unseen, "legend": True},
                ),
            ],
        ),
        lines(
            "Shift of the mean of each output signal",
            "In standard deviations of the reference.",
            [
                Query(
                    f'model_signal:mean_shift:$window{{{_MODEL}, signal=~"confidence|entropy|margin|energy"}}',
                    "{{signal}}",
                )
            ],
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
            limits=_PSI_LINES,
            has_limit_lines=True,
            width=12,
        ),
    )


def _accuracy() -> tuple[Panel, ...]:
    reference = "model:reference_accuracy_ratio"
    return (
        lines(
            "Accuracy: estimates, truth, reference",
            "The estimates use no labels: average thresholded confidence, difference of confidences.",
            [
                Query(f"model:accuracy_estimate_atc:$window{{{_MODEL}}}", "estimate (ATC)"),
                Query(f"model:accuracy_estimate_doc:$window{{{_MODEL}}}", "estimate (DoC)"),
                Query(f"model:accuracy:$window{{{_VERSION}}}", "reported labels"),
                Query(f"{reference}{{{_MODEL}}}", "reference"),
            ],
            unit="percentunit",
            maximum=1,
            width=12,
            overrides=[named("reference", color=_GREY, custom__lineStyle=_DASHED)],
        ),
        lines(
            "Calibration error",
            "How far confidence is from accuracy, over ten bins, for the answers with labels.",
            [
                Query(f"model:ece:$window{{{_VERSION}}}", "now"),
                Query(f"max(batchproof_drift_reference_ece_ratio{{{_MODEL}}})", "reference"),
            ],
            unit="percentunit",
            minimum=0,
            usual_maximum=0.1,
            width=6,
            overrides=[named("reference", color=_GREY, custom__lineStyle=_DASHED)],
        ),
        lines(
            "Labels reported",
            "Right and wrong answers, and reports that were refused.",
            [
                Query(
                    f"sum by (correct) (increase(batchproof_outcomes_total{{{_VERSION}}}[$window]))",
                    "correct: {{correct}}",
                ),
                Query(
                    f"sum by (reason) (increase(batchproof_outcomes_refused_total{{{_REPORTED}}}[$window]))",
                    "refused: {{reason}}",
                ),
            ],
            minimum=0,
            decimals=0,
            width=6,
        ),
        bars(
            "Recall of each class",
            "Of the answers whose label was this class, the share that was right.",
            [Query(f"sum by (bin, label) (model_class:recall:$window{{{_VERSION}}})", "recall")],
            by="label",
            unit="percentunit",
            minimum=0,
            maximum=1,
            width=24,
        ),
    )
