"""Which files are generated, and what is in them."""

from pathlib import Path

from monitoring.accuracy_rules import accuracy_group, accuracy_reference_group, health_group
from monitoring.drift_alerts import drift_alerts, lasting_alert
from monitoring.drift_dashboard import drift_dashboard
from monitoring.drift_rules import drift_group, reference_group
from monitoring.kubernetes import prometheus_rules
from monitoring.rules import Group, rule_file
from monitoring.serving_dashboard import serving_dashboard
from monitoring.serving_rules import serving_group

_HEADING = "Written by deploy/generate.py: change that, and run make generate.\n"
# Window -> how long a difference must hold before it alerts.
_WINDOWS = {"1h": "15m", "24h": "1h"}
_LASTS = ("24h", "24h")
_DEMO_WINDOWS = {"5m": "30s"}


_RULES = Path(__file__).resolve().parents[1] / "prometheus"


def generated_files() -> dict[str, str]:
    """Path below deploy/ -> content."""
    rules = _rule_files()
    return {
        **rules,
        "kubernetes/components/monitoring/prometheus-rules.yaml": prometheus_rules(
            _HEADING + "The rules of deploy/prometheus for the Prometheus operator.",
            {
                "batchproof-availability": (_RULES / "availability.yml").read_text(),
                "batchproof-self-check": (_RULES / "rules.yml").read_text(),
                "batchproof-serving": rules["prometheus/serving.yml"],
                "batchproof-drift": rules["prometheus/drift.yml"],
            },
        ),
        "grafana/dashboards/serving.json": serving_dashboard().text(),
        "grafana/dashboards/drift.json": drift_dashboard().text(),
    }


def _rule_files() -> dict[str, str]:
    return {
        "prometheus/serving.yml": rule_file(
            _HEADING + "Alerts on latency and shedding: docs/monitoring.md.", [serving_group()]
        ),
        "prometheus/drift.yml": rule_file(
            _HEADING + "Drift and accuracy over 1 h and 24 h: docs/drift-rules.md.",
            [
                reference_group(),
                accuracy_reference_group(),
                health_group(),
                *_windows(_WINDOWS),
                Group("batchproof-drift-lasting", lasting_alert(*_LASTS)),
            ],
        ),
        "prometheus/drift-demo.yml": rule_file(
            _HEADING
            + "The same over 5 minutes, to see it happen. Leave this file out in production.",
            _windows(_DEMO_WINDOWS),
        ),
    }


def _windows(holds: dict[str, str]) -> list[Group]:
    return [
        group
        for window, hold in holds.items()
        for group in (
            drift_group(window, drift_alerts(window, hold)),
            accuracy_group(window, hold),
        )
    ]
