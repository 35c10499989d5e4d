"""A real Prometheus in a process of its own, with the rules of deploy/prometheus."""

import json
import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from system.installed import free_port, installed
from system.process import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus"
# Prometheus gives every target and every group of rules its own place within an interval. With
# equal intervals a scrape under way at one evaluation would be under way at every other one.
_CONFIGURATION = """
global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1300ms }
rule_files: [ "*.yml" ]
scrape_configs: [ { job_name: batchproof, static_configs: [ { targets: %s } ] } ]
"""


@dataclass(frozen=True)
class Prometheus:
    """What it knows."""

    address: str

    def query(self, expression: str, time_s: float | None = None) -> list[dict[str, Any]]:
        """The samples of an expression, each with ``metric`` and ``value``."""
        parameters = {"query": expression} | ({} if time_s is None else {"time": str(time_s)})
        result: list[dict[str, Any]] = self._get("query", parameters)["result"]
        return result

    def ever(self, expression: str, since_s: float) -> list[dict[str, Any]]:
        """The series that an expression had at any second since then, each with ``values``."""
        window = {"start": str(since_s), "end": str(max(since_s, time.time())), "step": "1"}
        result: list[dict[str, Any]] = self._get("query_range", {"query": expression, **window})[
            "result"
        ]
        return result

    def value(self, expression: str, time_s: float | None = None) -> float | None:
        """The only sample's value; nothing when there is none."""
        samples = self.query(expression, time_s)
        assert len(samples) <= 1, samples
        return float(samples[0]["value"][1]) if samples else None

    def by(self, label: str, expression: str, time_s: float | None = None) -> dict[str, float]:
        """The values by one label."""
        return {
            sample["metric"][label]: float(sample["value"][1])
            for sample in self.query(expression, time_s)
        }

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self._get("query", {"query": "1"}))
        except OSError:
            return False

    def _get(self, path: str, parameters: dict[str, str]) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(
            f"http://{self.address}/api/v1/{path}?{query}", timeout=PATIENCE_S
        ) as answer:
            return json.load(answer)["data"]


@contextmanager
def prometheus(folder: Path, targets: Sequence[str]) -> Iterator[Prometheus]:
    """Scrapes ``targets`` every second, and evaluates every rule about as often."""
    rules = folder / "rules"
    rules.mkdir(parents=True)
    for file in RULES.glob("*.yml"):
        if file.name != "prometheus.yml" and not file.name.endswith(".test.yml"):
            shutil.copy(file, rules)
    configuration = folder / "prometheus.yml"
    configuration.write_text(
        _CONFIGURATION.replace("*.yml", "rules/*.yml") % json.dumps(list(targets))
    )
    server = Prometheus(f"127.0.0.1:{free_port()}")
    options = (
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={server.address}",
    )
    with installed("prometheus", *options, folder=folder, answers=server.ready):
        yield server
