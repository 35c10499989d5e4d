"""What waits for its message, at every front: room, time, and whoever gives way."""

import asyncio
from typing import Any

import grpc
from grpc import aio

from batchproof_server.rpc.fronts.completion_queue.server import CompletionQueueFront
from batchproof_server.rpc.fronts.front import MakeFront
from batchproof_server.rpc.fronts.grpc_aio.server import GrpcAioFront
from batchproof_server.rpc.fronts.room import Patience, Room
from batchproof_server.rpc.settings import RpcSettings
from support.fakes import FakeClock, until
from support.front_bench import ECHO, HELD, FrontBench, front_bench
from support.raw_http2 import raw_call
from support.running import failure

SMALL = RpcSettings(max_message_bytes=1000, max_bytes_in_flight=2000, reading_counts_bytes=1000)
ALONE = (("grpc.use_local_subchannel_pool", 1),)
LATE, EXHAUSTED = grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED


def kept(bench: FrontBench) -> tuple[Room, Patience]:
    """What the front keeps count of."""
    front = bench.front
    if isinstance(front, CompletionQueueFront):
        assert front._port is not None
        calls = front._port._calls
        return calls._room, calls._patience
    assert isinstance(front, GrpcAioFront)
    assert front._handlers is not None
    return front._handlers._reads._room, front._handlers._reads._patience


def waiting(bench: FrontBench) -> int:
    """Calls that wait unread."""
    return kept(bench)[0].waiting


def patient(bench: FrontBench) -> int:
    """Calls whose message is waited for."""
    return len(kept(bench)[1]._until_s)


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
        # Two that are read at the same time may be there in either order.
        assert {len(each or b"") for each in bench.contents[2:]} == {700, 800, 900}


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


async def test_a_call_that_is_over_leaves_nothing_behind(make_front: MakeFront) -> None:
    async with front_bench(make_front, SMALL) as bench:
        headers: Any = bench.channel.stream_unary(ECHO)
        gone = [headers() for _ in range(5)]
        await until(lambda: patient(bench) == 5)
        for call in gone:
            call.cancel()
        await until(lambda: patient(bench) == 0)
        assert await bench.call(ECHO)(bytes(1000)) == bytes(1000)
        await until(lambda: kept(bench)[0].held_bytes == 0)
