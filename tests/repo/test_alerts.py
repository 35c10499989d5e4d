"""The rules of deploy/prometheus, tested by Prometheus' own tool."""

import re
from pathlib import Path

import pytest

from repo.checkout import ROOT, run

PROMETHEUS = ROOT / "deploy" / "prometheus"
TESTS = sorted(PROMETHEUS.glob("*.test.yml"))
# The demo has the rules of drift.yml over another window.
TESTED = sorted(
    {
        PROMETHEUS / file
        for path in TESTS
        for file in re.findall(r"rule_files:\n  - (\S+)", path.read_text())
    }
)


def test_prometheus_accepts_the_configuration_and_every_rule_file_in_it() -> None:
    checked = run(["promtool", "check", "config", PROMETHEUS / "prometheus.yml"]).stdout

    assert {path.name for path in [*TESTED, PROMETHEUS / "drift-demo.yml"]} == set(
        re.findall(r"Checking \S*/([\w-]+\.yml)\n\s+SUCCESS: \d+ rules", checked)
    )


@pytest.mark.parametrize("test", TESTS, ids=lambda path: path.stem)
def test_each_alert_fires_when_it_should_and_only_then(test: Path) -> None:
    assert "SUCCESS" in run(["promtool", "test", "rules", test]).stdout


def test_every_alert_has_a_test_and_a_section_in_the_runbook() -> None:
    alerts = _found(r"- alert: (\w+)", TESTED)

    assert alerts == _found(r"alertname: (\w+)", TESTS)
    assert alerts == _found(r"^### (\w+)$", [ROOT / "docs" / "monitoring.md"])


def test_every_alert_fires_somewhere_in_the_tests() -> None:
    fired = _found(r"alertname: (\w+)\n\s+exp_alerts:", TESTS)

    assert fired == _found(r"- alert: (\w+)", TESTED)


def test_the_rules_name_metrics_that_the_server_exports() -> None:
    exported = _found(r"^\| `(batchproof_\w+)`", [ROOT / "docs" / "metrics.md"])
    named = _found(r"batchproof_\w+", TESTED)
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in named - exported}

    assert named
    assert families <= exported


def _found(pattern: str, paths: list[Path]) -> set[str]:
    return {name for path in paths for name in re.findall(pattern, path.read_text(), re.MULTILINE)}
