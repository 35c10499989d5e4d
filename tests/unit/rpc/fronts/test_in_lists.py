"""Calls go to their routes in lists, and their outcomes come back in lists."""

import asyncio
from typing import Any

import pytest

from batchproof_server.rpc.fronts.front import (
    Body,
    CallEnded,
    CallHead,
    Code,
    Messages,
    Reply,
    Routes,
    Status,
)
from batchproof_server.rpc.fronts.in_lists import InLists
from support.fakes import PATIENCE_S, settle_loop
from support.fronts import NoGate


class NoMessages:
    """A stream whose caller has gone."""

    async def read(self) -> bytes | None:
        """Fails."""
        raise CallEnded

    async def write(self, content: bytes) -> None:
        """Fails."""
        del content
        raise CallEnded


class Bench:
    """Routes that the test opens, and what was sent."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self.sent: list[list[tuple[int, Reply | Status]]] = []
        self.gate = asyncio.Event()
        routes = Routes(
            {"/echo": self.echo, "/quick": self.quick, "/broken": self.broken},
            {"/count": self.count},
            NoGate(),
        )
        self.lists = InLists(routes, lambda outcomes: self.sent.append(list(outcomes)))

    async def echo(self, head: CallHead, content: bytes | None) -> Reply | Status:
        """The message itself, when the test says so."""
        self.begun.append(head.id)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(head.id)
            raise
        return Reply(content or b"")

    async def quick(self, head: CallHead, content: bytes | None) -> Reply | Status:
        """Refuses at once."""
        del head, content
        return Status(Code.UNAVAILABLE, "later")

    async def broken(self, head: CallHead, content: bytes | None) -> Reply | Status:
        """Has a fault."""
        del head, content
        raise RuntimeError("secret")

    async def count(self, head: CallHead, messages: Messages) -> Status:
        """Reads to the end."""
        del head
        while await messages.read() is not None:
            pass
        return Status(Code.OK)


def body(call_id: int, method: str = "/echo") -> Body:
    return Body(CallHead(call_id, method, (), "", None), str(call_id).encode())


async def test_what_comes_together_is_begun_in_one_turn_and_sent_in_one_list() -> None:
    bench = Bench()
    bench.lists.begin([body(3), body(1), body(2)])
    await asyncio.sleep(0)
    assert bench.begun == [3, 1, 2]
    bench.gate.set()
    await settle_loop()
    assert bench.sent == [[(3, Reply(b"3")), (1, Reply(b"1")), (2, Reply(b"2"))]]


async def test_what_is_ready_at_once_does_not_wait_for_the_others() -> None:
    bench = Bench()
    bench.lists.begin([body(1), body(2, "/quick")])
    await settle_loop()
    assert bench.sent == [[(2, Status(Code.UNAVAILABLE, "later"))]]
    bench.gate.set()
    await settle_loop()
    assert bench.sent[1:] == [[(1, Reply(b"1"))]]


async def test_nothing_is_sent_for_what_is_cancelled_and_the_others_are_answered() -> None:
    bench = Bench()
    bench.lists.begin([body(1), body(2)])
    await settle_loop()
    bench.lists.cancel([1, 99])
    await settle_loop()
    assert bench.cancelled == [1]
    bench.gate.set()
    await settle_loop()
    assert bench.sent == [[(2, Reply(b"2"))]]
    bench.lists.cancel([1, 2])
    assert bench.lists._running == {}


async def test_what_is_cancelled_before_its_turn_is_never_begun() -> None:
    bench = Bench()
    bench.lists.begin([body(1)])
    bench.lists.cancel([1])
    await settle_loop()
    assert (bench.begun, bench.sent, bench.lists._running) == ([], [], {})


async def test_a_fault_of_a_route_is_told_to_its_caller_without_its_text_and_logged() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    bench = Bench()
    bench.lists.begin([body(1, "/broken")])
    await settle_loop()
    assert bench.sent == [[(1, Status(Code.INTERNAL, "internal error"))]]
    assert [str(context["exception"]) for context in told] == ["secret"]


async def test_a_stream_that_ended_with_its_call_is_not_sent() -> None:
    bench = Bench()
    bench.lists.open(body(1, "/count").head, NoMessages())
    await settle_loop()
    assert bench.sent == []


async def test_a_method_without_a_route_is_the_business_of_the_front() -> None:
    with pytest.raises(KeyError):
        Bench().lists.begin([body(1, "/unknown")])


async def test_a_call_without_company_is_sent_at_once() -> None:
    bench = Bench()
    bench.gate.set()
    bench.lists.begin([body(1)])
    await asyncio.sleep(0)
    assert bench.sent == [[(1, Reply(b"1"))]]


async def test_a_cancellation_that_nobody_asked_for_is_told_to_its_caller() -> None:
    bench = Bench()
    bench.lists.begin([body(1), body(2)])
    await settle_loop()
    bench.lists._running[1].cancel()
    await settle_loop()
    assert bench.sent == [[(1, Status(Code.UNAVAILABLE, "the request was given up; try again"))]]


async def test_the_end_cancels_what_is_left_and_waits_for_it() -> None:
    bench = Bench()
    bench.lists.begin([body(1), body(2)])
    await settle_loop()
    await bench.lists.end(PATIENCE_S)
    assert (bench.cancelled, bench.sent) == ([1, 2], [])
    await bench.lists.end(PATIENCE_S)
