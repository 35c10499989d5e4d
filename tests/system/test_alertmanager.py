"""Who is told of which alerts, by the real Alertmanager with the shipped configuration."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from system.alertmanager import CONFIGURATION, Alertmanager, alertmanager
from system.process import until

RULES = CONFIGURATION.parents[1] / "prometheus"
SERVER = {"job": "batchproof", "instance": "i"}
CATS = {"model": "cats", "version": "1"}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Alertmanager]:
    with alertmanager(tmp_path) as running:
        yield running


def alert(name: str, severity: str, **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, **labels}


def said(running: Alertmanager, *alerts: Mapping[str, str]) -> dict[str, set[str]]:
    """The alerts that each receiver is told of, once all have arrived."""
    running.tell(alerts)
    until("they have arrived", lambda: _arrived(running) == _wanted(alerts))
    by_receiver: dict[str, set[str]] = {}
    for group in running.groups():
        names = {
            each["labels"]["alertname"]
            for each in group["alerts"]
            if not each["status"]["inhibitedBy"]
        }
        if names:
            by_receiver.setdefault(group["receiver"]["name"], set()).update(names)
    return by_receiver


def _arrived(running: Alertmanager) -> set[tuple[str, ...]]:
    return {
        tuple(sorted(each["labels"].values()))
        for group in running.groups()
        for each in group["alerts"]
    }


def _wanted(alerts: tuple[Mapping[str, str], ...]) -> set[tuple[str, ...]]:
    return {tuple(sorted(labels.values())) for labels in alerts}


def test_severity_decides_who_is_told(running: Alertmanager) -> None:
    assert said(
        running,
        alert("AccuracyDropped", "critical", **CATS, window="1h"),
        alert("SelfCheckStarved", "warning", **SERVER, **CATS),
        alert("DriftReferenceMissing", "info", **CATS),
    ) == {
        "on-call": {"AccuracyDropped"},
        "people": {"SelfCheckStarved"},
        "nobody": {"DriftReferenceMissing"},
    }


def test_severe_drift_silences_the_warning_of_that_version_and_of_no_other(
    running: Alertmanager,
) -> None:
    severe = alert("PredictionDriftSevere", "critical", **CATS, window="1h", profile="p")
    mild = alert("PredictionDrift", "warning", **CATS, window="24h", profile="p")
    assert said(running, severe, mild) == {"on-call": {"PredictionDriftSevere"}}

    other = alert("PredictionDrift", "warning", model="dogs", version="1", window="1h")
    assert said(running, severe, mild, other) == {
        "on-call": {"PredictionDriftSevere"},
        "people": {"PredictionDrift"},
    }


def test_of_a_server_that_is_down_nothing_else_is_told(running: Alertmanager) -> None:
    assert said(
        running,
        alert("ServerDown", "critical", **SERVER),
        alert("VersionNotReady", "critical", **SERVER, **CATS),
        alert("CertificateEnds", "warning", **SERVER, port="grpc"),
        alert("VersionNotReady", "critical", job="batchproof", instance="other", **CATS),
    ) == {"on-call": {"ServerDown", "VersionNotReady"}}


def test_a_version_that_does_not_answer_explains_what_else_is_wrong_with_it(
    running: Alertmanager,
) -> None:
    assert said(
        running,
        alert("VersionNotReady", "critical", **SERVER, **CATS),
        alert("DeviceRestarts", "warning", **SERVER, **CATS),
        alert("RequestsFail", "critical", **SERVER, model="cats"),
        alert("QueueFull", "warning", **SERVER, model="dogs"),
    ) == {"on-call": {"VersionNotReady"}, "people": {"QueueFull"}}


def test_the_quick_burn_of_a_budget_silences_the_slow_one(running: Alertmanager) -> None:
    assert said(
        running,
        alert("ShedBudgetBurns", "critical", **CATS, window="1h"),
        alert("ShedBudgetBurns", "warning", **CATS, window="6h"),
        alert("QueueFull", "warning", **SERVER, model="cats"),
        alert("LatencyBudgetBurns", "warning", **CATS, window="6h"),
    ) == {"on-call": {"ShedBudgetBurns"}, "people": {"LatencyBudgetBurns"}}


def test_what_is_wrong_with_one_model_is_one_message(running: Alertmanager) -> None:
    said(
        running,
        alert("PredictionDrift", "warning", **CATS, window="1h", profile="p"),
        alert("LatencyBudgetBurns", "warning", **CATS, window="6h"),
        alert("LatencyBudgetBurns", "warning", model="dogs", version="2", window="6h"),
    )

    grouped = {group["labels"]["model"]: len(group["alerts"]) for group in running.groups()}
    assert grouped == {"cats": 2, "dogs": 1}


def test_the_configuration_names_alerts_that_exist() -> None:
    named = {
        name
        for names in re.findall(r"alertname [!=]=?~? ?\"?([\w|]+)", CONFIGURATION.read_text())
        for name in names.split("|")
    }
    rules = "\n".join(path.read_text() for path in RULES.glob("*.yml"))

    assert len(named) > 8
    assert named <= set(re.findall(r"- alert: (\w+)", rules))
