"""What a large message took is given back once its call is over, at every front."""

import gc
import sys
from collections.abc import Iterator

import grpc
import pytest

from batchproof_server.rpc.fronts import returning
from batchproof_server.rpc.fronts.front import MakeFront
from support.fakes import until
from support.front_bench import CHAT, ECHO, REFUSED, front_bench

LARGE = bytes(100)


@pytest.fixture
def returned(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Has an item for each time that memory was given back."""
    times = list[None]()
    monkeypatch.setattr(returning, "LARGE_BYTES", len(LARGE))
    monkeypatch.setattr(returning, "return_freed_memory", lambda: times.append(None))
    return times


@pytest.fixture
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def test_memory_is_given_back_after_a_large_message_and_after_no_small_one(
    make_front: MakeFront, returned: list[None]
) -> None:
    async with front_bench(make_front) as bench:
        assert await bench.call(ECHO)(LARGE[:-1]) == LARGE[:-1]
        assert await bench.call(ECHO)(LARGE) == LARGE
        await until(lambda: returned == [None])
        stream = bench.channel.stream_stream(CHAT)()
        await stream.write(LARGE)
        await stream.read()
        await stream.done_writing()
        await until(lambda: bench.ended == 1)


@pytest.mark.usefixtures("_no_collection")
async def test_nothing_holds_the_message_of_a_call_that_was_refused(make_front: MakeFront) -> None:
    async with front_bench(make_front) as bench:
        with pytest.raises(grpc.RpcError):
            await bench.call(REFUSED)(b"some message")
        await until(lambda: sys.getrefcount(bench.contents[0]) == 2)
