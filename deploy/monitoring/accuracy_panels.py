"""The panels of accuracy: estimates, truth, calibration."""

from monitoring.drift_choices import DASHED, GREY, MODEL, VERSION
from monitoring.panels import Panel, Row, bars, lines, named, panels

# An outcome for an answer that nobody knows has no model.
_REPORTED = 'model=~"|$model"'
_REFERENCE = {"overrides": [named("reference", color=GREY, custom__lineStyle=DASHED)]}

_OVER_TIME: tuple[Row, ...] = (
    (
        "Accuracy: estimates, truth, reference",
        "The estimates use no labels: average thresholded confidence, difference of confidences. They are withheld while class or inputs have drifted severely.",
        {
            "estimate (ATC)": f"model:accuracy_estimate_atc:$window{{{MODEL}}}",
            "estimate (DoC)": f"model:accuracy_estimate_doc:$window{{{MODEL}}}",
            "reported labels": f"model:accuracy:$window{{{VERSION}}}",
            "reference": f"model:reference_accuracy_ratio{{{MODEL}}}",
        },
        {"unit": "percentunit", "maximum": 1, "width": 12, **_REFERENCE},
    ),
    (
        "Calibration error",
        "How far confidence is from accuracy, over ten bins, for the answers with labels.",
        {
            "now": f"model:ece:$window{{{VERSION}}}",
            "reference": f"max(batchproof_drift_reference_ece_ratio{{{MODEL}}})",
        },
        {"unit": "percentunit", "minimum": 0, "usual_maximum": 0.1, **_REFERENCE},
    ),
    (
        "Labels reported",
        "Right and wrong answers, and reports that were refused.",
        {
            "correct: {{correct}}": f"sum by (correct) (increase(batchproof_outcomes_total{{{VERSION}}}[$window]))",
            "refused: {{reason}}": f"sum by (reason) (increase(batchproof_outcomes_refused_total{{{_REPORTED}}}[$window]))",
        },
        {"minimum": 0, "decimals": 0},
    ),
)
_CLASSES: tuple[Row, ...] = (
    (
        "Recall of each class",
        "Of the answers whose label was this class, the share that was right.",
        {"recall": f"sum by (bin, label) (model_class:recall:$window{{{VERSION}}})"},
        {"by": "label", "unit": "percentunit", "minimum": 0, "maximum": 1},
    ),
)


def accuracy_panels() -> tuple[Panel, ...]:
    """All of them."""
    return (*panels(lines, _OVER_TIME, width=6), *panels(bars, _CLASSES, width=24))
