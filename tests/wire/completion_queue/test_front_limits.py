"""Bytes in flight over all calls, messages that do not come, and calls that form micro-batches."""

import asyncio
import urllib.request
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from batchproof.v1.prediction_pb2_grpc import PredictionServiceStub
from batchproof_server.rpc.fronts.completion_queue.server import CompletionQueueFront
from batchproof_server.rpc.fronts.front import MakeFront
from batchproof_server.rpc.settings import RpcSettings
from support.bundles_on_disk import RAW, write_bundle
from support.fakes import settle_loop
from support.front_bench import CHAT, ECHO, HELD, REFUSAL, front_bench
from support.running import Running, failure, request, running

SMALL = RpcSettings(max_message_bytes=1000, max_bytes_in_flight=2000, reading_counts_bytes=1000)
ALONE = (("grpc.use_local_subchannel_pool", 1),)
LATE, EXHAUSTED = grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_stream_that_is_answered_gives_its_room_back(make_front: MakeFront) -> None:
    async with front_bench(make_front, SMALL) as bench:
        call = bench.channel.stream_stream(CHAT)()
        for _ in range(20):
            await call.write(bytes(1000))
            assert len(await call.read()) == 1000
        await call.done_writing()
        assert await call.code() is grpc.StatusCode.OK
        assert await bench.call(ECHO)(bytes(1000)) == bytes(1000)


async def test_the_first_messages_are_read_at_once_and_none_of_a_server_that_is_pressed(
    make_front: MakeFront,
) -> None:
    async with front_bench(make_front) as bench:
        assert await bench.call(ECHO)(b"") == b""
        bench.gate.refuses.add(HELD)
        for _ in range(3):
            await failure(bench.call(HELD)(b""))
        front = bench.front
        assert isinstance(front, CompletionQueueFront)
        assert front._port is not None
        assert not front._port._poller._allowance.take()
        assert await bench.call(ECHO)(b"read when it was looked at") != b""
        await settle_loop()
        assert front._port._poller._allowance.take()


async def test_a_gate_that_raises_costs_the_calls_that_it_was_asked_about_and_no_others(
    make_front: MakeFront,
) -> None:
    told: list[object] = []
    async with front_bench(make_front) as bench:
        asyncio.get_running_loop().set_exception_handler(lambda *_: told.append(1))
        bench.gate.refuses.add(HELD)
        bench.gate.fault = RuntimeError("a gate that raises")
        broken = await failure(bench.call(HELD)(b""))
        bench.gate.fault = None
        assert broken.code() is grpc.StatusCode.INTERNAL
        for _ in range(300):  # more than the core was asked for at first
            assert (await failure(bench.call(HELD)(b""))).details() == REFUSAL.text
        assert await bench.call(ECHO)(b"x") == b"x"
    assert len(told) == 1


async def micro_batch_rows(serving: Running) -> tuple[float, float]:
    """Rows and micro-batches so far."""
    address = f"http://127.0.0.1:{serving.server.operations.port}/metrics"
    page = await asyncio.to_thread(lambda: urllib.request.urlopen(address).read().decode())
    found = {
        sample.name: sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.startswith("batchproof_micro_batch_rows_")
        and not sample.name.endswith("_bucket")
    }
    return found["batchproof_micro_batch_rows_sum"], found["batchproof_micro_batch_rows_count"]


@pytest.mark.parametrize("connections", [1, 32])
async def test_callers_who_wait_together_are_answered_together(
    tmp_path: Path, connections: int
) -> None:
    manifest = RAW.replace("[2, 4]", "[2, 8, 32]").replace("16", "512")
    write_bundle(tmp_path / "null" / "1", manifest)
    async with running(tmp_path) as serving, AsyncExitStack() as stack:
        stubs = [serving.stub]
        for _ in range(connections - 1):
            channel = grpc.aio.insecure_channel(serving.address, options=ALONE)
            stubs.append(PredictionServiceStub(await stack.enter_async_context(channel)))
        for stub in stubs:
            await stub.Predict(request())
        rows, batches = await micro_batch_rows(serving)

        async def ask(stub: Any) -> None:
            for _ in range(40):
                await stub.Predict(request())

        callers = [ask(stubs[number % connections]) for number in range(32)]
        await asyncio.gather(*callers)
        more_rows, more_batches = await micro_batch_rows(serving)
    assert more_rows - rows == 32 * 40
    assert (more_rows - rows) / (more_batches - batches) >= 8
