"""What the seam promises of every front: calls in, answers out, limits, and every way to end."""

import asyncio
from collections.abc import AsyncIterator
from operator import itemgetter
from typing import Any

import grpc
import pytest
from grpc import aio

from batchproof_server.rpc.fronts.front import MakeFront
from batchproof_server.rpc.settings import ConnectionSettings, RpcSettings
from support.fakes import settle_loop, until
from support.front_bench import (
    BROKEN,
    CHAT,
    ECHO,
    FLOOD,
    HELD,
    LINGER,
    REFUSED,
    FrontBench,
    front_bench,
)
from support.patience import PATIENCE_S, longer
from support.raw_http2 import raw_call
from support.running import comes, failure, trailer

MAX_BYTES = 1 << 20
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture
async def bench(make_front: MakeFront) -> AsyncIterator[FrontBench]:
    async with front_bench(make_front, RpcSettings(max_message_bytes=MAX_BYTES)) as made:
        yield made


@pytest.mark.parametrize("size_bytes", [0, 1, 600_000, MAX_BYTES])
async def test_a_message_comes_back_as_it_was(bench: FrontBench, size_bytes: int) -> None:
    content = bytes(range(256)) * (size_bytes // 256 + 1)
    content = content[:size_bytes]
    assert await bench.call(ECHO)(content) == content


async def test_three_hundred_calls_at_once_get_their_own_answers(bench: FrontBench) -> None:
    contents = [str(number).encode() for number in range(300)]
    assert await asyncio.gather(*(bench.call(ECHO)(each) for each in contents)) == contents


async def test_many_connections_are_served_at_once(bench: FrontBench) -> None:
    own = (("grpc.use_local_subchannel_pool", 1),)

    async def ask(content: bytes) -> bytes:
        async with aio.insecure_channel(bench.address, options=own) as channel:
            echo: Any = channel.unary_unary(ECHO)
            answer: bytes = await echo(content)
            return answer

    contents = [str(number).encode() for number in range(64)]
    assert await asyncio.gather(*map(ask, contents)) == contents
    assert len({head.peer for head in bench.begun}) == 64
    assert all(head.peer.startswith("ipv4:127.0.0.1:") for head in bench.begun)


async def test_metadata_goes_in_and_out_each_key_in_its_order_and_bytes_stay_bytes(
    bench: FrontBench,
) -> None:
    metadata = (("x-a", "1"), ("x-b-bin", b"\0\xff"), ("x-a", "2"))
    call = bench.call(ECHO)(b"", metadata=metadata)
    await call
    came = [tuple(pair) for pair in await call.trailing_metadata()]
    assert sorted(came, key=itemgetter(0)) == [metadata[0], metadata[2], metadata[1]]


async def test_a_status_keeps_its_code_its_text_and_its_trailers(bench: FrontBench) -> None:
    error = await failure(bench.call(REFUSED)(b""))
    assert (error.code(), error.details()) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "größer\nals 100 %",
    )
    assert trailer(error)["why"] == "because"


async def test_a_route_that_raises_ends_its_call_without_its_text_and_spoils_no_other(
    bench: FrontBench, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    broken, echo = bench.call(BROKEN)(b""), bench.call(ECHO)(b"fine")
    error = await failure(broken)
    assert error.code() in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
    assert await echo == b"fine"
    caplog.clear()


async def test_an_unknown_method_is_unimplemented_before_its_message(bench: FrontBench) -> None:
    async with raw_call(bench.address) as call:
        await call.begin("/test.Front/Nobody")
        assert await call.status() == grpc.StatusCode.UNIMPLEMENTED.value[0]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_a_compressed_request_is_read(
    bench: FrontBench, compression: grpc.Compression
) -> None:
    content = bytes(MAX_BYTES)
    assert await bench.call(ECHO)(content, compression=compression) == content


async def test_a_message_beyond_the_limit_is_refused_and_the_next_is_answered(
    bench: FrontBench,
) -> None:
    echo = bench.call(ECHO)
    errors = await asyncio.gather(*(failure(echo(bytes(MAX_BYTES + 1))) for _ in range(32)))
    assert {error.code() for error in errors} == {EXHAUSTED}
    assert await echo(b"next") == b"next"
    assert bench.contents == [b"next"]


async def test_the_limit_counts_after_decompression(bench: FrontBench) -> None:
    bomb = bytes(64 * MAX_BYTES)  # 64 kB on the wire
    error = await failure(bench.call(ECHO)(bomb, compression=grpc.Compression.Gzip))
    assert error.code() is EXHAUSTED
    assert bench.begun == []


async def test_a_message_beyond_the_limit_ends_its_stream(bench: FrontBench) -> None:
    call = bench.channel.stream_stream(CHAT)()
    await call.write(b"small")
    assert await call.read() == b"small"
    await call.write(bytes(MAX_BYTES + 1))
    assert await call.code() is EXHAUSTED
    await until(lambda: bench.ended == 1)


async def test_the_gate_refuses_before_the_message_is_there(bench: FrontBench) -> None:
    bench.gate.refuses.add(ECHO)
    async with raw_call(bench.address) as call:
        await call.begin(ECHO, [("x-request-id", "mine")])
        assert await call.status() == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    assert bench.begun == []
    (head,) = bench.gate.looked
    assert (head.method, head.deadline_s) == (ECHO, None)
    assert ("x-request-id", "mine") in [tuple(pair) for pair in head.metadata]


async def test_a_caller_that_goes_before_its_message_leaves_nothing(bench: FrontBench) -> None:
    async with raw_call(bench.address) as call:
        await call.begin(ECHO)
    async with raw_call(bench.address) as call:
        await call.begin(ECHO)
        await call.send(b"half", announced_bytes=8, is_last=False)
    assert await bench.call(ECHO)(b"next") == b"next"
    assert bench.contents == [b"next"]


async def test_a_caller_that_goes_cancels_the_work_of_its_call(bench: FrontBench) -> None:
    calls = [bench.call(HELD)(b"") for _ in range(8)]
    await until(lambda: len(bench.begun) == 8)
    for call in calls[:4]:
        call.cancel()
    await until(lambda: bench.cancelled == 4)
    bench.opened.set()
    assert await asyncio.gather(*calls[4:]) == [b""] * 4
    assert bench.cancelled == 4


async def test_a_deadline_reaches_the_head_and_ends_the_work(bench: FrontBench) -> None:
    for timeout_s in longer():
        begun = len(bench.begun)
        call = bench.call(HELD)(b"", timeout=timeout_s)
        if await comes(lambda before=begun: len(bench.begun) > before, call):  # type: ignore[misc] # bound
            assert (await failure(call)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
            break
    await until(lambda: bench.cancelled == len(bench.begun))
    assert bench.begun[-1].deadline_s is not None


async def test_a_stream_answers_message_by_message_and_ends_with_its_caller(
    bench: FrontBench,
) -> None:
    call = bench.channel.stream_stream(CHAT)()
    for number in range(100):
        await call.write(str(number).encode())
        assert await call.read() == str(number).encode()
    await call.done_writing()
    assert await call.read() is aio.EOF
    assert await call.code() is grpc.StatusCode.OK


@pytest.mark.parametrize("asked", [0, 1])
async def test_a_stream_whose_caller_goes_is_told(bench: FrontBench, asked: int) -> None:
    call = bench.channel.stream_stream(CHAT)()
    for _ in range(asked):
        await call.write(b"a")
        assert await call.read() == b"a"
    await until(lambda: len(bench.begun) == 1)
    call.cancel()
    await until(lambda: bench.ended == 1)


async def test_what_a_stream_still_does_after_its_last_message_ends_with_its_caller(
    bench: FrontBench,
) -> None:
    goes, stays = (bench.channel.stream_stream(LINGER)() for _ in range(2))
    await stays.write(b"last")
    await stays.done_writing()
    await until(lambda: len(bench.begun) == 2)
    goes.cancel()
    await until(lambda: bench.cancelled == 1)
    bench.opened.set()
    assert await stays.code() is grpc.StatusCode.OK
    assert bench.cancelled == 1


async def test_whoever_does_not_read_is_not_written_to_and_may_go(bench: FrontBench) -> None:
    call = bench.channel.unary_stream(FLOOD)(b"")
    assert len(await call.read()) == 1 << 20
    before = -1
    while bench.written != before:  # until the window is full
        before = bench.written
        await asyncio.sleep(_STILL_S)
    assert bench.written < 64
    call.cancel()
    await until(lambda: bench.cancelled == 1)


_STILL_S = 0.2


async def test_an_answer_and_a_cancellation_at_the_same_time_harm_nobody(
    bench: FrontBench,
) -> None:
    for _ in range(20):
        calls = [bench.call(ECHO)(bytes(1000)) for _ in range(16)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        assert await asyncio.gather(*calls[1::2]) == [bytes(1000)] * 8
    assert await bench.call(ECHO)(b"next") == b"next"


async def test_what_comes_during_a_drain_is_unavailable(make_front: MakeFront) -> None:
    async with front_bench(make_front) as bench:
        held = bench.call(HELD)(b"held")
        await until(lambda: len(bench.begun) == 1)
        draining = asyncio.ensure_future(bench.front.drain(PATIENCE_S))
        await asyncio.sleep(0)
        error = await failure(bench.call(ECHO)(b"late"))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        bench.opened.set()
        assert await held == b"held"
        await draining
    assert [head.method for head in bench.begun] == [HELD]


async def test_who_is_connected_is_answered_after_the_listening_ended_and_nobody_else(
    make_front: MakeFront,
) -> None:
    async with front_bench(make_front) as bench, front_bench(make_front) as other:
        assert await bench.call(ECHO)(b"before") == b"before"
        bench.front.stop_listening()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*bench.address.split(":"))
        assert await bench.call(ECHO)(b"after") == b"after"
        assert await other.call(ECHO)(b"not this port") == b"not this port"
        await bench.front.drain(PATIENCE_S)
        error = await failure(bench.call(ECHO)(b"late"))
        assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_grace_ends_what_does_not_end(make_front: MakeFront) -> None:
    async with front_bench(make_front) as bench:
        held, chat = bench.call(HELD)(b""), bench.channel.stream_stream(CHAT)()
        await until(lambda: len(bench.begun) == 2)
        patient = asyncio.ensure_future(bench.front.drain(PATIENCE_S))
        await bench.front.drain(0.01)
        await patient
        assert (await failure(held)).code() is not grpc.StatusCode.OK
        assert await chat.code() is not grpc.StatusCode.OK
        await until(lambda: bench.cancelled >= 1 and bench.ended == 1)


async def test_one_connection_has_only_so_many_calls_at_once(make_front: MakeFront) -> None:
    settings = RpcSettings(connections=ConnectionSettings(max_calls=4))
    async with front_bench(make_front, settings) as bench:
        assert await bench.call(ECHO)(b"knows the limit") == b"knows the limit"
        calls = [bench.call(HELD)(b"") for _ in range(12)]
        await until(lambda: len(bench.begun) == 1 + 4)
        await settle_loop()
        assert len(bench.begun) == 1 + 4
        bench.opened.set()
        await asyncio.wait(map(asyncio.ensure_future, calls), return_when=asyncio.FIRST_COMPLETED)


async def test_more_connections_than_the_limit_are_closed_and_the_others_are_answered(
    make_front: MakeFront,
) -> None:
    settings = RpcSettings(connections=ConnectionSettings(max_connections=3))
    async with front_bench(make_front, settings) as bench:
        assert await bench.call(ECHO)(b"first") == b"first"
        async with raw_call(bench.address) as second, raw_call(bench.address) as third:
            for call in (second, third):
                await call.begin(HELD)
                await call.send(b"", announced_bytes=0, is_last=True)
            await until(lambda: len(bench.begun) == 3)
            own = (("grpc.use_local_subchannel_pool", 1),)
            async with aio.insecure_channel(bench.address, options=own) as beyond:
                fourth: Any = beyond.unary_unary(ECHO)
                error = await failure(fourth(b"fourth"))
                assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert await bench.call(ECHO)(b"still") == b"still"
            bench.opened.set()
        async with aio.insecure_channel(bench.address, options=own) as later:
            echo: Any = later.unary_unary(ECHO)
            assert await echo(b"later", wait_for_ready=True, timeout=PATIENCE_S) == b"later"
