"""Orders of operators survive a server that is killed, at whatever moment."""

import json
import signal
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from batchproof.v1 import management_pb2 as pb
from batchproof.v1 import management_pb2_grpc as pb_grpc
from system.bundles import write_affine
from system.conftest import Serve
from system.process import PATIENCE_S, ServerProcess, own_lines, run, until

ORDERS_UNTIL_KILLED = 20


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Versions 1 and 2 of "m"."""
    for version in (1, 2):
        write_affine(tmp_path / "models" / "m" / str(version), scale=float(version))
    return tmp_path / "models"


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """Where orders are kept."""
    return {"BATCHPROOF_MANAGEMENT__STATE_FILE": str(tmp_path / "orders.json")}


def ctl(server: ServerProcess, *order: str) -> str:
    """What an order was answered with; it was carried out."""
    ended = run("ctl", "--server", server.addresses()["management"], *order)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def killed(server: ServerProcess) -> None:
    """Ends a server as the kernel does where memory is short."""
    server.process.send_signal(signal.SIGKILL)
    server.wait_exit()


def test_what_an_operator_ordered_survives_a_kill(
    serve: Serve, repository: Path, variables: dict[str, str]
) -> None:
    server = serve(repository, "--management-port", "0", variables=variables).wait_serving()
    ctl(server, "label", "m", "stable", "1=95", "2=5")
    ctl(server, "rollback", "m")
    killed(server)

    server = serve(repository, "--management-port", "0", variables=variables).wait_serving()
    one, two = json.loads(ctl(server, "list", "--json"))
    assert (one["state"], one["is_default"], one["labels"]) == ("ready", True, ["stable"])
    assert (two["state"], two["is_refused"], two["labels"]) == ("unloaded", True, [])
    # Served is nothing, and that is what was ordered: the server stays.
    ctl(server, "label", "m", "stable=")
    ctl(server, "unload", "m")
    killed(server)
    server = serve(repository, "--management-port", "0", variables=variables)
    until("it has looked", lambda: '"unloaded"' in ctl(server, "list", "--json"))
    ctl(server, "load", "m", "2")
    assert server.process.poll() is None


def test_a_server_that_is_killed_while_orders_come_knows_the_last_that_was_answered(
    serve: Serve, repository: Path, variables: dict[str, str]
) -> None:
    for orders in range(ORDERS_UNTIL_KILLED, 2 * ORDERS_UNTIL_KILLED, 7):
        server = serve(repository, "--management-port", "0", variables=variables).wait_serving()
        moving = _Moving(server.addresses()["management"])
        moving.wait_for(orders)
        killed(server)
        moving.thread.join(PATIENCE_S)

        again = serve(repository, "--management-port", "0", variables=variables).wait_serving()
        listed = json.loads(ctl(again, "list", "--json"))
        (stable,) = (each["version"] for each in listed if "stable" in each["labels"])
        assert stable in {_version(moving.answered), _version(moving.answered + 1)}
        folder = Path(variables["BATCHPROOF_MANAGEMENT__STATE_FILE"]).parent
        assert json.loads((folder / "orders.json").read_text())["format"] == 1
        killed(again)


class _Moving:
    """Moves the label between two versions until nobody answers any more."""

    def __init__(self, address: str) -> None:
        self.answered = 0
        self._address = address
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def wait_for(self, orders: int) -> None:
        """Returns when so many orders were answered."""
        until("so many orders were answered", lambda: self.answered >= orders)

    def _run(self) -> None:
        with grpc.insecure_channel(self._address) as channel:
            make: Any = pb_grpc.ManagementServiceStub
            stub = make(channel)
            stub.LoadVersion(pb.LoadVersionRequest(model="m", version=1), timeout=PATIENCE_S)
            while True:
                labels = {"stable": _version(self.answered + 1)}
                try:
                    stub.SetLabels(pb.SetLabelsRequest(model="m", labels=labels))
                except grpc.RpcError:
                    return
                self.answered += 1


def _version(order: int) -> int:
    return 1 + order % 2


@pytest.mark.parametrize("content", ["", "{", '{"format": 2}', '{"models": {"m": 1}}'])
def test_a_file_that_holds_something_else_ends_the_start_in_a_sentence(
    repository: Path, variables: dict[str, str], content: str
) -> None:
    Path(variables["BATCHPROOF_MANAGEMENT__STATE_FILE"]).write_text(content)
    ended = run("serve", repository, "--grpc-port", "0", "--http-port", "0", variables=variables)
    assert ended.returncode == 2
    said = " ".join(own_lines(ended))
    assert "management.state_file: " in said
    assert "move it away to start by the configuration alone" in said
