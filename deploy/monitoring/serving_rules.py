"""The rules of the service level objectives: latency and shedding."""

from monitoring.rules import Alert, Group, Record
from monitoring.thresholds import (
    BURN_FAST,
    BURN_SLOW,
    SHED_BUDGET,
    SLO_REQUESTS,
    SLOW_BUDGET,
    SLOW_S,
)

VERSION = "model, version"
WINDOWS = ("5m", "30m", "1h", "6h")
# Requests for an answer, of any protocol. One that is refused before it is read where several models
# are served, or asks for one that does not exist, has no model.
PREDICTIONS = 'method=~".*(Predict|PredictStream|Infer)"'
# Single ones: streams are bulk.
ASKED = 'model!="", method=~".*(Predict|ModelInfer)"'


def serving_group() -> Group:
    """Shares of slow and of shed requests, and the alerts on how fast they spend their budget."""
    records = [rule for window in WINDOWS for rule in _shares(window)]
    alerts = [
        alert
        for kind in (_latency_burns, _shed_burns)
        for alert in (
            kind("critical", "1h", "5m", BURN_FAST),
            kind("warning", "6h", "30m", BURN_SLOW),
        )
    ]
    return Group("batchproof-serving", (*records, *alerts))


def _shares(window: str) -> tuple[Record, Record]:
    duration = "batchproof_request_duration_seconds"
    return (
        Record(
            f"model:slow_requests:ratio_rate{window}",
            f"""
            1 - sum by ({VERSION}) (rate({duration}_bucket{{{ASKED}, le="{SLOW_S}"}}[{window}]))
              /
            (sum by ({VERSION}) (rate({duration}_count{{{ASKED}}}[{window}])) > 0)
            """,
        ),
        Record(
            f"model:shed_requests:ratio_rate{window}",
            f"""
            sum by ({VERSION}) (rate(batchproof_shed_total{{reason!="draining"}}[{window}]))
              /
            (sum by ({VERSION}) (rate(batchproof_requests_total{{{PREDICTIONS}}}[{window}])) > 0)
            """,
        ),
    )


def _burns(share: str, windows: tuple[str, str], limit: float) -> str:
    """The long window says that it matters, the short one that it still goes on."""
    long, short = (f"model:{share}:ratio_rate{window}" for window in windows)
    return f"""
        ({long} > {limit:.3g})
          and
        ({short} > {limit:.3g})
          and
        (sum by ({VERSION}) (increase(batchproof_requests_total{{{PREDICTIONS}}}[{windows[0]}])) >= {SLO_REQUESTS})
    """


def _latency_burns(severity: str, long: str, short: str, pace: float) -> Alert:
    return Alert(
        "LatencyBudgetBurns",
        _burns("slow_requests", (long, short), pace * SLOW_BUDGET),
        severity,
        summary="{{ $labels.model }} version {{ $labels.version }} answers late",
        description=f"""
        {{{{ $value | humanizePercentage }}}} of the requests of the last {long} took longer than
        {SLOW_S * 1000:g} ms; {SLOW_BUDGET * 100:g} % may. The dashboard "batchproof: serving" shows
        whether they wait in the queue or on the device.
        """,
        labels={"window": long},
    )


def _shed_burns(severity: str, long: str, short: str, pace: float) -> Alert:
    return Alert(
        "ShedBudgetBurns",
        _burns("shed_requests", (long, short), pace * SHED_BUDGET),
        severity,
        summary="{{ if $labels.model }}{{ $labels.model }} version {{ $labels.version }}"
        "{{ else }}the server{{ end }} refuses requests",
        description=f"""
        {{{{ $value | humanizePercentage }}}} of the requests of the last {long} were answered
        without execution; {SHED_BUDGET * 100:g} % may. The server has less room than its callers
        need: add a replica, or ask less.
        """,
        labels={"window": long},
    )
