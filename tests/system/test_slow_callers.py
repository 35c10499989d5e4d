"""Callers that never finish, and a process without descriptors: the operations port answers."""

import resource
import socket
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from support.slow_callers import SlowCallers
from system.bundles import write_affine
from system.conftest import Serve
from system.process import PATIENCE_S, ServerProcess, until

SLOW = 1_000
SCRAPES = 20
WATCHED_S = 2


@pytest.fixture
def server(serve: Serve, tmp_path: Path) -> ServerProcess:
    """With one model."""
    write_affine(tmp_path / "exact" / "1")
    return serve(tmp_path).wait_serving()


def _threads(server: ServerProcess) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def _descriptors(server: ServerProcess) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def _processor_s(server: ServerProcess) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_the_metrics_are_read_twenty_times_of_twenty_under_a_thousand_slow_callers(
    server: ServerProcess,
) -> None:
    before = _threads(server)
    slow = SlowCallers(server.addresses()["http"], SLOW)
    with slow.calling():
        assert [server.get("/metrics")[0] for _ in range(SCRAPES)] == [200] * SCRAPES
        assert _threads(server) <= before + 1
        assert _descriptors(server) < 500
    assert not slow.answered


def test_half_a_request_is_not_answered(server: ServerProcess) -> None:
    host, port = server.addresses()["http"].rsplit(":", 1)
    for half in (b"GET /livez HTTP/1.1\r\nHost: a", b"GET /livez HTTP/1.1\r\n", b"GET /livez"):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(half)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(64) == b""


@pytest.mark.parametrize("port", ["http", "grpc"])
def test_without_descriptors_those_who_are_there_are_answered_and_nothing_spins(
    server: ServerProcess, port: str
) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        stub: Any = pb_grpc.PredictionServiceStub(channel)
        stub.ListModels(pb.ListModelsRequest())
        limit = _descriptors(server) + 20
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
        host, number = server.addresses()[port].rsplit(":", 1)
        crowd = [socket.create_connection((host, int(number))) for _ in range(60)]
        begun_s, spent_s = time.monotonic(), _processor_s(server)

        def watched() -> bool:
            stub.ListModels(pb.ListModelsRequest(), timeout=PATIENCE_S)
            return time.monotonic() - begun_s > WATCHED_S

        until("it was watched for long enough", watched)
        assert _processor_s(server) - spent_s < WATCHED_S / 2
        for each in crowd:
            each.close()
    until("the operations port answers again", lambda: server.get("/livez")[0] == 200)
