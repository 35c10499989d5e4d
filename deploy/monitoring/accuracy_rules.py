"""The rules of accuracy: estimated without labels, and true where labels came."""

from batchproof_server.drift.comparing import ALERT_OBSERVATIONS, ALERT_PSI_SEVERE, OF_INPUTS
from monitoring.drift_rules import MODEL
from monitoring.rules import Alert, Group, Record, Rule
from monitoring.thresholds import ALERT_ACCURACY_LOSS, ALERT_ACCURACY_Z

VERSION = "model, version"
REFERENCE = "model:reference_accuracy_ratio"


def accuracy_reference_group() -> Group:
    """What does not depend on the window."""
    expression = f"max by ({MODEL}) (batchproof_drift_reference_accuracy_ratio)"
    return Group("batchproof-accuracy-reference", (Record(REFERENCE, expression),))


def accuracy_group(window: str, hold: str) -> Group:
    """Estimates, truth and the alert over one window."""
    rules = (*_estimates(window), *_truth(window), _accuracy_dropped(window, hold))
    return Group(f"batchproof-accuracy-{window}", rules)


def health_group() -> Group:
    """What must not look like the absence of drift."""
    return Group("batchproof-drift-health", (_reference_missing(), _predictions_unusable()))


def _estimates(window: str) -> tuple[Rule, ...]:
    confidence = "batchproof_confidence_ratio"
    mean = f"model:confidence_mean:{window}"
    withheld = f"model:estimates_withheld:{window}"
    return (
        # How many input signals and classes have drifted severely; no series when none has.
        Record(
            withheld,
            f"""
            count by ({MODEL}) (
              (model_signal:psi_above_noise:{window}{{signal=~"{"|".join(OF_INPUTS)}"}} > {ALERT_PSI_SEVERE})
                and
              (model_signal:drift_significant:{window} == 1)
                and
              (model_signal:drift_observations:increase{window} >= {ALERT_OBSERVATIONS})
            )
            """,
        ),
        Record(
            mean,
            f"""
            sum by ({VERSION}) (increase({confidence}_sum[{window}]))
              /
            (sum by ({VERSION}) (increase({confidence}_count[{window}])) > 0)
            """,
        ),
        # One counter over one counter of the same profile: increase() extrapolates both alike.
        Record(
            f"model:accuracy_estimate_atc:{window}",
            f"""
            sum by ({MODEL}) (increase(batchproof_drift_atc_above_total[{window}]))
              /
            (sum by ({MODEL}) (increase(batchproof_drift_deviations_total{{signal="confidence"}}[{window}])) > 0)
              unless on ({MODEL})
            {withheld}
            """,
        ),
        Record(
            f"model:accuracy_estimate_doc:{window}",
            f"""
            clamp(
              {REFERENCE}
                + on ({VERSION}) group_left () {mean}
                - on ({MODEL}) max by ({MODEL}) (batchproof_drift_reference_mean{{signal="confidence"}}),
              0, 1)
              unless on ({MODEL})
            {withheld}
            """,
        ),
    )


def _truth(window: str) -> tuple[Rule, ...]:
    total = f"model:outcomes:increase{window}"
    calibration, bins = "batchproof_outcome_calibration", f"{VERSION}, bin"
    classes = f"{VERSION}, bin, label"
    return (
        Record(total, f"sum by ({VERSION}) (increase(batchproof_outcomes_total[{window}]))"),
        # Of one query: what another rule recorded may be from before a scrape.
        Record(
            f"model:accuracy:{window}",
            f"""
            sum by ({VERSION}) (increase(batchproof_outcomes_total{{correct="true"}}[{window}]))
              /
            (sum by ({VERSION}) (increase(batchproof_outcomes_total[{window}])) > 0)
            """,
        ),
        Record(
            f"model_class:recall:{window}",
            f"""
            sum by ({classes}) (increase(batchproof_outcome_classes_total{{correct="true"}}[{window}]))
              /
            (sum by ({classes}) (increase(batchproof_outcome_classes_total[{window}])) > 0)
            """,
        ),
        # The bins weigh by their observations, which cancel out of share x |accuracy - confidence|.
        Record(
            f"model:ece:{window}",
            f"""
            sum by ({VERSION}) (abs(
              sum by ({bins}) (increase({calibration}_total{{correct="true"}}[{window}]))
                -
              sum by ({bins}) (increase({calibration}_confidence_sum_total[{window}]))
            ))
              /
            (sum by ({VERSION}) (increase({calibration}_total[{window}])) > 0)
            """,
        ),
    )


def _accuracy_dropped(window: str, hold: str) -> Alert:
    total = f"model:outcomes:increase{window}"
    loss = f"({REFERENCE} - on ({VERSION}) group_left () model:accuracy:{window})"
    return Alert(
        "AccuracyDropped",
        f"""
        ({loss} > {ALERT_ACCURACY_LOSS})
          and
        ({loss} / sqrt(clamp_min({REFERENCE} * (1 - {REFERENCE}), 0.01))
          * on ({VERSION}) group_left () sqrt({total}) > {ALERT_ACCURACY_Z})
          and on ({VERSION})
        ({total} >= {ALERT_OBSERVATIONS})
        """,
        "critical",
        summary="{{ $labels.model }} version {{ $labels.version }} is less accurate than its reference",
        description=f"""
        By the labels reported over the last {window}, the share of right answers is lower than that
        of the reference profile {{{{ $labels.profile }}}} by {{{{ $value | humanizePercentage }}}}
        of all answers.
        """,
        hold=hold,
        labels={"window": window},
    )


def _reference_missing() -> Alert:
    return Alert(
        "DriftReferenceMissing",
        f"""
        (sum by ({VERSION}) (increase(batchproof_confidence_ratio_count[1h])) > 0)
          and on ({VERSION})
        (max by ({VERSION}) (batchproof_model_ready) == 1)
          unless on ({VERSION})
        batchproof_drift_reference_observations
        """,
        "info",
        summary="nobody watches {{ $labels.model }} version {{ $labels.version }} for drift",
        description="""
        It answers, but its bundle has no profile.json, so that no drift can be seen. Write one
        with: batchproof-server profile BUNDLE --data DIR
        """,
        hold="15m",
    )


def _predictions_unusable() -> Alert:
    return Alert(
        "PredictionsUnusable",
        f"sum by ({MODEL}, reason) (increase(batchproof_drift_unusable_total[15m])) > 0",
        "warning",
        summary="{{ $labels.model }} version {{ $labels.version }} gave answers that mean nothing",
        description="""
        Answers were left out of the drift counters because they are {{ $labels.reason }}:
        not_finite is a NaN or an infinity among the scores, class_out_of_range a class that the
        profile does not know.
        """,
    )
