"""Bytes in flight over all calls, messages that do not come, and calls that form micro-batches."""

import asyncio
import urllib.request
from pathlib import Path
from typing import Any

import grpc
from grpc import aio
from prometheus_client.parser import text_string_to_metric_families

from batchproof_server.rpc.fronts.completion_queue.server import CompletionQueueFront
from batchproof_server.rpc.fronts.front import MakeFront
from batchproof_server.rpc.settings import RpcSettings
from support.bundles_on_disk import RAW, write_bundle
from support.fakes import FakeClock, settle_loop, until
from support.front_bench import CHAT, ECHO, HELD, FrontBench, front_bench
from support.raw_http2 import raw_call
from support.running import Running, failure, request, running

SMALL = RpcSettings(max_message_bytes=1000, max_bytes_in_flight=2000, reading_counts_bytes=1000)
ALONE = (("grpc.use_local_subchannel_pool", 1),)
LATE, EXHAUSTED = grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED


def waiting(bench: FrontBench) -> int:
    """Calls that wait unread."""
    front = bench.front
    assert isinstance(front, CompletionQueueFront)
    assert front._port is not None
    return front._port._calls._room.waiting


async def test_a_message_that_does_not_come_ends_its_call(make_front: MakeFront) -> None:
    clock = FakeClock()
    async with front_bench(make_front, RpcSettings(message_timeout_s=5.0), clock) as bench:
        async with raw_call(bench.address) as nothing, raw_call(bench.address) as half:
            await nothing.begin(ECHO)
            await half.begin(ECHO)
            await half.send(b"half", announced_bytes=8, is_last=False)
            await until(lambda: clock.alarms_s == (1005.0,) and patient(bench) == 2)
            clock.advance(4.9)
            assert await bench.call(ECHO)(b"another") == b"another"
            clock.advance(0.1)
            assert await nothing.status() == LATE.value[0]
            assert await half.status() == LATE.value[0]
        assert bench.contents == [b"another"]


async def test_headers_without_messages_leave_another_caller_its_room(
    make_front: MakeFront,
) -> None:
    async with (
        front_bench(make_front, SMALL) as bench,
        aio.insecure_channel(bench.address, options=ALONE) as greedy,
    ):
        headers: Any = greedy.stream_unary(ECHO)
        calls = [headers() for _ in range(5)]
        await until(lambda: patient(bench) == 5 and waiting(bench) == 3)
        assert await bench.call(ECHO)(b"polite") == b"polite"
        assert patient(bench) == 4
        await until(lambda: any(call.done() for call in calls))
        (ended,) = [call for call in calls if call.done()]
        assert await ended.code() is EXHAUSTED
        for call in calls:
            call.cancel()


def patient(bench: FrontBench) -> int:
    """Calls whose message is waited for."""
    front = bench.front
    assert isinstance(front, CompletionQueueFront)
    assert front._port is not None
    return len(front._port._calls._patience._until_s)


async def test_what_is_being_answered_takes_room_and_the_next_waits_unread(
    make_front: MakeFront,
) -> None:
    async with front_bench(make_front, SMALL) as bench:
        held = [bench.call(HELD)(bytes(600)) for _ in range(2)]
        await until(lambda: len(bench.begun) == 2)
        late = [bench.call(ECHO)(bytes(size)) for size in (700, 800, 900)]
        await until(lambda: waiting(bench) == 3)
        assert len(bench.begun) == 2
        bench.opened.set()
        assert [len(each) for each in await asyncio.gather(*held, *late)] == [
            600,
            600,
            700,
            800,
            900,
        ]
        assert [len(each or b"") for each in bench.contents[2:]] == [700, 800, 900]


async def test_a_call_that_waits_for_room_for_too_long_is_refused(make_front: MakeFront) -> None:
    clock = FakeClock()
    async with front_bench(make_front, SMALL, clock) as bench:
        held = [bench.call(HELD)(bytes(600)) for _ in range(2)]
        await until(lambda: len(bench.begun) == 2)
        late, gone = bench.call(ECHO)(b""), bench.call(ECHO)(b"")
        await until(lambda: waiting(bench) == 2)
        gone.cancel()
        await until(lambda: waiting(bench) == 1)
        clock.advance(30.0)
        assert (await failure(late)).code() is EXHAUSTED
        bench.opened.set()
        await asyncio.gather(*held)
        assert await bench.call(ECHO)(b"next") == b"next"


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
