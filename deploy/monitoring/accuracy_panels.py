"""The panels of accuracy: estimates, truth, calibration."""

from monitoring.drift_choices import DASHED, GREY, MODEL, VERSION
from monitoring.panels import Panel, Query, bars, lines, named

# An outcome for an answer that nobody knows has no model.
_REPORTED = 'model=~"|$model"'


def accuracy_panels() -> tuple[Panel, ...]:
    """All of them."""
    reference = "model:reference_accuracy_ratio"
    return (
        lines(
            "Accuracy: estimates, truth, reference",
            "The estimates use no labels: average thresholded confidence, difference of confidences.",
            [
                Query(f"model:accuracy_estimate_atc:$window{{{MODEL}}}", "estimate (ATC)"),
                Query(f"model:accuracy_estimate_doc:$window{{{MODEL}}}", "estimate (DoC)"),
                Query(f"model:accuracy:$window{{{VERSION}}}", "reported labels"),
                Query(f"{reference}{{{MODEL}}}", "reference"),
            ],
            unit="percentunit",
            maximum=1,
            width=12,
            overrides=[named("reference", color=GREY, custom__lineStyle=DASHED)],
        ),
        lines(
            "Calibration error",
            "How far confidence is from accuracy, over ten bins, for the answers with labels.",
            [
                Query(f"model:ece:$window{{{VERSION}}}", "now"),
                Query(f"max(batchproof_drift_reference_ece_ratio{{{MODEL}}})", "reference"),
            ],
            unit="percentunit",
            minimum=0,
            usual_maximum=0.1,
            width=6,
            overrides=[named("reference", color=GREY, custom__lineStyle=DASHED)],
        ),
        lines(
            "Labels reported",
            "Right and wrong answers, and reports that were refused.",
            [
                Query(
                    f"sum by (correct) (increase(batchproof_outcomes_total{{{VERSION}}}[$window]))",
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
            [Query(f"sum by (bin, label) (model_class:recall:$window{{{VERSION}}})", "recall")],
            by="label",
            unit="percentunit",
            minimum=0,
            maximum=1,
            width=24,
        ),
    )
