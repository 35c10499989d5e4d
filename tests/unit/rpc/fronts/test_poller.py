"""What the thread of the completion queue hands over in one list."""

import asyncio
from collections import deque
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from batchproof_server.rpc.fronts.completion_queue.arrived import HEAD, MESSAGE, Arrived, RawHead
from batchproof_server.rpc.fronts.completion_queue.poller import Poller
from batchproof_server.rpc.fronts.completion_queue.private_api import cygrpc
from batchproof_server.rpc.fronts.room import Allowance
from support.fakes import until


class Queue:
    """Has messages of some sizes ready, and then nothing."""

    def __init__(self, sizes_bytes: Iterable[int]) -> None:
        self._sizes_bytes = deque(enumerate(sizes_bytes))

    def poll(self, deadline: float | None = None) -> Any:
        """The next event; a timeout where there is none."""
        if not self._sizes_bytes:
            assert deadline == 0
            return SimpleNamespace(completion_type=cygrpc.CompletionType.queue_timeout)
        number, size_bytes = self._sizes_bytes.popleft()
        message = SimpleNamespace(message=lambda: bytes(size_bytes))
        return SimpleNamespace(
            completion_type=cygrpc.CompletionType.operation_complete,
            tag=(MESSAGE, number),
            batch_operations=[message],
            success=True,
        )


async def lists(*sizes_bytes: int) -> list[list[int]]:
    """The numbers of the messages, as they are handed over."""
    poller = Poller(object(), frozenset(), Allowance(), lambda: False)
    poller._queue = cast("Any", Queue(sizes_bytes))
    handed: list[list[int]] = []
    while sum(map(len, handed)) < len(sizes_bytes):
        arrived = Arrived()
        assert poller._collect(arrived, poller._queue.poll())
        handed.append([number for number, _, _ in arrived.messages])
    return handed


async def test_small_messages_are_handed_over_together() -> None:
    assert await lists(*[1000] * 100) == [list(range(100))]


async def test_nobody_waits_for_the_copying_of_a_large_message_that_came_behind() -> None:
    assert await lists(10, 5 << 20, 5 << 20, 10, 10) == [[0, 1], [2], [3, 4]]


class StaleQueue(Queue):
    """Says after each message once that nothing is there, as after something was sent."""

    def __init__(self, sizes_bytes: Iterable[int]) -> None:
        super().__init__(sizes_bytes)
        self._is_stale = False

    def poll(self, deadline: float | None = None) -> Any:
        """The next event, every other time."""
        self._is_stale = not self._is_stale
        return super().poll(deadline) if self._is_stale else Queue(()).poll(deadline)


async def test_that_nothing_is_there_is_believed_when_it_was_said_twice() -> None:
    poller = Poller(object(), frozenset(), Allowance(), lambda: False)
    poller._queue = cast("Any", StaleQueue([10] * 9))
    arrived = Arrived()
    assert poller._collect(arrived, poller._queue.poll())
    assert [number for number, _, _ in arrived.messages] == list(range(9))


def head(number: int) -> RawHead:
    """Headers of a call."""
    return RawHead(number, None, b"/a.B/C", 0.0, (), is_read=False)


class Core:
    """Counts how often it was asked for the next call."""

    def __init__(self) -> None:
        self.asked = 0

    def request_call(self, *_: object) -> None:
        """Is asked."""
        self.asked += 1


async def test_what_comes_while_the_loop_is_busy_is_one_list() -> None:
    taken: list[Arrived] = []
    core = Core()
    poller = Poller(core, frozenset(), Allowance(), lambda: False)
    poller._take = taken.append
    poller._lists += [
        Arrived(heads=[head(1)], closed=[7]),
        Arrived(messages=[(1, b"a", True)], size_bytes=1),
        Arrived(heads=[head(2)], written=[(5, True)], reads=1),
    ]
    poller._hand_over()
    (arrived,) = taken
    assert [each.id for each in arrived.heads] == [1, 2]
    assert (arrived.messages, arrived.closed) == ([(1, b"a", True)], [7])
    assert (arrived.written, arrived.reads, arrived.size_bytes) == ([(5, True)], 1, 1)
    # The core hands out as many more calls as the loop has taken, and no more than that.
    assert core.asked == 2


async def test_after_a_list_that_cannot_be_taken_the_next_is_taken_and_calls_are_asked_for() -> (
    None
):
    taken: list[Arrived] = []
    given_up: list[Arrived] = []
    told: list[dict[str, Any]] = []
    core = Core()
    poller = Poller(core, frozenset(), Allowance(), lambda: False)
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def take(arrived: Arrived) -> None:
        if not given_up:
            raise RuntimeError("a gate that raises")
        taken.append(arrived)

    poller._take, poller._give_up = take, given_up.append
    for numbers in ((1, 2), (3,)):
        poller._lists.append(Arrived(heads=[head(number) for number in numbers]))
        poller._hand_over()
    assert [[each.id for each in arrived.heads] for arrived in given_up] == [[1, 2]]
    assert [[each.id for each in arrived.heads] for arrived in taken] == [[3]]
    assert core.asked == 3
    assert [str(each["exception"]) for each in told] == ["a gate that raises"]


async def test_large_messages_are_handed_over_apart_from_what_came_behind_them() -> None:
    taken: list[Arrived] = []
    poller = Poller(Core(), frozenset(), Allowance(), lambda: False)
    poller._take = taken.append
    large = 5 << 20
    poller._lists += [
        Arrived(messages=[(number, b"", True)], size_bytes=size_bytes)
        for number, size_bytes in enumerate((10, large, large, 10))
    ]
    poller._hand_over()
    handed = [[number for number, _, _ in each.messages] for each in taken]
    assert handed == [[0, 1], [2], [3]]


class QueueOfHeads:
    """Has the headers of some calls ready, and then nothing."""

    def __init__(self, heads: int) -> None:
        self._left = heads

    def poll(self, deadline: float | None = None) -> Any:
        """The next event; a timeout where there is none."""
        del deadline
        if not self._left:
            return SimpleNamespace(completion_type=cygrpc.CompletionType.queue_timeout)
        self._left -= 1
        return SimpleNamespace(
            completion_type=cygrpc.CompletionType.operation_complete,
            tag=(HEAD, 0),
            success=True,
            call=object(),
            call_details=SimpleNamespace(method=b"/a.B/C", deadline=0.0),
            invocation_metadata=(),
        )


@pytest.mark.parametrize("heads", [0, 127, 128, 256])
async def test_half_of_the_calls_that_were_asked_for_say_that_more_may_wait(heads: int) -> None:
    poller = Poller(Core(), frozenset(), Allowance(), lambda: False)
    poller.has_more = heads < 128
    poller._queue = cast("Any", QueueOfHeads(heads))
    poller.collect(0)
    assert poller.has_more is (heads >= 128)
    poller.collect(0)
    assert poller.has_more is False


class Backlog(QueueOfHeads):
    """A core and its queue: hands out as many of the calls that wait as it was asked for."""

    def __init__(self, heads: int) -> None:
        super().__init__(heads)
        self._asked = 0

    def register_completion_queue(self, queue: object) -> None:
        """Is told where its calls go."""

    def start(self) -> None:
        """Begins."""

    def request_call(self, *_: object) -> None:
        """Is asked."""
        self._asked += 1

    def poll(self, deadline: float | None = None) -> Any:
        """The next call; the end where one would wait for ever."""
        if self._asked:
            self._asked -= 1
            return super().poll(deadline)
        ended = cygrpc.CompletionType.queue_shutdown
        nothing = cygrpc.CompletionType.queue_timeout
        return SimpleNamespace(completion_type=ended if deadline is None else nothing)


async def test_what_came_during_a_long_turn_is_one_list() -> None:
    taken: list[Arrived] = []
    core = Backlog(200)
    poller = Poller(core, frozenset(), Allowance(), lambda: False)
    poller._queue = cast("Any", core)
    poller.start(taken.append, taken.append, lambda: None)
    await until(lambda: bool(taken))
    (arrived,) = taken
    assert len(arrived.heads) == 200
