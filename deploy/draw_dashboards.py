"""Draws the dashboards with Grafana's own components, as the pictures of the documentation.

    python deploy/draw_dashboards.py [--minutes 10] [--prometheus HOST:PORT] [--out docs/images]

Grafana itself cannot be had from a package registry, its components can: `make pictures` installs
them. They draw what the queries of each panel return from a Prometheus: yours, or one that is
started beside a server with a shadow and traffic that drifts half way.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import sync_playwright

DEPLOY: Final = Path(__file__).resolve().parent
DASHBOARDS: Final = DEPLOY / "grafana" / "dashboards"
DRAWING: Final = DEPLOY / "grafana" / "drawing"
EXAMPLE: Final = DEPLOY.parent / "examples" / "fashion_mnist" / "models" / "fashion-mnist"
STEP_S: Final = 5
_WINDOW_RATE: Final = "1m"
# The signal with a bin for each class, and the window that fills first.
_SHOWN_FIRST: Final = frozenset({"class", "5m"})
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_CHOICES: Final = re.compile(r"label_values\((.*), (\w+)\)")


def main() -> int:
    """0 when both are drawn."""
    asked = _arguments().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if asked.prometheus:
        _draw_all(Source(asked.prometheus, asked.minutes * 60), asked.out)
        return 0
    with tempfile.TemporaryDirectory() as folder, _monitored(Path(folder), asked.minutes) as page:
        _draw_all(Source(page, asked.minutes * 60), asked.out)
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Draws the dashboards.")
    parser.add_argument("--prometheus", metavar="HOST:PORT", help="that knows a server; else one")
    parser.add_argument("--minutes", type=int, default=10, help="that are drawn (10)")
    parser.add_argument("--out", type=Path, default=DEPLOY.parent / "docs" / "images")
    return parser


@dataclass(frozen=True)
class Source:
    """A Prometheus, and what is drawn of it.

    Attributes:
        page: its address.
        span_s: the time until now.
    """

    page: str
    span_s: float

    def values(self, metric: str, label: str) -> list[str]:
        """All values that a label has had in what matches, sorted."""
        found = self._ask("series", {"match[]": metric, **self._span()})
        return sorted({series[label] for series in found if label in series})

    def lines(self, expression: str) -> list[dict[str, Any]]:
        """Series over the span: each with its labels and its points."""
        asked = {"query": expression, "step": STEP_S, **self._span()}
        series: list[dict[str, Any]] = self._ask("query_range", asked)["result"]
        return series

    def now(self, expression: str) -> list[dict[str, Any]]:
        """The last value of each series."""
        series: list[dict[str, Any]] = self._ask("query", {"query": expression})["result"]
        return series

    def _span(self) -> dict[str, float]:
        now_s = time.time()
        return {"start": now_s - self.span_s, "end": now_s}

    def _ask(self, what: str, asked: Mapping[str, Any]) -> Any:
        address = f"http://{self.page}/api/v1/{what}?{urllib.parse.urlencode(asked)}"
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                return json.loads(answer.read())["data"]
        except (OSError, ValueError, KeyError) as fault:
            raise SystemExit(
                f"{self.page} does not answer as a Prometheus does ({fault}): give HOST:PORT of one"
            ) from fault


def _draw_all(source: Source, out: Path) -> None:
    for name in ("drift", "serving"):
        dashboard = json.loads((DASHBOARDS / f"{name}.json").read_text())
        file = out / f"grafana-{name}.png"
        _draw(filled(dashboard, source), file)
        print(f"wrote {file}", flush=True)


def filled(dashboard: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """A dashboard with what its queries return, as `window.draw` takes it."""
    variables = choices(dashboard["templating"]["list"], source)
    now_ms = int(time.time() * 1000)
    return {
        "title": dashboard["title"],
        "variables": {name: "All" if value == ".*" else value for name, value in variables.items()},
        "span": {"from_ms": now_ms - int(source.span_s * 1000), "to_ms": now_ms},
        "panels": [
            _filled_panel(panel, source, variables) for panel in _all_panels(dashboard["panels"])
        ],
    }


def choices(templates: Sequence[Mapping[str, Any]], source: Source) -> dict[str, str]:
    """What is chosen above the panels: all where one may, else what shows most, or the first."""
    chosen: dict[str, str] = {}
    for template in templates:
        if template["type"] != "query":
            continue
        found = _CHOICES.fullmatch(template["query"]["query"])
        if found is None:
            raise SystemExit(f"the variable {template['name']} asks for something else than labels")
        values = source.values(with_variables(found[1], chosen), found[2])
        if pattern := template["regex"].strip("/"):
            values = [match[1] for value in values if (match := re.fullmatch(pattern, value))]
        if not values:
            raise SystemExit(f"Prometheus knows no {template['name']} yet: is a server scraped?")
        usual = [value for value in values if value in _SHOWN_FIRST]
        chosen[template["name"]] = ".*" if template["includeAll"] else (usual or values)[0]
    return chosen


def with_variables(text: str, variables: Mapping[str, str]) -> str:
    """A text with Grafana's variables in it replaced."""
    known = {"__rate_interval": _WINDOW_RATE, **variables}
    return _VARIABLE.sub(lambda match: known[match[1] or match[2]], text)


def _all_panels(panels: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for panel in panels:
        yield panel
        yield from _all_panels(panel.get("panels", ()))


def _filled_panel(
    panel: Mapping[str, Any], source: Source, variables: Mapping[str, str]
) -> dict[str, Any]:
    title = with_variables(panel["title"], variables)
    if panel["type"] == "row":
        return {**panel, "title": title}
    if panel["type"] in {"barchart", "table"}:
        return {**panel, "title": title, "table": _table(panel["targets"], source, variables)}
    series = [line for target in panel["targets"] for line in _lines(target, source, variables)]
    if panel["type"] == "stat":  # without those that ended, as Grafana's lastNotNull has them
        series = [line for line in series if line["values"][-1] is not None]
    return {**panel, "title": title, "series": series}


def _lines(
    target: Mapping[str, Any], source: Source, variables: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    for series in source.lines(with_variables(target["expr"], variables)):
        times_s, values = zip(*series["values"], strict=True)
        yield {
            "name": with_variables(_named(target["legendFormat"], series["metric"]), variables),
            "times_ms": [time_s * 1000 for time_s in times_s],
            "values": [_number(value) for value in values],
        }


def _named(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), legend)


def _table(
    targets: Sequence[Mapping[str, Any]], source: Source, variables: Mapping[str, str]
) -> dict[str, Any]:
    """The series of all queries beside each other, joined by their label, in the order of bins."""
    columns: dict[str, dict[str, float | None]] = {}
    bins: dict[str, int] = {}
    for target in targets:
        column = columns.setdefault(target["legendFormat"], {})
        for series in source.now(with_variables(target["expr"], variables)):
            label = series["metric"].get("label", "")
            bins[label] = int(series["metric"].get("bin", 0))
            column[label] = _number(series["value"][1])
    labels = sorted(bins, key=lambda label: (bins[label], label))
    return {
        "labels": labels,
        "columns": [
            {"name": name, "values": [column.get(label) for label in labels]}
            for name, column in columns.items()
        ],
    }


def _number(text: str) -> float | None:
    """JSON has no infinities and no NaN."""
    number = float(text)
    return number if abs(number) < float("inf") else None


def _draw(dashboard: Mapping[str, Any], file: Path) -> None:
    program = shutil.which("chromium")
    if program is None or not (DRAWING / "build" / "draw.js").exists():
        raise SystemExit(
            "Chromium or Grafana's components are missing: `make pictures` brings them"
        )
    # Who runs as root has no sandbox. A page of a file may not load its script otherwise.
    arguments = ["--allow-file-access-from-files"]
    arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        page = browser.new_page(viewport={"width": 1616, "height": 900})
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.goto((DRAWING / "page.html").as_uri())
        page.evaluate("(dashboard) => window.draw(dashboard)", dashboard)
        page.wait_for_timeout(1500)  # the plots are drawn in frames of their own
        page.screenshot(path=file, full_page=True)
        browser.close()
    if faults:
        raise SystemExit(f"{file.name} is not what the dashboard says: {faults[0]}")


@contextmanager
def _monitored(folder: Path, minutes: int) -> Iterator[str]:
    """The Prometheus of `make monitor` with a shadow and capture, once it has seen all traffic."""
    models = folder / "models"
    for version in ("1", "2"):
        shutil.copytree(EXAMPLE / "1", models / EXAMPLE.name / version)
    variables = {
        "BATCHPROOF_SHADOW": f'{{ versions = {{ "{EXAMPLE.name}" = 2 }}, share = 1.0 }}',
        "BATCHPROOF_CAPTURE__DIRECTORY": str(folder / "captured"),
        "BATCHPROOF_CAPTURE__RANDOM_SHARE": "0.05",
    }
    command = [sys.executable, str(DEPLOY / "monitor.py"), "--models", str(models)]
    command += ["--calm-s", str(minutes * 30)]
    told = folder / "monitor.log"
    with (
        told.open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | variables) as monitor,
    ):
        try:
            page = _address(monitor, told)
            print(f"traffic for {minutes} minutes, of which the second half drifts", flush=True)
            if _ends_within(monitor, minutes * 60):
                raise SystemExit(told.read_text())
            yield page
        finally:
            monitor.terminate()


def _address(monitor: "subprocess.Popen[bytes]", told: Path) -> str:
    while not _ends_within(monitor, 1):
        if found := re.search(r"http://(\S+)/alerts", told.read_text()):
            return found[1]
    raise SystemExit(told.read_text())


def _ends_within(process: "subprocess.Popen[bytes]", time_s: float) -> bool:
    try:
        process.wait(time_s)
    except subprocess.TimeoutExpired:
        return False
    return True


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
