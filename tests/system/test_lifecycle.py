"""From start to exit: addresses, health, signals and exit codes."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from system.bundles import EMBEDDED, write_affine, write_image_model
from system.conftest import Serve
from system.process import NOT_SERVING, PATIENCE_S, SERVING, ServerProcess, own_lines, until

LAME_DUCK = {"BATCHPROOF_SERVER__LAME_DUCK_S": str(PATIENCE_S)}
BOTH_SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the one model "exact"."""
    write_affine(tmp_path / "exact" / "1")
    return tmp_path


@pytest.fixture
def stuck(tmp_path: Path) -> Path:
    """A repository whose model loads until somebody writes its labels."""
    bundle = write_affine(tmp_path / "stuck" / "1")
    os.mkfifo(bundle / "labels.txt")
    return tmp_path


def _loading(server: ServerProcess) -> bool:
    states = [record["state"] for record in server.records("model changed")]
    return states == ["loading"]


def test_the_first_line_is_one_json_object_with_the_addresses(
    serve: Serve, repository: Path
) -> None:
    server = serve(repository).wait_serving()
    addresses = json.loads(server.out[0])
    assert sorted(addresses) == ["grpc", "http"]
    assert all(address.startswith("127.0.0.1:") for address in addresses.values())
    assert server.stop(signal.SIGTERM) == 0
    assert len(server.out) == 1


def test_health_is_not_serving_while_loading_and_serving_after(serve: Serve, stuck: Path) -> None:
    server = serve(stuck)
    server.wait_loading()
    assert (server.health(), server.health("stuck")) == (NOT_SERVING, NOT_SERVING)
    assert server.get("/readyz")[0] == 503
    assert server.get("/livez")[0] == 200
    (stuck / "stuck" / "1" / "labels.txt").write_text("a\nb\nc\nd\n")
    server.wait_serving()
    assert server.health("stuck") == SERVING
    assert server.health("batchproof.v1.PredictionService") == 0


def test_who_listens_when_ready_is_not_reached_before(serve: Serve, stuck: Path) -> None:
    late = {"BATCHPROOF_SERVER__LISTEN_FROM": "ready"}
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    server = serve(stuck, "--grpc-port", str(port), variables=late)
    server.wait_loading()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert server.out == []
    (stuck / "stuck" / "1" / "labels.txt").write_text("a\nb\nc\nd\n")
    assert server.wait_serving().grpc == f"127.0.0.1:{port}"
    assert server.stop(signal.SIGTERM) == 0


@BOTH_SIGNALS
def test_a_signal_before_it_listens_ends_in_order(
    serve: Serve, stuck: Path, number: signal.Signals
) -> None:
    server = serve(stuck, variables={"BATCHPROOF_SERVER__LISTEN_FROM": "ready"})
    server.wait_loading()
    assert server.stop(number) == 0
    assert server.out == []


@BOTH_SIGNALS
def test_a_signal_ends_an_idle_server_in_order(
    serve: Serve, repository: Path, number: signal.Signals
) -> None:
    server = serve(repository).wait_serving()
    assert server.stop(number) == 0
    assert not [line for line in server.err if "Traceback" in line]


@BOTH_SIGNALS
def test_a_signal_while_a_model_loads_does_not_wait_for_the_model(
    serve: Serve, stuck: Path, number: signal.Signals
) -> None:
    server = serve(stuck)
    server.wait_loading()
    assert server.stop(number) == 0
    assert not [line for line in server.err if "Traceback" in line]


def test_a_signal_while_tensorflow_loads_ends_in_order(serve: Serve) -> None:
    server = serve(EMBEDDED)
    server.wait_loading()
    assert server.stop(signal.SIGTERM) == 0
    assert not [line for line in server.err if "Traceback" in line]
    assert _loading(server)


async def test_draining_is_seen_by_watchers_and_they_do_not_hold_it_up(
    serve: Serve, repository: Path
) -> None:
    server = serve(repository).wait_serving()
    async with aio.insecure_channel(server.grpc) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        server.process.terminate()
        assert (await watch.read()).status == NOT_SERVING
        with pytest.raises(aio.AioRpcError) as ended:
            await watch.read()
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await asyncio.to_thread(server.wait_exit) == 0


def test_a_lame_duck_answers_while_it_says_that_it_is_going(serve: Serve, repository: Path) -> None:
    server = serve(repository, variables=LAME_DUCK).wait_serving()
    server.process.terminate()
    until("it drains", lambda: server.health() == NOT_SERVING)
    assert server.get("/readyz")[0] == 503
    assert server.get("/livez")[0] == 200
    assert server.process.poll() is None
    assert server.stop(signal.SIGTERM) == -signal.SIGTERM


@BOTH_SIGNALS
def test_a_second_signal_ends_the_process_by_that_signal(
    serve: Serve, repository: Path, number: signal.Signals
) -> None:
    server = serve(repository, variables=LAME_DUCK).wait_serving()
    server.process.terminate()
    until("it drains", lambda: server.health() == NOT_SERVING)
    assert server.stop(number) == -number


def test_when_no_bundle_is_good_the_log_says_why_and_the_exit_code_is_1(
    serve: Serve, tmp_path: Path
) -> None:
    write_affine(tmp_path / "one" / "1", manifest="format = 7")
    (tmp_path / "two" / "3").mkdir(parents=True)
    server = serve(tmp_path)
    assert server.wait_exit() == 1
    failed = [record for record in server.records() if record.get("state") == "failed"]
    findings = {(record["model"], record["version"]): record["findings"] for record in failed}
    assert findings["one", 1] == ["batchproof.toml: format: unknown 7, one of 1 or 2"]
    assert findings["two", 3][0].startswith("artefact: found none, expected exactly one of")


def test_a_server_on_taken_ports_says_so_in_one_line_and_exits_2(
    serve: Serve, repository: Path
) -> None:
    first = serve(repository)
    for flag, address in (("--grpc-port", first.grpc), ("--http-port", first.addresses()["http"])):
        second = serve(repository, flag, address.rpartition(":")[2])
        assert second.wait_exit() == 2
        (line,) = own_lines(second)
        assert address in line
        assert "taken" in line
        assert second.out == []


def test_a_picture_model_without_tensorflow_starts(serve: Serve, tmp_path: Path) -> None:
    write_image_model(tmp_path / "pictures" / "1")
    server = serve(tmp_path).wait_serving()
    (ready,) = [record for record in server.records() if record.get("state") == "ready"]
    assert ready["engine"].startswith("numpy")
    assert len(ready["recipe_digest"]) == 64


async def test_an_open_stream_of_reflection_does_not_hold_up_the_end(
    serve: Serve, repository: Path
) -> None:
    server = serve(repository).wait_serving()
    async with aio.insecure_channel(server.grpc) as channel:
        make_stub: Any = reflection_pb2_grpc.ServerReflectionStub
        call = make_stub(channel).ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        answer = await call.read()
        assert len(answer.list_services_response.service) == 6
        server.process.terminate()
        assert await asyncio.to_thread(server.wait_exit) == 0
