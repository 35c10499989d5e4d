"""The reading and writing of a stream, with messages whose reads and writes a test decides."""

import asyncio
import gc
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from batchproof_server.base.errors import Draining, QueueFull
from batchproof_server.rpc.fronts.front import CallEnded
from batchproof_server.rpc.streams import ENDING_S, Streams
from support.fakes import settle_loop
from support.virtual_time import run_virtually


@dataclass
class ScriptedMessages:
    """The messages of a stream whose reads and writes a test decides."""

    requests: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    written: list[Any] = field(default_factory=list)
    fault: Exception | None = None
    is_writing: bool = False

    async def read(self) -> Any:
        """The next request, or the fault that was put there."""
        came = await self.requests.get()
        if isinstance(came, Exception):
            raise came
        return came

    async def write(self, answer: Any) -> None:
        """Keeps the answer, or fails."""
        if self.fault is not None:
            raise self.fault
        assert not self.is_writing, "a front takes one write at a time"
        self.is_writing = True
        await asyncio.sleep(0)
        self.is_writing = False
        self.written.append(answer)


async def echo(request: Any) -> Any:
    return request


def serve(
    streams: Streams, context: ScriptedMessages, answer: Any = echo, caller: str = ""
) -> "asyncio.Task[None]":
    return asyncio.create_task(streams.serve(cast("Any", context), answer, caller))


async def test_answers_that_are_ready_together_are_written_one_after_the_other() -> None:
    context, gate = ScriptedMessages(), asyncio.Event()

    async def gated(request: Any) -> Any:
        await gate.wait()
        return request

    stream = serve(Streams(1, 9), context, gated)
    for each in ("a", "b", "c", None):
        context.requests.put_nowait(each)
    await settle_loop(30)
    gate.set()
    await stream
    assert sorted(context.written) == ["a", "b", "c"]


async def test_a_write_to_a_caller_that_has_gone_ends_the_stream_quietly() -> None:
    context = ScriptedMessages(fault=CallEnded())
    stream = serve(Streams(1, 1), context)
    for each in ("a", "b", None):
        context.requests.put_nowait(each)
    await stream
    assert context.written == []


async def test_a_fault_outside_of_the_work_cancels_the_other_members() -> None:
    cancelled = []

    async def wait(request: Any) -> Any:
        if request == "fails":
            raise RuntimeError("unforeseen")
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(request)

    context = ScriptedMessages()
    stream = serve(Streams(1, 9), context, wait)
    for each in ("a", "b"):
        context.requests.put_nowait(each)
    await settle_loop()
    context.requests.put_nowait("fails")
    with pytest.raises(ExceptionGroup):
        await stream
    assert sorted(cancelled) == ["a", "b"]


async def test_a_read_is_never_cancelled_and_its_late_failure_is_nobodys() -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
    streams, context = Streams(1, 1), ScriptedMessages()
    stream = serve(streams, context)
    await settle_loop()
    streams.start_draining()
    with pytest.raises(Draining):
        await stream
    # The read is still there to take what gRPC gives it.
    context.requests.put_nowait(CallEnded())
    await settle_loop()
    assert context.requests.empty()
    gc.collect()
    assert complaints == []


async def test_a_cancelled_stream_leaves_its_read_to_grpc_and_frees_its_place() -> None:
    streams, context = Streams(1, 1), ScriptedMessages()
    stream = serve(streams, context)
    await settle_loop()
    stream.cancel()
    await asyncio.wait({stream})
    assert stream.cancelled()
    context.requests.put_nowait("late")
    await settle_loop()
    assert context.requests.empty()
    again = serve(streams, ScriptedMessages())
    await settle_loop()
    assert not again.done()
    again.cancel()


async def test_a_stream_that_opens_while_the_server_drains_reads_nothing() -> None:
    streams, context = Streams(1, 1), ScriptedMessages()
    streams.start_draining()
    context.requests.put_nowait("unread")
    with pytest.raises(Draining):
        await serve(streams, context)
    assert context.written == []


async def test_draining_waits_for_a_full_window_but_reads_no_more() -> None:
    streams, context = Streams(1, 1), ScriptedMessages()
    gate = asyncio.Event()

    async def gated(request: Any) -> Any:
        await gate.wait()
        return request

    stream = serve(streams, context, gated)
    for each in ("read", "unread"):
        context.requests.put_nowait(each)
    await settle_loop()
    streams.start_draining()
    await settle_loop()
    assert not stream.done()
    gate.set()
    with pytest.raises(Draining):
        await stream
    assert context.written == ["read"]
    assert context.requests.qsize() == 1


async def opened(streams: Streams, callers: str, answer: Any = echo) -> "list[asyncio.Task[None]]":
    """A stream of each caller."""
    tasks = [serve(streams, ScriptedMessages(), answer, caller) for caller in callers]
    await settle_loop()
    return tasks


async def test_the_latest_stream_of_whoever_has_the_most_gives_way_until_they_are_even() -> None:
    streams = Streams(4, 1)
    first = await opened(streams, "aaaa")
    second = await opened(streams, "bb")
    assert [task.done() for task in first] == [False, False, True, True]
    assert not any(task.done() for task in second)
    for task in first[2:]:
        with pytest.raises(QueueFull, match="gave way to one of another caller"):
            await task
    (refused,) = await opened(streams, "b")
    with pytest.raises(QueueFull, match="4 streams are open already"):
        await refused
    for task in (*first, *second):
        task.cancel()


async def test_a_caller_that_is_alone_has_every_stream_and_those_of_nobody_else() -> None:
    streams = Streams(4, 1)
    tasks = await opened(streams, "aaaaa")
    assert [task.done() for task in tasks] == [False] * 4 + [True]
    with pytest.raises(QueueFull):
        await tasks[-1]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert not streams._open


async def test_a_stream_that_gives_way_answers_what_it_has_read_and_reads_no_more() -> None:
    streams, context, gate = Streams(2, 1), ScriptedMessages(), asyncio.Event()

    async def gated(request: Any) -> Any:
        await gate.wait()
        return request

    await opened(streams, "a")
    giving_way = serve(streams, context, gated, "a")
    for each in ("read", "unread"):
        context.requests.put_nowait(each)
    await settle_loop()
    (polite,) = await opened(streams, "b")
    await settle_loop()
    assert not giving_way.done()
    gate.set()
    with pytest.raises(QueueFull):
        await giving_way
    assert context.written == ["read"]
    assert context.requests.qsize() == 1
    assert not polite.done()


def test_a_stream_that_gives_way_ends_soon_even_when_its_caller_reads_no_answers() -> None:
    class Unread(ScriptedMessages):
        """The messages of a caller that reads no answers."""

        async def write(self, answer: Any) -> None:
            """There is never room for one."""
            del answer
            await asyncio.Event().wait()

    async def play() -> None:
        streams, context = Streams(2, 1), Unread()
        await opened(streams, "a")
        giving_way = serve(streams, context, caller="a")
        context.requests.put_nowait("read")
        await settle_loop()
        polite = await opened(streams, "b")
        started_s = asyncio.get_running_loop().time()
        with pytest.raises(QueueFull):
            await giving_way
        assert asyncio.get_running_loop().time() - started_s == pytest.approx(ENDING_S)
        assert not polite[0].done()

    run_virtually(play())


async def test_streams_that_end_for_others_are_bounded_too() -> None:
    streams = Streams(4, 1)

    async def never(_request: Any) -> Any:
        await asyncio.Event().wait()

    async def busy(callers: str) -> "list[asyncio.Task[None]]":
        tasks = []
        for caller in callers:
            context = ScriptedMessages()
            context.requests.put_nowait("read")
            tasks.append(serve(streams, context, never, caller))
        await settle_loop()
        return tasks

    tasks = await busy("aaaa")
    for _ in range(2):
        polite = await busy("bb")
        for task in polite:
            task.cancel()
        await settle_loop()
        tasks += await busy("aa")
    assert not any(task.done() for task in tasks)
    (refused,) = await busy("b")
    with pytest.raises(QueueFull, match="4 streams are open already"):
        await refused
    for task in tasks:
        task.cancel()
