"""Who waits for the queue: the loop, or a thread where it cannot."""

import asyncio
import threading
from typing import Any

import pytest

from batchproof_server.rpc.fronts.completion_queue.poller import Poller
from batchproof_server.rpc.fronts.completion_queue.queue_loop import QueueLoop
from batchproof_server.rpc.fronts.front import MakeFront
from support.front_bench import ECHO, HELD, front_bench
from support.patience import PATIENCE_S

CALLS, THREADS = 200, 4


def waiting() -> int:
    """How many threads wait for a queue."""
    return [thread.name for thread in threading.enumerate()].count("grpc-queue")


async def test_a_thread_waits_only_where_the_loop_cannot(make_front: MakeFront) -> None:
    is_loop = isinstance(asyncio.get_running_loop(), QueueLoop)
    async with front_bench(make_front) as bench:
        assert waiting() == (0 if is_loop else 1)
        assert await bench.call(ECHO)(b"a") == b"a"
    assert waiting() == 0


async def test_the_second_port_of_a_loop_has_a_thread(make_front: MakeFront) -> None:
    is_loop = isinstance(asyncio.get_running_loop(), QueueLoop)
    async with front_bench(make_front) as first:
        async with front_bench(make_front) as second:
            assert waiting() == (1 if is_loop else 2)
            both = [first.call(ECHO)(b"a"), second.call(ECHO)(b"b")]
            assert [await each for each in both] == [b"a", b"b"]
        assert await first.call(ECHO)(b"c") == b"c"
    async with front_bench(make_front) as third:
        assert waiting() == (0 if is_loop else 1)
        assert await third.call(ECHO)(b"d") == b"d"


async def test_an_event_that_fails_is_told_and_spoils_no_other(
    make_front: MakeFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []
    loop, reads, left = asyncio.get_running_loop(), Poller._reads, [1]
    loop.set_exception_handler(lambda _, context: told.append(context))

    def fails_once(poller: Poller, *values: Any) -> bool:
        if left:
            left.pop()
            raise RuntimeError("planted")
        return reads(poller, *values)

    async with front_bench(make_front) as bench:
        monkeypatch.setattr(Poller, "_reads", fails_once)
        calls = [bench.call(ECHO)(b"a", timeout=PATIENCE_S) for _ in range(10)]
        done, pending = await asyncio.wait(
            [asyncio.ensure_future(each.code()) for each in calls],
            return_when=asyncio.FIRST_COMPLETED,
        )
        while len(done) < len(calls) - 1:
            more, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        for each in calls:
            each.cancel()
        await asyncio.wait(pending)
    assert [str(context["exception"]) for context in told] == ["planted"]


async def test_calls_and_threads_lose_nothing_of_each_other(make_front: MakeFront) -> None:
    loop, ran = asyncio.get_running_loop(), list[int]()

    def ask() -> None:
        for number in range(CALLS):
            is_heard = threading.Event()
            loop.call_soon_threadsafe(ran.append, number)
            loop.call_soon_threadsafe(is_heard.set)
            assert is_heard.wait(PATIENCE_S)

    async with front_bench(make_front) as bench:
        asked = [asyncio.to_thread(ask) for _ in range(THREADS)]

        async def call() -> None:
            for number in range(CALLS):
                content = str(number).encode()
                assert await bench.call(ECHO)(content) == content

        await asyncio.gather(call(), call(), *asked)
    assert len(ran) == CALLS * THREADS


async def test_a_drain_ends_while_threads_ask_for_something(make_front: MakeFront) -> None:
    loop, is_over = asyncio.get_running_loop(), threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            is_heard = threading.Event()
            loop.call_soon_threadsafe(is_heard.set)
            assert is_heard.wait(PATIENCE_S)

    asking = [asyncio.ensure_future(asyncio.to_thread(ask)) for _ in range(THREADS)]
    try:
        for _ in range(10):
            async with front_bench(make_front) as bench:
                held = bench.call(HELD)(b"a")
                assert await bench.call(ECHO)(b"b") == b"b"
                bench.opened.set()
                assert await held == b"a"
                async with asyncio.timeout(PATIENCE_S):
                    await bench.front.drain(PATIENCE_S)
    finally:
        is_over.set()
        await asyncio.gather(*asking)
