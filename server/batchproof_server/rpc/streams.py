"""The reading and writing of a bidirectional stream: window, order of arrival of answers, end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from batchproof_server.base.errors import Draining, QueueFull, ServingError
from batchproof_server.batching.connections import Holdings
from batchproof_server.rpc.fronts.front import CallEnded, Messages

# Answers one message of a stream; never raises but for cancellation.
AnswerMessage: TypeAlias = Callable[[bytes], Awaitable[bytes]]

_RETRY_AFTER_S = 1.0
ENDING_S: Final = 5.0
"""How long a stream that gives way may still take to answer what it has read."""


# Contract of a stream
#
# At most ``window`` requests of a stream are unanswered at any moment; the next is read only when
# one of them has been answered and written, so that HTTP/2 flow control holds the caller back.
# Answers are written as they become ready. When the caller half-closes, the stream ends after the
# last answer. When the server drains, nothing more is read, what was read is answered, and the
# stream ends with UNAVAILABLE. When the call is cancelled, so is the work of its requests.
#
# Shares. When all streams are open and a caller comes that would have fewer than another (by
# address, and by connection within its own), the latest stream of whoever has the most gives way:
# it ends as if the server drained, with RESOURCE_EXHAUSTED, and after ENDING_S whatever its caller
# does. Meanwhile it is open beside the others, so that twice ``max_streams`` are at most.
class Streams:
    """Serves streams, a bounded number at the same time.

    Args:
        max_streams: more than these at the same time are refused, but for shares.
        window: unanswered requests of one stream.
    """

    def __init__(self, max_streams: int, window: int) -> None:
        self._max_streams = max_streams
        self._window = window
        self._open: dict[str, list[_Stream]] = {}
        self._holdings = Holdings()
        self._open_streams = 0
        self._ending_streams = 0
        self._draining = asyncio.Event()

    def start_draining(self) -> None:
        """Every open stream stops reading, and ends once it has answered what it has read."""
        self._draining.set()
        for streams in self._open.values():
            for stream in streams:
                stream.stop(_going_away)

    async def serve(self, messages: Messages, answer: AnswerMessage, caller: str = "") -> None:
        """Reads, answers and writes until the stream ends.

        Args:
            messages: of the stream.
            answer: answers one of them.
            caller: who opened it.

        Raises:
            QueueFull: too many streams are open, or this one gave way to one of another caller.
            Draining: the server is going away.
        """
        if self._open_streams >= self._max_streams:
            self._make_room(caller)
        stream = _Stream(messages, answer, self._window)
        if self._draining.is_set():
            stream.stop(_going_away)
        self._open.setdefault(caller, []).append(stream)
        self._holdings.add(caller)
        self._open_streams += 1
        try:
            await stream.run()
        finally:
            self._forget(caller, stream)

    def _make_room(self, caller: str) -> None:
        most = self._holdings.more_than(caller)
        if most is None or self._ending_streams >= self._max_streams:
            raise QueueFull(f"{self._max_streams} streams are open already", _RETRY_AFTER_S)
        latest = self._open[most][-1]
        self._forget(most, latest)
        self._ending_streams += 1
        latest.give_way()

    def _forget(self, caller: str, stream: "_Stream") -> None:
        streams = self._open.get(caller, [])
        if stream not in streams:
            self._ending_streams -= 1
            return
        streams.remove(stream)
        self._holdings.remove(caller)
        self._open_streams -= 1
        if not streams:
            del self._open[caller]


class _Stream:
    """One open stream."""

    def __init__(self, messages: Messages, answer: AnswerMessage, window: int) -> None:
        self._messages = messages
        self._answer = answer
        self._window = asyncio.Semaphore(window)
        self._stopped = asyncio.Event()
        self._ends_with: Callable[[], ServingError] | None = None
        self._limit = asyncio.timeout(None)
        self._writing = asyncio.Lock()

    def stop(self, ends_with: Callable[[], ServingError]) -> None:
        """Nothing more is read; how the stream ends when what was read is answered."""
        if self._ends_with is None:
            self._ends_with = ends_with
            self._stopped.set()

    def give_way(self) -> None:
        """Stops, and ends soon even when its caller reads no answers."""
        self.stop(_gave_way)
        self._limit.reschedule(asyncio.get_running_loop().time() + ENDING_S)

    async def run(self) -> None:
        try:
            async with self._limit, asyncio.TaskGroup() as members:
                is_stopped = await self._read_all(members)
        except TimeoutError:
            is_stopped = True
        if is_stopped and self._ends_with is not None:
            raise self._ends_with()

    async def _read_all(self, members: asyncio.TaskGroup) -> bool:
        """Starts the work of each request; whether reading ended because it was stopped."""
        stop = asyncio.ensure_future(self._stopped.wait())
        try:
            while await _before(stop, self._window.acquire()) and not self._stopped.is_set():
                content = await _before(stop, self._next())
                if content is None:
                    return False
                if content is not _STOPPED:
                    members.create_task(self._answer_one(content))
            return True
        finally:
            stop.cancel()

    async def _next(self) -> Any:
        """The next message; None when there will be no more."""
        with contextlib.suppress(CallEnded):
            return await self._messages.read()

    async def _answer_one(self, content: bytes) -> None:
        try:
            answer = await self._answer(content)
            # It fails when the caller has gone; the stream is then cancelled in a moment.
            with contextlib.suppress(CallEnded):
                async with self._writing:
                    await self._messages.write(answer)
        finally:
            self._window.release()


async def _before(stop: "asyncio.Future[Any]", work: Awaitable[Any]) -> Any:
    """The result of ``work``, or a false one when ``stop`` is done and it is not.

    The work is never cancelled: the message that a cancelled read was waiting for would be lost,
    and grpc.aio would fill a buffer that it has given back. It ends when the call does.
    """
    task = asyncio.ensure_future(work)
    task.add_done_callback(_retrieve)
    await asyncio.wait({stop, task}, return_when=asyncio.FIRST_COMPLETED)
    return task.result() if task.done() else _STOPPED


_STOPPED: Final = ()


def _going_away() -> Draining:
    return Draining("the server is going away; send the rest to another one")


def _gave_way() -> QueueFull:
    return QueueFull(
        "all streams are open, and this one gave way to one of another caller, who has fewer; "
        "open it again and send the rest later",
        _RETRY_AFTER_S,
    )


def _retrieve(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled():
        task.exception()


# Contract
#
# Requests are worked on together; only the finished answers wait for those before them.
class InOrder:
    """Answers the messages of one stream in their order.

    Args:
        answer: one of them.
    """

    def __init__(self, answer: AnswerMessage) -> None:
        self._answer = answer
        self._last: asyncio.Event | None = None

    async def answer(self, content: bytes) -> bytes:
        """Answers one message once those before it have been answered."""
        before, mine = self._last, asyncio.Event()
        self._last = mine
        try:
            answer = await self._answer(content)
            if before is not None:
                await before.wait()
            return answer
        finally:
            mine.set()
