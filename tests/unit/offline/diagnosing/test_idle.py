"""A diagnosis takes the turns that nobody wants: when its steps begin, and how many at a time."""

import asyncio
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchproof_server.base.errors import Draining, ModelNotReady
from batchproof_server.devices.device import Executed
from batchproof_server.offline.diagnosing.idle import IdleTurns
from batchproof_server.selfcheck.choosing import QUIET_S
from support.fakes import FakeClock


class Queue:
    """As much of a batcher as turns look at; who waits is what the test says."""

    def __init__(self) -> None:
        self.settings = MagicMock(buckets_rows=(1, 8))
        self.has_work = False
        self.is_draining = False
        self.begun: list[Callable[[Any], None]] = []
        self.began_beside: list[bool] = []

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing waits or is executed here."""
        return not self.has_work and not self.begun

    def execute_aside(self, _rows: object, tell: Callable[[Any], None]) -> None:
        """Keeps the execution until the test ends it."""
        self.began_beside.append(self.has_work)
        self.begun.append(tell)

    def end(self) -> None:
        """The oldest execution is done."""
        self.begun.pop(0)(Executed(({"scores": np.zeros((1, 3), np.float32)},), 0.001))


class Server:
    """A version that is diagnosed, another beside it, and callers of both."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.under_way = 0
        self.queue, self.other = Queue(), Queue()
        self.versions = [_served(self.queue), _served(self.other)]
        self.turns = IdleTurns(self, self.clock, lambda: not self.under_way)  # type: ignore[arg-type] # as much as it asks
        self.asker = self.turns.asker(self.versions[0])

    def loaded(self) -> list[Any]:
        """The versions."""
        return self.versions

    @property
    def somebody_waits(self) -> bool:
        """Whether anybody but the diagnosis does."""
        return bool(self.under_way or self.queue.has_work or self.other.has_work)

    async def pass_quietly(self) -> None:
        """Time in which nothing happens."""
        await _turns_of_the_loop()
        self.clock.advance(QUIET_S)
        await _turns_of_the_loop()


def _served(queue: Queue) -> Any:
    served = MagicMock()
    served.batcher = queue
    served.loaded.backend.signature.inputs = [MagicMock()]
    served.loaded.output.name = "scores"
    return served


async def _turns_of_the_loop() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


ROWS = np.zeros((1, 4), np.float32)
EVENTS = st.lists(
    st.sampled_from(["asked", "answered", "queued", "queue empty", "other", "other done", "quiet"]),
    max_size=40,
)


@given(EVENTS)
@settings(max_examples=60, deadline=None)
def test_no_execution_begins_while_somebody_waits_and_never_two_at_once(events: list[str]) -> None:
    async def play() -> None:
        server = Server()
        under_way = asyncio.ensure_future(_executions(server, 3))
        for event in events:
            before, waited = len(server.queue.began_beside), server.somebody_waits
            await _happen(server, event)
            begun = len(server.queue.began_beside) - before
            assert len(server.queue.begun) <= 1
            if waited and server.somebody_waits:
                assert begun == 0
        await _let_it_end(server, under_way)
        assert server.queue.began_beside == [False] * 3
        server.turns.close()

    asyncio.run(play())


async def _executions(server: Server, count: int) -> None:
    for _ in range(count):
        await server.asker.execute(ROWS)


async def _happen(server: Server, event: str) -> None:
    match event:
        case "asked":
            server.under_way += 1
        case "answered":
            server.under_way = max(0, server.under_way - 1)
        case "queued" | "queue empty":
            server.queue.has_work = event == "queued"
        case "other" | "other done":
            server.other.has_work = event == "other"
        case _:
            if server.queue.begun:
                server.queue.end()
    await server.pass_quietly()


async def _let_it_end(server: Server, under_way: asyncio.Future[None]) -> None:
    server.under_way = 0
    server.queue.has_work = server.other.has_work = False
    while not under_way.done():
        await server.pass_quietly()
        if server.queue.begun:
            server.queue.end()
    await under_way


async def test_whoever_comes_during_an_execution_has_that_one_before_them_and_no_other() -> None:
    server = Server()
    under_way = asyncio.ensure_future(_executions(server, 2))
    await server.pass_quietly()
    assert len(server.queue.begun) == 1
    server.under_way = 1
    server.queue.end()
    for _ in range(5):
        await server.pass_quietly()
        assert server.queue.begun == []
    await _let_it_end(server, under_way)
    server.turns.close()


async def test_work_on_pictures_waits_for_the_last_caller_too() -> None:
    server, done = Server(), []
    server.under_way = 1
    work = asyncio.ensure_future(server.asker.run(lambda: done.append("work")))
    for _ in range(5):
        await server.pass_quietly()
        assert done == []
    server.under_way = 0
    await server.pass_quietly()
    await work
    assert done == ["work"]
    server.turns.close()


@pytest.mark.parametrize(("leaves", "error"), [(True, ModelNotReady), (False, Draining)])
async def test_a_version_that_goes_ends_its_diagnosis(
    leaves: bool,  # noqa: FBT001 - a parameter of the test
    error: type[Exception],
) -> None:
    server = Server()
    server.queue.has_work = True
    under_way = asyncio.ensure_future(server.asker.execute(ROWS))
    await server.pass_quietly()
    if leaves:
        server.versions.pop(0)
    server.queue.is_draining = not leaves
    with pytest.raises(error):
        await _ended(server, under_way)
    server.turns.close()


async def _ended(server: Server, under_way: asyncio.Future[Any]) -> Any:
    while not under_way.done():
        await server.pass_quietly()
    return await under_way
