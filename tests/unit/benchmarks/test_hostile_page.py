"""The table of hostile callers is made of its figures, and says what misses its aim."""

import json
from typing import Any

import pytest

from hostile import ATTACKS, page
from repo.checkout import ROOT

MEASURED = {"load": "3", "commit": "abc", "measured_at": "2026-01-02T03:04:05+00:00"}


def figures(**of: list[float]) -> dict[str, dict[str, Any]]:
    return {name: {**MEASURED, "figures": each} for name, each in of.items()}


@pytest.mark.parametrize(
    ("name", "figure", "shown"),
    [
        ("tensor", 0.1, "0.100 s"),
        ("tensor", 0.2, "**0.200 s**"),
        ("greedy", 20.0, "20"),
        ("greedy", 19.0, "**19**"),
        ("halves", 1.0, "1"),
        ("halves", 2.0, "**2**"),
    ],
)
def test_a_figure_on_the_wrong_side_of_its_aim_is_bold(
    name: str, figure: float, shown: str
) -> None:
    assert f"| {shown} | 3 |" in page(figures(**{name: [figure]}))


def test_the_committed_page_is_made_of_the_committed_figures() -> None:
    committed = json.loads((ROOT / "docs/measurements/hostile.json").read_text())
    assert set(committed) <= set(ATTACKS)
    assert (ROOT / "docs/measurements/hostile.md").read_text() == page(committed)
