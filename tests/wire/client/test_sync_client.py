import gc
import io
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from batchproof.v1 import prediction_pb2 as pb
from batchproof_client import (
    Client,
    ClientClosed,
    Health,
    LocalInputError,
    PredictRequest,
)
from batchproof_client.connection import DEFAULT_SERVER, default_target
from support.patience import PATIENCE_S
from wire.client.fake_server import FakeServer, PredictHook, answer


def client_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "batchproof-client"]


def test_eight_threads_share_one_client(server: FakeServer) -> None:
    labels = ("boot", "bag", "shirt")
    with Client(server.target) as client, ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda n: client.predict(bytes([n])).top.label, range(80)))
    assert results == [labels[n % 3] for n in range(80)]
    assert client_threads() == []


def test_the_methods_are_those_of_the_core(server: FakeServer) -> None:
    with Client(server.target) as client:
        assert client.health() is Health.SERVING
        assert [each.version for each in client.list_models()] == [3, 4]
        assert client.get_model().engine == "fake 1.0"


def test_nothing_starts_before_the_first_call() -> None:
    client = Client("127.0.0.1:1")
    assert client_threads() == []
    client.close()
    client.close()
    with pytest.raises(ClientClosed):
        client.predict(b"x")


def test_errors_reach_the_caller(server: FakeServer) -> None:
    with Client(server.target) as client, pytest.raises(LocalInputError):
        client.predict("no such file")


def test_a_client_that_is_told_no_server_asks_that_of_the_environment(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHPROOF_SERVER", server.target)
    with Client() as client:
        assert client.health() is Health.SERVING
    monkeypatch.delenv("BATCHPROOF_SERVER")
    assert default_target() == DEFAULT_SERVER


def test_the_token_of_the_environment_goes_to_the_server_of_the_environment_alone(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHPROOF_SERVER", server.target)
    monkeypatch.setenv("BATCHPROOF_TOKEN", "word\n")
    for made in (Client(), Client(metadata=[("authorization", "own")]), Client(server.target)):
        with made as client:
            client.predict(b"\x01")
    brought = [each.get("authorization") for each in server.metadata]
    assert brought == ["Bearer word", "own", None]


def test_a_list_longer_than_a_request_is_sent_in_several(server: FakeServer) -> None:
    told: list[tuple[int, int]] = []
    pictures = [bytes([index % 3]) for index in range(150)]
    with Client(server.target) as client:
        result = client.predict(pictures, progress=lambda *done: told.append(done))
    assert [each.top.index for each in result.rows] == [index % 3 for index in range(150)]
    assert told == [(64, 150), (128, 150), (150, 150)]
    assert [each.rows for each in result.provenance.executions] == [64, 64, 22]


def test_a_stream_takes_what_predict_takes(server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "bag.png").write_bytes(b"\x01")
    given: list[Any] = [b"\x02", tmp_path / "bag.png", io.BytesIO(b"\x00"), PredictRequest(b"\x01")]
    given.append(np.zeros((1, 2), np.float32))
    with Client(server.target) as client:
        answers = list(client.predict_stream(given))
    assert sorted(each.unwrap().top.label for each in answers) == [
        *("bag", "bag", "boot", "boot", "shirt"),
    ]


@pytest.mark.parametrize("metadata", [[("Upper Case", "x")], [("key", "line\nbreak")], [("k", 3)]])
def test_metadata_that_grpc_cannot_send_is_an_error_of_the_client(metadata: Any) -> None:
    with pytest.raises(LocalInputError, match="metadata"):
        Client("127.0.0.1:1", metadata=metadata)


def held(server: FakeServer, arrived: threading.Event) -> PredictHook:
    def hook(request: pb.PredictRequest, _context: object) -> pb.PredictResponse:
        arrived.set()
        server.released.wait()
        return answer(request)

    return hook


def test_closing_ends_what_is_under_way(server: FakeServer) -> None:
    arrived = threading.Event()
    server.predicts = [held(server, arrived)]
    client = Client(server.target)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.predict, b"x")
        arrived.wait()
        client.close()
        with pytest.raises(ClientClosed, match="under way"):
            waiting.result()
    assert client_threads() == []


def test_an_interrupted_caller_cancels_its_call(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    arrived = threading.Event()

    def hook(request: pb.PredictRequest, context: Any) -> pb.PredictResponse:
        context.add_callback(ended.set)
        return held(server, arrived)(request, context)

    def interrupted(_future: object) -> None:
        arrived.wait()
        raise KeyboardInterrupt

    server.predicts = [hook]
    with Client(server.target) as client:
        client.health()
        monkeypatch.setattr("concurrent.futures.Future.result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.predict(b"x")
        monkeypatch.undo()
        assert ended.wait(PATIENCE_S)
    assert client_threads() == []


def test_a_forgotten_client_is_closed(server: FakeServer) -> None:
    client = Client(server.target)
    client.health()
    (thread,) = client_threads()
    del client
    gc.collect()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_a_client_does_not_survive_a_fork(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server.target) as client:
        client.health()
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(ClientClosed, match="forked"):
            client.health()
        client._thread.stop()  # harmless in the child
        monkeypatch.undo()
    assert client_threads() == []


def test_a_process_that_forgets_to_close_ends_at_once(server: FakeServer) -> None:
    script = f"from batchproof_client import Client; c = Client('{server.target}'); c.health()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_the_channel_is_one(server: FakeServer) -> None:
    with Client(server.target, metadata=[("k", "v")]) as client:
        client.predict(b"x")
        first = client._core._connection.prediction
        client.predict(b"x")
        assert client._core._connection.prediction is first
    assert isinstance(first.Predict, grpc.aio.UnaryUnaryMultiCallable)
