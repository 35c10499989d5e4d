"""The alerts on drift: one for each version and window."""

from batchproof_server.drift.comparing import (
    ALERT_OBSERVATIONS,
    ALERT_PSI,
    ALERT_PSI_LASTING,
    ALERT_PSI_SEVERE,
    ALERT_TESTS_LASTING,
)
from monitoring.drift_rules import MODEL, SIGNAL, observations
from monitoring.rules import Alert, Record, Rule
from monitoring.thresholds import ALERT_WINDOW_SHARE, WINDOW_SECONDS


def drift_alerts(window: str, hold: str) -> tuple[Rule, ...]:
    """Both kinds, which name their signals; severe silences the other."""
    alerting = f"model_signal:drift_alerting:{window}"
    severe = "PredictionDriftSevere"
    fires = f'ALERTS{{alertname="{severe}", alertstate="firing", window="{window}"}}'
    kinds = (
        (severe, f"count by ({MODEL}) ({alerting} > {ALERT_PSI_SEVERE})", " severely", "critical"),
        # Not before it fires: between the two there would be no alert.
        (
            "PredictionDrift",
            f"count by ({MODEL}) ({alerting})\n  unless on ({MODEL})\n{fires}",
            "",
            "warning",
        ),
    )
    return (
        Record(
            alerting,
            _notable(window, ALERT_PSI, f"model_signal:drift_significant:{window} == 1"),
        ),
        *(
            Alert(
                name,
                expression,
                severity,
                summary="{{ $labels.model }} version {{ $labels.version }} drifted" + how,
                description=_named_signals(window, alerting),
                hold=hold,
                labels={"window": window},
            )
            for name, expression, how, severity in kinds
        ),
    )


def lasting_alert(window: str, hold: str) -> tuple[Rule, ...]:
    """Drift that is small and stays: harm to accuracy can be small in every signal."""
    lasting = f"model_signal:drift_lasting:{window}"
    return (
        Record(
            lasting,
            _notable(
                window,
                ALERT_PSI_LASTING,
                f"max by ({SIGNAL}) (model_signal_test:drift_significance:{window})"
                f" > {ALERT_TESTS_LASTING}",
            ),
        ),
        Alert(
            "PredictionDriftLasts",
            f"""
            count by ({MODEL}) ({lasting})
              unless on ({MODEL})
            ALERTS{{alertname=~"PredictionDrift|PredictionDriftSevere", alertstate="firing", window="{window}"}}
            """,
            "notice",
            summary="{{ $labels.model }} version {{ $labels.version }} has drifted a little, and stays so",
            description=f"""
            For {hold} some distributions have differed from those of the reference profile
            {{{{ $labels.profile }}}}, by less than alerts at once (PSI above the noise floor, limit
            {ALERT_PSI}): {_signals(lasting)}The differences are significant. Look at some of the
            pictures: a little blur, compression or another light can cost accuracy.
            """,
            hold=hold,
            labels={"window": window},
        ),
    )


def _notable(window: str, limit_psi: float, is_significant: str) -> str:
    # Before the share of it, a long window holds no more than a short one.
    early_s = round(WINDOW_SECONDS[window] * ALERT_WINDOW_SHARE)
    return f"""
    (model_signal:psi_above_noise:{window} > {limit_psi})
      and
    ({is_significant})
      and
    ({observations(window)} >= {ALERT_OBSERVATIONS})
      and on ({SIGNAL})
    present_over_time(
      batchproof_drift_reference_observations[{WINDOW_SECONDS[window] - early_s}s] offset {early_s}s
    )
    """


def _named_signals(window: str, alerting: str) -> str:
    return f"""
    Over the last {window} the distributions left those of the reference profile
    {{{{ $labels.profile }}}}; PSI above the noise floor (limits {ALERT_PSI} and {ALERT_PSI_SEVERE}):
    {_signals(alerting)}The differences are significant. The dashboard
    "batchproof: drift" shows which bins changed.
    """


def _signals(record: str) -> str:
    """The signals of a record with their PSI, asked for when the alert is told."""
    labels = ", ".join(f"{each}=%q" for each in ("model", "version", "profile"))
    values = " ".join(f"$labels.{each}" for each in ("model", "version", "profile"))
    query = f"sort_desc({record}{{{labels}}})"
    return (
        f'{{{{ range query (printf "{query}" {values}) }}}}{{{{ .Labels.signal }}}} '
        '{{ .Value | printf "%.2f" }}. {{ end }}'
    )
