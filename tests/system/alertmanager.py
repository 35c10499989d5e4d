"""A real Alertmanager in a process of its own, with the configuration of deploy/alertmanager."""

import json
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from system.installed import free_port, installed
from system.process import PATIENCE_S

CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy/alertmanager/alertmanager.yml"


@dataclass(frozen=True)
class Alertmanager:
    """What it was told, and what it makes of it."""

    address: str

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            self._get("status")
        except OSError:
            return False
        return True

    def tell(self, alerts: Iterable[Mapping[str, str]]) -> None:
        """Alerts that fire, each by its labels, as Prometheus sends them."""
        body = json.dumps([{"labels": dict(labels)} for labels in alerts])
        connection = HTTPConnection(self.address, timeout=PATIENCE_S)
        with closing(connection):
            connection.request("POST", "/api/v2/alerts", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == HTTPStatus.OK, answer.read()

    def groups(self) -> list[dict[str, Any]]:
        """What would be one message each: ``labels``, ``receiver`` and ``alerts``."""
        groups: list[dict[str, Any]] = self._get("alerts/groups")
        return groups

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(
            f"http://{self.address}/api/v2/{path}", timeout=PATIENCE_S
        ) as answer:
            return json.load(answer)


@contextmanager
def alertmanager(folder: Path) -> Iterator[Alertmanager]:
    """It runs until the end, alone, and tells nobody."""
    running = Alertmanager(f"127.0.0.1:{free_port()}")
    options = (
        f"--config.file={CONFIGURATION}",
        f"--storage.path={folder}",
        f"--web.listen-address={running.address}",
        "--cluster.listen-address=",
    )
    with installed("alertmanager", *options, folder=folder, answers=running.ready):
        yield running
