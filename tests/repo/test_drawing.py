"""What is drawn of a dashboard is what its queries return, under its variables."""

import json
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

import pytest

from draw_dashboards import DASHBOARDS, Source, choices, filled, with_variables

LABELS: Final = {
    "model": "shoes",
    "version": "3",
    "profile": "abc",
    "signal": "class",
    "label": "boot",
    "bin": "1",
}
WINDOWS: Final = ("24h", "5m")


class _Prometheus(BaseHTTPRequestHandler):
    """Answers everything with one series, and remembers what it was asked."""

    asked: Final[list[str]] = []

    def do_GET(self) -> None:
        address = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(address.query)
        content = json.dumps({"data": self._data(address.path, query)}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content)

    def _data(self, path: str, query: dict[str, list[str]]) -> Any:
        if path.endswith("/series"):
            names = [f"model_signal:psi:{window}" for window in WINDOWS]
            return [{"__name__": name, **LABELS} for name in names]
        self.asked.append(query["query"][0])
        if path.endswith("/query_range"):
            return {"result": [{"metric": LABELS, "values": [[10, "0.5"], [15, "NaN"], [20, "1"]]}]}
        return {"result": [{"metric": LABELS, "value": [20, "0.25"]}]}

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Prometheus) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield Source(f"127.0.0.1:{server.server_address[1]}", 60)
        server.shutdown()


def test_variables_are_replaced_in_both_spellings_and_a_rate_has_its_window() -> None:
    text = "rate(x{a='$model',b='${version}'}[$__rate_interval])"
    assert with_variables(text, LABELS) == "rate(x{a='shoes',b='3'}[1m])"


def test_a_variable_that_is_not_there_is_not_drawn_as_nothing() -> None:
    with pytest.raises(KeyError):
        with_variables("$modle", LABELS)


def test_the_window_that_fills_first_is_drawn_and_all_versions_where_one_may(
    source: Source,
) -> None:
    templates = _dashboard("drift")["templating"]["list"]
    wanted = {name: LABELS[name] for name in ("model", "version", "profile", "signal")}
    assert choices(templates, source) == {**wanted, "window": "5m"}
    of_serving = choices(_dashboard("serving")["templating"]["list"], source)
    assert of_serving == {"model": "shoes", "version": ".*"}


@pytest.mark.parametrize("name", ["drift", "serving"])
def test_every_panel_has_what_its_queries_return(source: Source, name: str) -> None:
    _Prometheus.asked.clear()
    drawn = filled(_dashboard(name), source)
    assert not [expression for expression in _Prometheus.asked if "$" in expression]
    kinds = {panel["type"] for panel in drawn["panels"]}
    assert kinds <= {"row", "timeseries", "stat", "barchart", "table"}
    for panel in drawn["panels"]:
        assert "$" not in panel["title"]
        if panel["type"] in {"timeseries", "stat"}:
            assert len(panel["series"]) == len(panel["targets"])
            assert {str(line["values"]) for line in panel["series"]} == {"[0.5, None, 1.0]"}
            assert not [line["name"] for line in panel["series"] if "{{" in line["name"]]
        if panel["type"] in {"barchart", "table"}:
            assert panel["table"]["labels"] == ["boot"]
            assert {str(each["values"]) for each in panel["table"]["columns"]} == {"[0.25]"}
    json.dumps(drawn, allow_nan=False)


def _dashboard(name: str) -> Any:
    return json.loads((DASHBOARDS / f"{name}.json").read_text())
