"""The page is made of the figures, and the figures are of the published form."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from charts import draw
from page import cell, page
from repo.checkout import ROOT
from results import SCHEMA, Aim, Chart, Outcome, Table, outcome_from_json

SCHEMA_FILE = ROOT / "docs/schemas/benchmarks.schema.json"
CHART = Chart("performance-example", "Example", "x", "y", {"one": [(1.0, 0.5), (2.0, 0.75)]})
OUTCOME = Outcome(
    title="Example",
    how="It was made up.",
    tables=(Table("Figures", ("model", "ratio", "p50, ms"), (("small", 0.5, None),)),),
    charts=(CHART,),
    aims=(Aim("share of something", 0.94, 0.95), Aim("ms added", 0.2, 0.3, at_least=False)),
)


def results(outcome: Outcome = OUTCOME) -> dict[str, Any]:
    measured = {
        "outcome": outcome.as_json(),
        "duration_s": 90.0,
        "measured_at": "2026-01-02T03:04:05+00:00",
        "commit": "abc",
        "machine": {"processor": "of somebody"},
        "seconds": 1.0,
        "repeats": 3,
    }
    text = json.dumps({"schema": SCHEMA, "scenarios": {"a": measured}})
    read: dict[str, Any] = json.loads(text)
    return read


def test_what_is_written_has_the_published_form_and_is_read_again() -> None:
    written = results()
    jsonschema.validate(written, json.loads(SCHEMA_FILE.read_text()))
    again = outcome_from_json(written["scenarios"]["a"]["outcome"])
    assert again.tables == OUTCOME.tables
    assert again.aims == OUTCOME.aims


def test_the_page_shows_aims_notes_tables_charts_and_where_they_come_from() -> None:
    text = page(results(), "## What limits it\n\nThe loop.")
    assert "| share of something | 0.940 | at least 0.950 | **no** | (a) |" in text
    assert "| ms added | 0.200 | at most 0.300 | yes | (a) |" in text
    assert "| small | 0.500 | - |" in text
    assert "![Example](images/performance-example.svg)" in text
    assert text.index("(a) Example") < text.index("Measured on: processor of somebody")
    assert "Commit abc" in text
    assert text.index("The aims") < text.index("The loop.") < text.index("(a) Example")


def test_results_of_another_form_make_no_page() -> None:
    with pytest.raises(ValueError, match="expected"):
        page(results() | {"schema": "another"}, "")


def test_a_row_that_does_not_fit_its_heads_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="1 cells, expected 2"):
        replace(OUTCOME.tables[0], columns=("a", "b"), rows=(("x",),))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (float("inf"), "-"),
        ("text", "text"),
        (16, "16"),
        (1234.5, "1,234"),
        (0.0712, "0.071"),
        (12.345, "12.3"),
        (0.95, "0.950"),
    ],
)
def test_figures_have_the_digits_that_count(value: float | str | None, shown: str) -> None:
    assert cell(value) == shown


def test_a_chart_is_the_same_file_for_the_same_figures(tmp_path: Path) -> None:
    first = draw(CHART, tmp_path).read_bytes()
    assert draw(replace(CHART, log_x=False), tmp_path).read_bytes() == first
    crowded = {str(number): [(1.0, number), (2.0, number)] for number in range(1, 7)}
    for other in ({"log_x": True}, {"log_y": True}, {"lines": crowded}):
        assert draw(replace(CHART, **other), tmp_path).read_bytes() != first


def test_the_committed_page_is_made_of_the_committed_figures() -> None:
    committed = json.loads((ROOT / "docs/performance.json").read_text())
    jsonschema.validate(committed, json.loads(SCHEMA_FILE.read_text()))
    notes = (ROOT / "docs/performance-notes.md").read_text()
    assert (ROOT / "docs/performance.md").read_text() == page(committed, notes)
