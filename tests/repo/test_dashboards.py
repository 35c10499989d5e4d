"""The dashboards: form, places, and the names of what they ask for."""

import itertools
import re
from collections.abc import Iterator

import pytest

from batchproof_server.drift.signals import NUMERIC_SIGNALS
from monitoring.dashboard import Dashboard
from monitoring.drift_dashboard import drift_dashboard
from monitoring.panels import Json
from monitoring.serving_dashboard import serving_dashboard
from repo.checkout import ROOT

DASHBOARDS = [serving_dashboard(), drift_dashboard()]
both = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)


@both
def test_a_dashboard_has_the_form_that_grafana_11_to_13_load(dashboard: Dashboard) -> None:
    stored = dashboard.json()

    assert stored["schemaVersion"] == 41
    assert stored["id"] is None
    assert re.fullmatch(r"batchproof-[a-z]+", stored["uid"])
    assert "__inputs" not in stored


@both
def test_every_panel_asks_the_chosen_data_source(dashboard: Dashboard) -> None:
    asked = [part["datasource"] for panel in _panels(dashboard) for part in _asking(panel)]

    assert asked
    assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in asked)
    assert dashboard.json()["templating"]["list"][0]["name"] == "datasource"


@both
def test_every_panel_says_what_it_shows(dashboard: Dashboard) -> None:
    silent = [panel["title"] for panel in _panels(dashboard) if not panel["description"]]

    assert silent == []


@both
def test_the_column_of_a_lone_query_has_no_letter_in_grafana(dashboard: Dashboard) -> None:
    for panel in _panels(dashboard):
        for step in panel["transformations"]:
            if step["id"] == "organize":
                letters = [f"Value #{each['refId']}" for each in panel["targets"]]
                columns = letters if len(letters) > 1 else ["Value"]
                assert list(step["options"]["renameByName"]) == columns, panel["title"]


@both
def test_no_two_panels_cover_each_other_and_none_leaves_the_grid(dashboard: Dashboard) -> None:
    placed = dashboard.json()["panels"]
    covered = [
        (one["title"], other["title"])
        for one, other in itertools.combinations(placed, 2)
        if _squares(one) & _squares(other)
    ]

    assert covered == []
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in placed)
    assert len({panel["id"] for panel in placed}) == len(placed)


@both
def test_every_metric_is_exported_by_the_server_or_recorded_by_a_rule(dashboard: Dashboard) -> None:
    documented = (ROOT / "docs" / "metrics.md").read_text()
    exported = set(re.findall(r"^\| `(batchproof_\w+)`", documented, re.MULTILINE))
    recorded = {
        name
        for file in (ROOT / "deploy" / "prometheus").glob("*.yml")
        for name in re.findall(r"- record: (\S+)", file.read_text())
    }
    asked = set(_names(dashboard))

    assert {name for name in asked if ":" in name} <= recorded
    families = {name for name in asked if ":" not in name} - exported
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in families} <= exported


@both
def test_every_variable_of_a_query_is_a_choice_and_every_choice_is_used(
    dashboard: Dashboard,
) -> None:
    choices = {variable["name"] for variable in dashboard.json()["templating"]["list"]}
    used = {
        name
        for panel in _panels(dashboard)
        for target in panel["targets"]
        for name in re.findall(r"\$(\w+)", target["expr"])
    }

    assert used - {"__rate_interval"} == choices - {"datasource"}


def test_the_mean_shift_of_every_signal_is_in_one_panel() -> None:
    shifts = sorted(_shown(drift_dashboard(), "model_signal:mean_shift:"))

    assert shifts == sorted(NUMERIC_SIGNALS)


def test_the_choice_of_a_signal_offers_what_the_profile_holds() -> None:
    choices = {each["name"]: each for each in drift_dashboard().json()["templating"]["list"]}

    query = choices["signal"]["query"]["query"]
    assert query.startswith("label_values(batchproof_drift_reference_observations{")
    assert query.endswith(", signal)")
    assert choices["signal"]["regex"] == ""


def _shown(dashboard: Dashboard, family: str) -> Iterator[str]:
    """Signals that panels show of a family by name."""
    for panel in _panels(dashboard):
        for target in panel["targets"]:
            if family in target["expr"]:
                for names in re.findall(r'signal=~"([^"]+)"', target["expr"]):
                    yield from names.split("|")


def _panels(dashboard: Dashboard) -> list[Json]:
    return [panel for panel in dashboard.json()["panels"] if panel["type"] != "row"]


def _asking(panel: Json) -> list[Json]:
    return [panel, *panel["targets"]]


def _squares(panel: Json) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    columns = range(place["x"], place["x"] + place["w"])
    lines = range(place["y"], place["y"] + place["h"])
    return set(itertools.product(columns, lines))


def _names(dashboard: Dashboard) -> Iterator[str]:
    """Metrics in the queries of the panels and the choices; $window stands for one of them."""
    stored = dashboard.json()
    variables = [each["query"]["query"] for each in stored["templating"]["list"][1:]]
    panels = [target["expr"] for panel in _panels(dashboard) for target in panel["targets"]]
    for text in (*variables, *panels):
        yield from re.findall(r"batchproof_\w+", text)
        for name in re.findall(r"\bmodel\w*:[\w:$]+", text.replace("[$window]", "")):
            if not name.endswith("psi:"):
                yield name.replace("$window", "1h")
