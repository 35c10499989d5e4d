"""What is told, counted and recorded of calls, on plain values and without any front."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from google.protobuf.message import DecodeError

from batchproof_server.base.errors import InvalidInput, ModelNotFound, QueueFull
from batchproof_server.base.events import ShedRecord
from batchproof_server.base.priorities import Priority
from batchproof_server.batching.connections import Ahead, LetIn
from batchproof_server.rpc.calls import Call, Calls, Method
from batchproof_server.rpc.contents import NO_CONTENTS, Contents
from batchproof_server.rpc.fronts.front import CallHead, Code, Reply
from batchproof_server.rpc.gate import Gate, LoadShedder
from batchproof_server.rpc.large_messages import QUICK_BYTES
from batchproof_server.rpc.pressure import Pressure
from batchproof_server.rpc.status import Failure
from support.fakes import PATIENCE_S, FakeClock, Recorder, settle_loop, until

HEAD = CallHead(1, "/a.B/C", (("x-request-id", "beside"),), "ipv4:127.0.0.1:1", None)


def parse(content: bytes) -> Any:
    """A message of an id alone."""
    if content == b"junk":
        raise DecodeError
    return SimpleNamespace(id=content.decode())


async def say_who(_message: Any, call: Call) -> str:
    call.trailers.append(("x-who", "me"))
    return call.request_id


def scan(content: bytes) -> tuple[bytes, Contents]:
    """Refuses what holds too much."""
    if content == b"too much":
        raise InvalidInput("too much came")
    return content, NO_CONTENTS


class Bench:
    """Calls of one method."""

    def __init__(self, behaviour: Callable[[Any, Call], Awaitable[Any]] = say_who) -> None:
        self.clock, self.recorder = FakeClock(), Recorder()
        self.unforeseen: list[BaseException] = []
        self.pressure = Pressure(9, self.clock)
        self.calls = Calls(
            self.pressure, self.clock, self.recorder, lambda error, _: self.unforeseen.append(error)
        )
        self.method = Method("C", scan, parse, behaviour, str.encode, "id")

    async def answer(self, content: bytes | None, head: CallHead = HEAD) -> Reply | Failure:
        """The outcome of one unary call."""
        return await self.calls.answer(self.method, head, content)

    async def refused(self, content: bytes | None) -> Failure:
        """The failure of one unary call."""
        outcome = await self.answer(content)
        assert isinstance(outcome, Failure)
        return outcome

    def records(self) -> list[tuple[str, str]]:
        """The request ids and codes that were recorded."""
        return [(record.request_id, record.code) for record in self.recorder.requests]


async def test_an_answer_is_bytes_and_the_metadata_that_its_behaviour_wants_to_go_with_it() -> None:
    bench = Bench()
    assert await bench.answer(b"mine") == Reply(b"mine", [("x-who", "me")])
    await settle_loop()
    assert bench.records() == [("mine", "OK")]
    assert bench.pressure.is_idle


async def test_the_id_beside_the_message_counts_when_there_is_none_inside() -> None:
    bench = Bench()
    assert await bench.answer(b"") == Reply(b"beside", [("x-who", "me")])
    outcome = await bench.answer(b"", HEAD._replace(metadata=(("x-request-id", b"bytes"),)))
    assert isinstance(outcome, Reply)
    assert outcome.content == b"bytes"


async def test_the_id_beside_a_stream_is_of_none_of_its_requests() -> None:
    bench = Bench()
    bench.method = replace(bench.method, refuse=lambda failure: failure.text.encode())
    outcome = await bench.answer(b"")
    assert isinstance(outcome, Reply)
    assert len(outcome.content) == 32


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "the call has no message, expected one"),
        (b"junk", "the message cannot be read, expected the one that the method takes"),
        (b"too much", "too much came"),
    ],
)
async def test_what_cannot_be_read_is_the_callers_fault_and_recorded(
    content: bytes | None, text: str
) -> None:
    bench = Bench()
    failure = await bench.refused(content)
    assert (failure.code, failure.text) == (Code.INVALID_ARGUMENT, text)
    assert failure.trailers == (("x-request-id", "beside"),)
    assert bench.records() == [("beside", "INVALID_ARGUMENT")]
    assert bench.unforeseen == []


async def test_a_failure_has_the_trailing_metadata_of_its_error() -> None:
    async def full(_message: Any, _call: Call) -> str:
        raise QueueFull("full", 0.25)

    failure = await Bench(full).refused(b"mine")
    assert failure.code is Code.RESOURCE_EXHAUSTED
    assert failure.trailers == (("x-request-id", "mine"), ("grpc-retry-pushback-ms", "250"))


async def test_an_unreadable_id_is_refused_and_given_back_for_a_stream_only() -> None:
    failure = await Bench().refused(b"no\nline")
    assert failure.code is Code.INVALID_ARGUMENT
    assert failure.given_id == "no\nline"
    assert len(failure.request_id) == 32
    assert failure.trailers == (("x-request-id", failure.request_id),)


async def test_what_cannot_be_written_is_internal() -> None:
    async def number(_message: Any, _call: Call) -> int:
        return 1

    bench = Bench(number)
    failure = await bench.refused(b"mine")
    assert failure.code is Code.INTERNAL
    assert [type(error) for error in bench.unforeseen] == [TypeError]


async def test_work_that_turns_its_cancellation_into_an_error_is_recorded_as_that() -> None:
    async def stubborn(_message: Any, _call: Call) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("late") from None
        return ""

    bench = Bench(stubborn)
    task = asyncio.ensure_future(bench.answer(b"a"))
    await settle_loop()
    told = [bench.pressure.is_idle]
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert [*told, bench.pressure.is_idle] == [False, True]
    assert bench.records() == [("a", "INTERNAL")]


@pytest.mark.parametrize(
    ("deadline_s", "code"), [(None, "CANCELLED"), (9.0, "CANCELLED"), (1.0, "DEADLINE_EXCEEDED")]
)
async def test_a_caller_who_leaves_when_its_time_is_over_was_answered_too_late(
    deadline_s: float | None, code: str
) -> None:
    async def wait(_message: Any, _call: Call) -> str:
        await asyncio.Event().wait()
        return ""

    bench = Bench(wait)
    left_s = None if deadline_s is None else bench.clock.now_s() + deadline_s
    task = asyncio.ensure_future(bench.answer(b"a", HEAD._replace(deadline_s=left_s)))
    await settle_loop()
    bench.clock.advance(1.0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert bench.records() == [("a", code)]


async def test_a_stream_that_fails_beside_its_requests_is_recorded_once() -> None:
    bench = Bench()
    failure = bench.calls.fail_stream("C", ModelNotFound("none"))
    assert failure.code is Code.NOT_FOUND
    assert bench.records() == [(failure.request_id, "NOT_FOUND")]


class Queues(LoadShedder):
    """Refuses who has less than a second, or too many before it."""

    def __init__(self, *, is_pressed: bool, most_ahead: int = 100) -> None:
        self._is_pressed_now = is_pressed
        self._most_ahead = most_ahead
        self.asked = 0

    def is_pressed(self) -> bool:
        """As the test says."""
        return self._is_pressed_now

    def check(
        self,
        timeout_s: float | None,
        caller: str,
        ahead: Ahead,
        priority: Priority | None = None,
    ) -> None:
        """Lets who has time and room go on, and what is critical."""
        del caller
        self.asked += 1
        if priority == "critical":
            return
        if ahead.rows > self._most_ahead or (timeout_s is not None and timeout_s < 1.0):
            raise QueueFull("full", 0.1)

    def only_model(self) -> tuple[str, int]:
        """There is one."""
        return ("m", 3)


def test_the_gate_wants_predictions_only_and_only_when_pressed() -> None:
    calls = cast("Any", None)
    pressed, idle = (
        Gate(Queues(is_pressed=each), calls, {"/a.B/C": "C"}) for each in (True, False)
    )
    assert [pressed.wants("/a.B/C"), pressed.wants("/a.B/D"), idle.wants("/a.B/C")] == [
        True,
        False,
        False,
    ]


def test_the_gate_looks_at_a_list_of_heads_and_refuses_each_by_itself() -> None:
    bench = Bench()
    gate = Gate(Queues(is_pressed=True), bench.calls, {"/a.B/C": "C"})
    soon = HEAD._replace(deadline_s=bench.clock.now_s() + 0.5)
    looked = gate.look((HEAD, soon, soon._replace(method="/a.B/other")), LetIn())
    refused = looked[1]
    assert looked == [None, refused, None]
    assert refused is not None
    assert refused.trailers == (("x-request-id", "beside"), ("grpc-retry-pushback-ms", "100"))
    [record] = bench.recorder.requests
    assert (record.method, record.model, record.version) == ("C", "m", 3)
    assert bench.recorder.shed == [ShedRecord("m", 3, "queue_full")]


def test_the_gate_counts_those_whom_it_let_in_before_any_queue_knows_of_them() -> None:
    bench = Bench()
    gate = Gate(Queues(is_pressed=True, most_ahead=3), bench.calls, {"/a.B/C": "C"})
    let_in = LetIn()
    let_in.add(HEAD.peer)
    looked = gate.look([HEAD] * 9, let_in)
    assert [each is None for each in looked] == [True] * 3 + [False] * 6
    assert let_in.rows == 4
    assert all(each is not None for each in gate.look([HEAD], let_in))


def test_calls_that_come_together_are_refused_together() -> None:
    bench = Bench()
    queues = Queues(is_pressed=True)
    gate = Gate(queues, bench.calls, {"/a.B/C": "C"})
    now_s = bench.clock.now_s()
    heads = [
        HEAD._replace(id=number, metadata=(), deadline_s=now_s + left_s)
        for number, left_s in enumerate((0.5, 0.5, 0.2, 0.8, 5.0, 0.1))
    ]
    looked = gate.look(heads, LetIn())
    assert [each is None for each in looked] == [False] * 4 + [True, False]
    # Who has no more time than one who was refused, and comes from the same address, has no more
    # chance; one with more time is looked at.
    assert queues.asked == 3
    [record] = bench.recorder.refused
    refused = [each for each in looked if each is not None]
    assert record.request_ids == tuple(each.request_id for each in refused)
    assert len(set(record.request_ids)) == 5
    assert {len(each) for each in record.request_ids} == {32}
    for each in refused:
        assert (each.code, each.text) == (Code.RESOURCE_EXHAUSTED, "full")
        assert each.trailers == (
            ("x-request-id", each.request_id),
            ("grpc-retry-pushback-ms", "100"),
        )


def test_a_more_urgent_call_of_the_same_address_is_not_refused_with_the_others() -> None:
    bench = Bench()
    gate = Gate(Queues(is_pressed=True), bench.calls, {"/a.B/C": "C"})
    soon = HEAD._replace(deadline_s=bench.clock.now_s() + 0.5)
    priorities: tuple[Priority, ...] = ("best_effort", "critical", "best_effort", "default")
    looked = gate.look([soon._replace(priority=each) for each in priorities], LetIn())
    assert [each is None for each in looked] == [False, True, False, False]
    assert [each.priority for each in bench.recorder.refused] == ["best_effort"]
    assert [each.priority for each in bench.recorder.requests] == ["default"]


class HeldParse:
    """Parses when it is allowed to; says in which threads, and how many at a time."""

    def __init__(self) -> None:
        self.allowed = threading.Event()
        self.began = 0
        self.threads: set[str] = set()

    def __call__(self, content: bytes) -> Any:
        """A message, in the end."""
        self.began += 1
        self.threads.add(threading.current_thread().name)
        assert self.allowed.wait(PATIENCE_S)
        return parse(content[:1])


LARGE = b"x" * (QUICK_BYTES + 1)


async def test_while_a_large_message_is_parsed_others_are_answered() -> None:
    bench, held = Bench(), HeldParse()
    large = replace(bench.method, parse=held)
    waiting = [asyncio.ensure_future(bench.calls.answer(large, HEAD, LARGE)) for _ in range(3)]
    await until(lambda: held.began == 1)
    assert isinstance(await bench.answer(b"small"), Reply)
    assert held.began == 1
    held.allowed.set()
    assert all(isinstance(each, Reply) for each in await asyncio.gather(*waiting))
    assert threading.current_thread().name not in held.threads
    assert bench.pressure.is_idle


async def test_a_call_that_ends_while_its_message_is_parsed_is_recorded_once() -> None:
    bench, held = Bench(), HeldParse()
    large = replace(bench.method, parse=held)
    waiting = asyncio.ensure_future(bench.calls.answer(large, HEAD, LARGE))
    await until(lambda: held.began == 1)
    waiting.cancel()
    held.allowed.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert bench.records() == [("beside", "CANCELLED")]
    assert bench.pressure.is_idle


async def test_a_large_message_that_cannot_be_read_is_the_callers_fault() -> None:
    bench = Bench()

    def unreadable(_content: bytes) -> Any:
        raise DecodeError

    failure = await bench.calls.answer(replace(bench.method, parse=unreadable), HEAD, LARGE)
    assert isinstance(failure, Failure)
    assert failure.code is Code.INVALID_ARGUMENT
    assert bench.records() == [("beside", "INVALID_ARGUMENT")]
