"""Calls that say nothing, and an end that loses nothing."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from batchproof_server.rpc.fronts.front import MakeFront
from support.fakes import until
from support.front_bench import ECHO, HELD, FrontBench, front_bench
from support.patience import PATIENCE_S
from support.raw_http2 import raw_call


@pytest.fixture
async def bench(make_front: MakeFront) -> AsyncIterator[FrontBench]:
    async with front_bench(make_front) as made:
        yield made


async def test_a_call_without_a_message_has_none(bench: FrontBench) -> None:
    async with raw_call(bench.address) as call:
        await call.begin(ECHO)
        await call.finish()
        assert await call.status() == grpc.StatusCode.OK.value[0]
    assert bench.contents == [None]


async def test_a_message_that_ends_half_way_is_none(bench: FrontBench) -> None:
    async with raw_call(bench.address) as call:
        await call.begin(ECHO)
        await call.send(b"half", announced_bytes=8, is_last=True)
        assert await call.status() == grpc.StatusCode.OK.value[0]
    assert bench.contents == [None]
    assert await bench.call(ECHO)(b"next") == b"next"


async def test_a_drain_answers_what_was_accepted_twenty_times(make_front: MakeFront) -> None:
    for _ in range(20):
        async with front_bench(make_front) as bench:
            contents = [str(number).encode() for number in range(32)]
            calls = [bench.call(HELD)(content) for content in contents]
            await until(lambda bench=bench: len(bench.begun) == 32)  # type: ignore[misc] # bound
            draining = asyncio.ensure_future(bench.front.drain(PATIENCE_S))
            asyncio.get_running_loop().call_later(0.12, bench.opened.set)
            assert await asyncio.gather(*calls) == contents
            await draining


async def test_a_connection_that_says_nothing_does_not_outlast_the_grace(
    make_front: MakeFront,
) -> None:
    async with front_bench(make_front) as bench:
        host, _, port = bench.address.rpartition(":")
        _, mute = await asyncio.open_connection(host, int(port))
        assert await bench.call(ECHO)(b"a") == b"a"
        async with asyncio.timeout(PATIENCE_S):
            await bench.front.drain(0.2)
        mute.close()


async def test_callers_that_go_on_calling_are_told_that_the_server_goes(
    make_front: MakeFront,
) -> None:
    async with front_bench(make_front) as bench:
        told: list[grpc.StatusCode] = []

        async def ask_on() -> None:
            while True:
                call = bench.call(ECHO)(b"a")
                if (code := await call.code()) is not grpc.StatusCode.OK:
                    told.append(code)
                    return

        callers = [asyncio.ensure_future(ask_on()) for _ in range(32)]
        await until(lambda: len(bench.begun) > 100)
        await bench.front.drain(PATIENCE_S)
        await asyncio.gather(*callers)
    assert told == [grpc.StatusCode.UNAVAILABLE] * 32
