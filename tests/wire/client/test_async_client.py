import asyncio
import math
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from batchproof.tensors import from_proto, to_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof_client import (
    AsyncClient,
    BatchproofError,
    ClientClosed,
    DeadlineExceeded,
    Health,
    InvalidRequest,
    LocalInputError,
    MessageTooLarge,
    ModelNotFound,
    ModelRefused,
    ModelState,
    NotSupported,
    OutcomeAlreadyReported,
    OutputKind,
    PermissionDenied,
    RetryPolicy,
    ServerBusy,
    ServerFailed,
    Unauthenticated,
    Unavailable,
    Verdict,
)
from support.patience import PATIENCE_S, longer
from wire.client.fake_server import FakeServer, answer, fail

AT_ONCE = RetryPolicy(max_attempts=3, initial_backoff_s=0.0)
ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.target, retry=AT_ONCE) as opened:
        yield opened


async def test_a_picture_gets_its_answer(client: AsyncClient, server: FakeServer) -> None:
    result = await client.predict(
        b"\x01png",
        model="fashion@stable",
        top_k=2,
        return_probabilities=True,
        return_logits=True,
        request_id="r-1",
    )
    assert result.request_id == "r-1"
    assert (result.top.index, result.top.label, result.top.score) == (1, "bag", 0.75)
    assert [each.label for each in result.only.classes] == ["bag", "boot"]
    assert result.only.probabilities is not None
    assert result.only.probabilities.dtype == np.float32
    assert result.only.probabilities.tolist() == [0.125, 0.75, 0.125]
    assert result.only.logits is not None
    assert (result.only.entropy, result.only.margin) == (0.5, 0.625)
    assert result.provenance.engine == "fake 1.0"
    assert result.provenance.executions[0].bucket_rows == 4
    assert server.requests[0].model == pb.ModelSelector(name="fashion", label="stable")
    assert server.requests[0].images.contents == [b"\x01png"]


async def test_a_path_is_read_and_sent_as_it_is(
    client: AsyncClient, server: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x02picture")
    result = await client.predict([path, str(path), bytearray(b"\x00")])
    assert [row.top.label for row in result.rows] == ["shirt", "shirt", "boot"]
    assert server.requests[0].images.contents == [b"\x02picture", b"\x02picture", b"\x00"]
    with pytest.raises(ValueError, match="3 rows"):
        _ = result.top


async def test_each_request_gets_an_id_of_its_own(client: AsyncClient, server: FakeServer) -> None:
    await asyncio.gather(*(client.predict(b"x") for _ in range(5)))
    assert len({request.request_id for request in server.requests}) == 5
    assert all(len(request.request_id) == 32 for request in server.requests)


async def test_a_bare_array_asks_for_the_input_name_once(
    client: AsyncClient, server: FakeServer
) -> None:
    rows = np.array([[1, 2], [3, 4]], np.float32)
    await client.predict(rows)
    await client.predict(rows[0])
    await client.predict([rows[0], rows[1]])
    sent = [from_proto(each.tensors.tensors["pixels"]) for each in server.requests]
    assert [each.tolist() for each in sent] == [[[1, 2], [3, 4]], [[1, 2]], [[1, 2], [3, 4]]]
    assert server.get_models == 1


async def test_a_refused_array_makes_the_client_ask_for_the_name_again(
    client: AsyncClient, server: FakeServer
) -> None:
    server.predicts = [fail(grpc.StatusCode.INVALID_ARGUMENT, "no such input"), answer]
    with pytest.raises(InvalidRequest):
        await client.predict(np.zeros((1, 2), np.float32))
    server.inputs = ["renamed"]
    await client.predict(np.zeros((1, 2), np.float32))
    assert list(server.requests[1].tensors.tensors) == ["renamed"]


async def test_an_array_needs_a_name_when_the_model_has_two_inputs(
    client: AsyncClient, server: FakeServer
) -> None:
    server.inputs = ["left", "right"]
    with pytest.raises(LocalInputError, match='"left", "right", expected exactly 1'):
        await client.predict(np.zeros((1, 2), np.float32))
    assert server.requests == []


async def test_named_arrays_go_as_they_are(client: AsyncClient, server: FakeServer) -> None:
    await client.predict({"x": np.arange(6, dtype=">i2").reshape(3, 2).T})
    sent = from_proto(server.requests[0].tensors.tensors["x"])
    assert (sent.dtype.str, sent.tolist()) == ("<i2", [[0, 2, 4], [1, 3, 5]])
    assert server.get_models == 0


async def test_a_raw_model_answers_with_arrays(client: AsyncClient, server: FakeServer) -> None:
    raw = np.array([[1.5, math.inf]], np.float32)
    server.predicts = [lambda *_: pb.PredictResponse(outputs={"y": to_proto(raw)})]
    result = await client.predict({"x": raw})
    assert result.rows == ()
    assert result.outputs["y"].tolist() == raw.tolist()


async def test_an_answer_that_cannot_be_read_is_the_servers_fault(
    client: AsyncClient, server: FakeServer
) -> None:
    broken = pb.Tensor(data_type=pb.DATA_TYPE_FLOAT32, shape=[2], content=b"12")
    server.predicts = [lambda *_: pb.PredictResponse(outputs={"y": broken})]
    with pytest.raises(ServerFailed, match="content is 2 bytes, expected 8"):
        await client.predict(b"x")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequest),
        (grpc.StatusCode.OUT_OF_RANGE, InvalidRequest),
        (grpc.StatusCode.ALREADY_EXISTS, OutcomeAlreadyReported),
        (grpc.StatusCode.UNIMPLEMENTED, NotSupported),
        (grpc.StatusCode.NOT_FOUND, ModelNotFound),
        (grpc.StatusCode.FAILED_PRECONDITION, ModelRefused),
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ServerBusy),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
        (grpc.StatusCode.UNAUTHENTICATED, Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, PermissionDenied),
        (grpc.StatusCode.INTERNAL, ServerFailed),
        (grpc.StatusCode.UNKNOWN, ServerFailed),
        (grpc.StatusCode.DATA_LOSS, ServerFailed),
        (grpc.StatusCode.ABORTED, ServerFailed),
        (grpc.StatusCode.CANCELLED, ServerFailed),
    ],
)
async def test_every_status_becomes_its_error(
    client: AsyncClient,
    server: FakeServer,
    code: grpc.StatusCode,
    kind: type[BatchproofError],
) -> None:
    server.predicts = [fail(code, "the server's sentence")]
    with pytest.raises(BatchproofError, match="the server's sentence") as caught:
        await client.predict(b"x", request_id="r-7")
    assert type(caught.value) is kind
    assert caught.value.code is code
    assert caught.value.request_id == "r-7"


async def test_an_unavailable_server_is_asked_again(
    client: AsyncClient, server: FakeServer
) -> None:
    server.predicts = [fail(grpc.StatusCode.UNAVAILABLE, "loading"), answer]
    assert (await client.predict(b"\x00")).top.label == "boot"
    assert len({request.request_id for request in server.requests}) == 1
    assert len(server.requests) == 2


async def test_attempts_are_bounded(client: AsyncClient, server: FakeServer) -> None:
    server.predicts = [fail(grpc.StatusCode.UNAVAILABLE, "loading")]
    with pytest.raises(Unavailable):
        await client.predict(b"x")
    assert len(server.requests) == 3


async def test_a_busy_server_is_asked_again_when_it_says_when(
    client: AsyncClient, server: FakeServer
) -> None:
    busy = fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue full", pushback_ms="1")
    server.predicts = [busy, answer]
    assert (await client.predict(b"\x00")).top.label == "boot"


@pytest.mark.parametrize("pushback_ms", [None, "-1", "soon"])
async def test_a_busy_server_is_left_alone_when_it_does_not(
    client: AsyncClient, server: FakeServer, pushback_ms: str | None
) -> None:
    busy = fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue full", pushback_ms=pushback_ms)
    server.predicts = [busy]
    with pytest.raises(ServerBusy) as caught:
        await client.predict(b"x")
    assert caught.value.retry_after_s is None
    assert len(server.requests) == 1


async def test_a_pushback_past_the_deadline_is_not_waited_for(
    client: AsyncClient, server: FakeServer
) -> None:
    busy = fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue full", pushback_ms="60000")
    server.predicts = [busy]
    with pytest.raises(ServerBusy) as caught:
        await client.predict(b"x", timeout_s=60)
    assert caught.value.retry_after_s == 60.0
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ABORTED]
)
async def test_other_failures_are_not_repeated(
    client: AsyncClient, server: FakeServer, code: grpc.StatusCode
) -> None:
    server.predicts = [fail(code, "no")]
    with pytest.raises(BatchproofError):
        await client.predict(b"x")
    assert len(server.requests) == 1


async def test_the_deadline_is_sent_and_kept(client: AsyncClient, server: FakeServer) -> None:
    def hang(request: pb.PredictRequest, _context: object) -> pb.PredictResponse:
        server.released.wait()
        return answer(request)

    await client.predict(b"x")
    server.predicts = [hang]
    for timeout_s in longer(0.5):
        with pytest.raises(DeadlineExceeded):
            await client.predict(b"x", timeout_s=timeout_s)
        if len(server.time_remaining_s) > 1:
            assert server.time_remaining_s[1] <= timeout_s
            break
    # The wire has few digits for a timeout, and gRPC rounds up.
    assert PATIENCE_S / 2 < server.time_remaining_s[0] <= PATIENCE_S + 1


async def test_metadata_goes_with_every_call(server: FakeServer) -> None:
    async with AsyncClient(server.target, metadata=[("authorization", "Bearer t")]) as client:
        await client.predict(b"x")
    assert server.metadata[0]["authorization"] == "Bearer t"
    assert server.metadata[0]["user-agent"].startswith("batchproof-client")


async def test_a_message_beyond_the_limit_says_so(server: FakeServer) -> None:
    async with AsyncClient(server.target, max_message_bytes=1000) as client:
        with pytest.raises(MessageTooLarge, match="larger than max"):
            await client.predict(b"x" * 2000)
    assert server.requests == []


async def test_the_callers_channel_options_win(server: FakeServer) -> None:
    options = {"grpc.max_send_message_length": 100}
    async with AsyncClient(server.target, channel_options=options) as client:
        with pytest.raises(MessageTooLarge):
            await client.predict(b"x" * 2000)


async def test_nobody_listening_is_unavailable() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        async with AsyncClient(f"127.0.0.1:{reserved.getsockname()[1]}", retry=ONCE) as client:
            with pytest.raises(Unavailable):
                await client.predict(b"x")


async def test_models_are_listed_and_described(client: AsyncClient) -> None:
    ready, failed = await client.list_models()
    assert (ready.name, ready.version, ready.state) == ("fashion", 3, ModelState.READY)
    assert ready.is_default
    assert ready.labels == ("stable",)
    assert failed.state is ModelState.FAILED
    assert failed.findings == ("labels.txt: 9 labels, expected 10",)
    model = await client.get_model("fashion:3")
    assert model.output_kind is OutputKind.PROBABILITIES
    assert (model.inputs[0].dtype, model.inputs[0].shape) == ("float32", (-1, 2))
    assert model.buckets_rows == (2, 4, 8)
    assert (ready.verdict, failed.verdict) == (Verdict.PROVEN, Verdict.UNSPECIFIED)
    assert (model.consistency, model.certificate_json) == ("strict", '{"format":1}')
    assert (await client.predict(b"x")).provenance.certificate_digest == model.certificate_digest
    with pytest.raises(ModelNotFound, match="served: fashion"):
        await client.get_model("other")


async def test_health_is_asked_of_the_standard_service(client: AsyncClient) -> None:
    assert await client.health() is Health.SERVING
    assert await client.health("fashion") is Health.SERVING
    with pytest.raises(ModelNotFound):
        await client.health("other")


async def test_a_closed_client_says_so_and_may_be_closed_again(client: AsyncClient) -> None:
    await client.predict(b"x")
    await client.close()
    await client.close()
    with pytest.raises(ClientClosed, match="closed"):
        await client.predict(b"x")


async def test_a_client_does_not_survive_a_fork(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.health()
    monkeypatch.setattr("batchproof_client.connection.os.getpid", lambda: -1)
    with pytest.raises(ClientClosed, match="forked"):
        await client.health()


@pytest.mark.parametrize("timeout_s", [0, -1, math.nan])
async def test_a_timeout_must_be_above_0(client: AsyncClient, timeout_s: float) -> None:
    with pytest.raises(LocalInputError, match="timeout_s"):
        await client.predict(b"x", timeout_s=timeout_s)
    with pytest.raises(LocalInputError, match="timeout_s"):
        AsyncClient("nowhere:1", timeout_s=timeout_s)


def test_a_message_limit_must_be_above_0() -> None:
    with pytest.raises(LocalInputError, match="max_message_bytes"):
        AsyncClient("nowhere:1", max_message_bytes=0)
