"""The web port of a real process: a signal under load, and callers that never finish."""

import http.client
import json
import resource
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest

from system.bundles import write_affine
from system.conftest import Serve
from system.process import PATIENCE_S, ServerProcess, until

CLIENTS = 8
SLOW = 1_000
MORE_DESCRIPTORS = 100
PATH = "/v1/models/exact:predict"
BODY = json.dumps({"instances": [[1, 2, 3, 4]]})
HALVES = (
    b"POST /v1/predict HTTP/1.1\r\nX-Slow: ",
    b"POST /v1/predict HTTP/1.1\r\nContent-Length: 1000\r\n\r\nx",
)


@pytest.fixture
def server(serve: Serve, tmp_path: Path) -> ServerProcess:
    """One model, and a web port."""
    write_affine(tmp_path / "exact" / "1", (4,))
    return serve(tmp_path, "--web-port", "0").wait_serving()


class Caller:
    """Asks on one connection that it keeps, until the server is gone; connects at once.

    Args:
        address: of the web port.
    """

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
        self._connection.auto_open = 0
        self._connection.connect()
        self.seen: Counter[str] = Counter()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        connection, is_fresh = self._connection, False
        while True:
            try:
                connection.request("POST", PATH, BODY)
                answer = connection.getresponse()
                answer.read()
            except (http.client.HTTPException, OSError) as lost:
                # What the kernel holds when the port is closed, nobody accepted.
                is_reset = is_fresh and type(lost) in {ConnectionResetError, BrokenPipeError}
                self.seen["reset" if is_reset else f"lost: {type(lost).__name__}"] += 1
                return
            self.seen[str(answer.status)] += 1
            if answer.getheader("Connection") == "close":
                try:  # as a client does that keeps connections
                    connection.connect()
                except ConnectionRefusedError:
                    return
                is_fresh = True
            else:
                is_fresh = False


@pytest.mark.parametrize("moment", [1, 200])
def test_sigterm_under_load_loses_no_answer_on_kept_connections(
    server: ServerProcess, moment: int
) -> None:
    callers = [Caller(server.web) for _ in range(CLIENTS)]
    for caller in callers:
        caller.thread.start()
    until("they are answered", lambda: sum(each.seen["200"] for each in callers) >= moment)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(PATIENCE_S) == 0
    for caller in callers:
        caller.thread.join(PATIENCE_S)
    seen = sum((each.seen for each in callers), Counter[str]())
    assert {status for status in seen if status not in {"200", "503", "reset"}} == set(), seen


@contextmanager
def half_requests(address: str, half: bytes) -> Iterator[None]:
    """A thousand callers that never send the rest."""
    host, _, port = address.rpartition(":")
    with ExitStack() as held:
        for _ in range(SLOW):
            caller = held.enter_context(socket.create_connection((host, int(port)), PATIENCE_S))
            caller.sendall(half)
        yield


@pytest.mark.parametrize("half", HALVES)
def test_a_thousand_half_requests_stop_nobody(server: ServerProcess, half: bytes) -> None:
    with half_requests(server.web, half):
        for _ in range(20):
            connection = http.client.HTTPConnection(server.web, timeout=PATIENCE_S)
            connection.request("POST", PATH, BODY)
            assert connection.getresponse().status == 200
            connection.close()
        assert server.get("/readyz")[0] == 200


def kept_connection(address: str) -> http.client.HTTPConnection:
    """One that was answered and stays."""
    connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
    connection.request("POST", PATH, BODY)
    answer = connection.getresponse()
    assert (answer.status, bool(answer.read())) == (200, True)
    return connection


def test_kept_connections_leave_descriptors_to_every_port(server: ServerProcess) -> None:
    fewest = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) + MORE_DESCRIPTORS
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (fewest, fewest))
    with ExitStack() as held:
        for _ in range(3 * MORE_DESCRIPTORS):
            held.callback(kept_connection(server.web).close)
        kept_connection(server.web).close()
        assert server.get("/readyz")[0] == 200
        with grpc.insecure_channel(server.grpc) as channel:
            grpc.channel_ready_future(channel).result(PATIENCE_S)
