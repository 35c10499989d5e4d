"""A real Alertmanager in a process of its own, with the configuration of deploy/alertmanager."""

import json
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from system.process import PATIENCE_S, until

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
    binary = shutil.which("alertmanager")
    assert binary, "there is no alertmanager: run scripts/install-system-packages"
    address = f"127.0.0.1:{_free_port()}"
    command = [
        binary,
        f"--config.file={CONFIGURATION}",
        f"--storage.path={folder}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        running = Alertmanager(address)
        until("Alertmanager answers", lambda: process.poll() is not None or running.ready())
        assert process.poll() is None, (folder / "log").read_text()
        yield running
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
