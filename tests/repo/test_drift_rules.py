"""The rules of drift against numpy: promtool computes both sides of every comparison."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof_server.drift.class_groups import UNORDERED
from repo.checkout import ROOT, run
from repo.drift_formulas import Floats, chi_square, distances, ordered, significant, smoothed

RULES = ROOT / "deploy" / "prometheus" / "drift.yml"
WINDOW_MINUTES = 60
TOLERANCE = 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_every_figure_equals_numpy(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    cases = [_case(random, number) for number in range(12)]

    _promtool(tmp_path, cases)


def test_anderson_darling_is_that_of_an_example_worked_out_by_hand() -> None:
    n, p = np.array([300.0, 300.0, 0.0]), np.array([0.5, 0.3, 0.2])
    by_hand = 600 * (0.3 * 0.1**2 / (0.65 * 0.35) + 0.2 * 0.1**2 / (0.9 * 0.1))

    assert ordered(n, p, 1e12, 6000)["anderson_darling"] == pytest.approx(by_hand, rel=1e-6)


def test_a_wrong_figure_would_be_noticed(tmp_path: Path) -> None:
    case = _case(np.random.default_rng(0), 0)
    case["promql_expr_test"][0]["expr"] += " - 1"

    with pytest.raises(AssertionError, match="got:"):
        _promtool(tmp_path, [case])


def _case(random: np.random.Generator, number: int) -> dict[str, Any]:
    """One signal of one version, seen over two replicas, against numpy."""
    signal = ("class", "confidence", "class_group", "tta_flip_rate")[number % 4]
    bins = int(random.integers(2, 21))
    reference = random.multinomial(random.integers(300, 20_000), random.dirichlet(np.ones(bins)))
    p, size = smoothed(reference), float(reference.sum())
    current = random.dirichlet(np.ones(bins) * 50 * number) if number % 2 else p
    n = random.multinomial(random.integers(10, 5_000), current).astype(np.float64)
    deviations = n.sum() * (10 + random.normal(0, 0.3))
    figures = distances(n, p, size) | chi_square(n, p, size)
    if signal not in UNORDERED:
        figures |= ordered(n, p, size, deviations)
    labels = f'model="m", version="1", profile="a", signal="{signal}"'
    return {
        "interval": "1m",
        "input_series": [
            *_reference(labels, p, size),
            *_replicas(labels, n, random.uniform(0, 1, bins)),
            *(_deviations(labels, deviations, n.sum()) if signal not in UNORDERED else ()),
        ],
        "promql_expr_test": list(_comparisons(labels, figures, n.sum())),
    }


def _reference(labels: str, p: Floats, size: float) -> Iterator[dict[str, str]]:
    """Both replicas export the reference."""
    for replica in "ab":
        for number, share in enumerate(p):
            yield _gauge(
                f'reference_share_ratio{{{labels}, bin="{number:02d}", instance="{replica}"}}',
                share,
            )
        yield _gauge(f'reference_observations{{{labels}, instance="{replica}"}}', size)


def _replicas(labels: str, n: Floats, parts: Floats) -> Iterator[dict[str, str]]:
    for number, (count, part) in enumerate(zip(n, parts, strict=True)):
        for replica, share in (("a", part), ("b", 1 - part)):
            series = f'{labels}, bin="{number:02d}", instance="{replica}"'
            yield _counter(f"observations_total{{{series}}}", count * share)


def _deviations(labels: str, total: float, count: float) -> tuple[dict[str, str], ...]:
    return (
        _counter(f"deviation_sum_total{{{labels}}}", total),
        _counter(f"deviations_total{{{labels}}}", count),
    )


def _gauge(series: str, value: float) -> dict[str, str]:
    return {
        "series": f"batchproof_drift_{series}",
        "values": f"{float(value)!r}+0x{WINDOW_MINUTES}",
    }


def _counter(series: str, increase: float) -> dict[str, str]:
    """Grows evenly over the window, so that nothing is extrapolated."""
    values = [repr(float(step * increase / WINDOW_MINUTES)) for step in range(WINDOW_MINUTES + 1)]
    return {"series": f"batchproof_drift_{series}", "values": " ".join(values)}


def _comparisons(labels: str, figures: dict[str, float], total: float) -> Iterator[dict[str, Any]]:
    for name, value in figures.items():
        allowed = TOLERANCE * max(1, abs(value))
        expression = f"abs(model_signal:{name}:1h{{{labels}}} - {value!r}) < bool {allowed!r}"
        yield _expected(expression, labels, 1)
    name = "model_signal:drift_significant:1h"
    yield _expected(f"{name} + 0", labels, float(significant(figures, total)))


def _expected(expression: str, labels: str, value: float) -> dict[str, Any]:
    return {
        "expr": expression,
        "eval_time": f"{WINDOW_MINUTES}m",
        "exp_samples": [{"labels": f"{{{labels}}}", "value": value}],
    }


def _promtool(folder: Path, cases: list[dict[str, Any]]) -> None:
    """Runs the cases; JSON is YAML too."""
    file = folder / "cases.json"
    order = re.findall(r"^  - name: (\S+)", RULES.read_text(), re.MULTILINE)
    suite = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1h",
        "group_eval_order": order,
        "tests": cases,
    }
    file.write_text(json.dumps(suite))
    assert "SUCCESS" in run(["promtool", "test", "rules", file]).stdout
