"""What the thread of the completion queue hands over in one list."""

from collections import deque
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

from batchproof_server.rpc.fronts.completion_queue.poller import MESSAGE, Arrived, Poller
from batchproof_server.rpc.fronts.completion_queue.private_api import cygrpc
from batchproof_server.rpc.fronts.room import Allowance


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
    poller = Poller(object(), frozenset(), Allowance())
    poller._queue = cast("Any", Queue(sizes_bytes))
    handed: list[list[int]] = []
    while sum(map(len, handed)) < len(sizes_bytes):
        arrived = Arrived()
        assert poller._collect(arrived)
        handed.append([number for number, _, _ in arrived.messages])
    return handed


async def test_small_messages_are_handed_over_together() -> None:
    assert await lists(*[1000] * 100) == [list(range(100))]


async def test_nobody_waits_for_the_copying_of_a_large_message_that_came_behind() -> None:
    assert await lists(10, 5 << 20, 5 << 20, 10, 10) == [[0, 1], [2], [3, 4]]
