"""Bytes in flight over all calls, messages that do not come, and calls that form micro-batches."""

import asyncio
import socket
import urllib.request
from pathlib import Path

import grpc
from prometheus_client.parser import text_string_to_metric_families

from batchproof_server.rpc.fronts.completion_queue.server import CompletionQueueFront
from batchproof_server.rpc.fronts.front import MakeFront
from batchproof_server.rpc.settings import RpcSettings
from support.bundles_on_disk import RAW, write_bundle
from support.fakes import settle_loop, until
from support.front_bench import CHAT, ECHO, HELD, front_bench
from support.raw_http2 import PREFACE, headers_frame, settings_frame
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


async def test_what_came_while_the_loop_was_busy_is_looked_at_in_one_turn(
    make_front: MakeFront,
) -> None:
    calls = 200
    async with front_bench(make_front) as bench:
        assert await bench.call(ECHO)(b"") == b""
        bench.gate.refuses.add(HELD)
        host, _, port = bench.address.rpartition(":")
        with socket.create_connection((host, int(port))) as connection:
            # At once, as far as the loop is concerned, which has no turn in between.
            heads = (headers_frame(HELD, 2 * number + 1) for number in range(calls))
            connection.sendall(PREFACE + settings_frame() + b"".join(heads))
            await until(lambda: len(bench.gate.looked) == calls)
    assert bench.gate.lists <= 2


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


async def test_callers_who_wait_together_are_answered_together(tmp_path: Path) -> None:
    manifest = RAW.replace("[2, 4]", "[2, 8, 32]").replace("16", "512")
    write_bundle(tmp_path / "null" / "1", manifest)
    async with running(tmp_path) as serving:
        await serving.stub.Predict(request())
        rows, batches = await micro_batch_rows(serving)

        async def ask() -> None:
            for _ in range(40):
                await serving.stub.Predict(request())

        await asyncio.gather(*(ask() for _ in range(32)))
        more_rows, more_batches = await micro_batch_rows(serving)
    assert more_rows - rows == 32 * 40
    assert (more_rows - rows) / (more_batches - batches) >= 8
