"""Shares of connections, over a real port: a greedy one leaves a polite one its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc import aio

from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from batchproof_server.application.config import Config
from batchproof_server.rpc.settings import RpcSettings
from support.bundles_on_disk import RAW, write_bundle
from support.fakes import GatedBackend, until
from support.running import WARM_UPS, Running, gated_request, running

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
QUEUE_ROWS = 16
STREAMS = 64


@asynccontextmanager
async def connection(serving: Running) -> AsyncIterator[Any]:
    """The service, by a connection that no other channel shares."""
    alone = [("grpc.use_local_subchannel_pool", 1)]
    async with aio.insecure_channel(serving.address, options=alone) as channel:
        yield pb_grpc.PredictionServiceStub(channel)


async def greedy_streams(stub: Any, slow: GatedBackend, serving: Running) -> list[Any]:
    """As many streams as there may be, which keep the device busy and the queue full."""
    calls = [stub.PredictStream() for _ in range(STREAMS)]
    for number, call in enumerate(calls):
        each = gated_request(request_id=f"greedy {number}", rows=1)
        await call.write(pb.PredictStreamRequest(request=each))
        if number == 0:  # what comes together would be refused before the device has taken any
            await slow.entered(WARM_UPS + 1)
    await until(lambda: serving.waiting_rows("slow") == QUEUE_ROWS)
    await until(lambda: serving.server.streams._open_streams == STREAMS)
    return calls


async def test_a_greedy_connection_with_all_streams_and_a_full_queue_leaves_another_its_share(
    tmp_path: Path,
) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    async with (
        running(tmp_path, gated={"slow": slow}) as serving,
        connection(serving) as greedy,
        connection(serving) as polite,
    ):
        calls = await greedy_streams(greedy, slow, serving)
        asked = [
            asyncio.ensure_future(polite.Predict(gated_request(request_id=f"polite {number}")))
            for number in range(4)
        ]
        stream = polite.PredictStream()
        in_stream = gated_request(request_id="polite in stream")
        await stream.write(pb.PredictStreamRequest(request=in_stream))
        await until(lambda: _displaced(serving) == 5 and serving.waiting_rows("slow") == QUEUE_ROWS)
        # What runs now, and three micro-batches of which the polite rows are half.
        slow.release(4)
        answers = await asyncio.gather(*asked)
        assert all(answer.outputs["y"].shape for answer in answers)
        got = await stream.read()
        assert got.WhichOneof("outcome") == "response", got
        assert slow.executions <= WARM_UPS + 5
        slow.release(100)
        for call in (*calls, stream):
            call.cancel()


def _displaced(serving: Running) -> int:
    """Requests that left the queue; the stream that gives way ends when its own is answered."""
    gave_way = "the queue is full, and this request gave way"
    return sum(gave_way in str(event.get("message")) for event in serving.log.requests())


async def test_the_latest_of_all_streams_of_one_connection_ends_for_one_of_another(
    tmp_path: Path,
) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    config = Config(rpc=RpcSettings(max_streams=2))
    async with (
        running(tmp_path, config, gated={"slow": slow}) as serving,
        connection(serving) as greedy,
        connection(serving) as polite,
    ):
        slow.release(100)
        first, latest = [await _served(greedy) for _ in range(2)]
        third = await _served(polite)
        assert await latest.code() is EXHAUSTED
        assert "gave way to one of another caller" in await latest.details()
        for call in (first, third):
            await call.done_writing()
            assert await call.code() is grpc.StatusCode.OK


async def _served(stub: Any) -> Any:
    """A stream of which one request has been answered."""
    call = stub.PredictStream()
    await call.write(pb.PredictStreamRequest(request=gated_request()))
    assert (await call.read()).WhichOneof("outcome") == "response"
    return call


async def test_a_connection_is_answered_while_another_has_all_concurrent_requests(
    tmp_path: Path,
) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    config = Config(rpc=RpcSettings(max_concurrent_requests=8))
    async with (
        running(tmp_path, config, gated={"slow": slow}) as serving,
        connection(serving) as greedy,
        connection(serving) as polite,
    ):
        held = [asyncio.ensure_future(greedy.Predict(gated_request())) for _ in range(8)]
        await until(lambda: serving.server.pressure.is_full)
        refused = greedy.Predict(gated_request())
        assert await refused.code() is EXHAUSTED
        asked = asyncio.ensure_future(polite.Predict(gated_request()))
        await until(lambda: serving.waiting_rows("slow") >= 5)
        slow.release(100)
        await asyncio.gather(asked, *held)
