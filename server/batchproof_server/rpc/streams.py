"""The reading and writing of a bidirectional stream: window, order of arrival of answers, end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from batchproof_server.base.errors import Draining, QueueFull
from batchproof_server.rpc.fronts.front import CallEnded, Messages

# Answers one message of a stream; never raises but for cancellation.
AnswerMessage: TypeAlias = Callable[[bytes], Awaitable[bytes]]

_RETRY_AFTER_S = 1.0


# Contract of a stream
#
# At most ``window`` requests of a stream are unanswered at any moment; the next is read only when
# one of them has been answered and written, so that HTTP/2 flow control holds the caller back.
# Answers are written as they become ready. When the caller half-closes, the stream ends after the
# last answer. When the server drains, nothing more is read, what was read is answered, and the
# stream ends with UNAVAILABLE. When the call is cancelled, so is the work of its requests.
class Streams:
    """Serves streams, a bounded number at the same time.

    Args:
        max_streams: more than these at the same time are refused.
        window: unanswered requests of one stream.
    """

    def __init__(self, max_streams: int, window: int) -> None:
        self._max_streams = max_streams
        self._window = window
        self._open = 0
        self._draining = asyncio.Event()

    def start_draining(self) -> None:
        """Every open stream stops reading, and ends once it has answered what it has read."""
        self._draining.set()

    async def serve(self, messages: Messages, answer: AnswerMessage) -> None:
        """Reads, answers and writes until the stream ends.

        Raises:
            QueueFull: too many streams are open.
            Draining: the server is going away.
        """
        if self._open >= self._max_streams:
            raise QueueFull(f"{self._max_streams} streams are open already", _RETRY_AFTER_S)
        self._open += 1
        try:
            await _Stream(messages, answer, self._window, self._draining).run()
        finally:
            self._open -= 1


class _Stream:
    """One open stream."""

    def __init__(
        self, messages: Messages, answer: AnswerMessage, window: int, draining: asyncio.Event
    ) -> None:
        self._messages = messages
        self._answer = answer
        self._window = asyncio.Semaphore(window)
        self._draining = draining
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as members:
            drained = await self._read_all(members)
        if drained:
            raise Draining("the server is going away; send the rest to another one")

    async def _read_all(self, members: asyncio.TaskGroup) -> bool:
        """Starts the work of each request; whether reading ended because the server drains."""
        drain = asyncio.ensure_future(self._draining.wait())
        try:
            while await _before(drain, self._window.acquire()) and not self._draining.is_set():
                content = await _before(drain, self._next())
                if content is None:
                    return False
                if content is not _STOPPED:
                    members.create_task(self._answer_one(content))
            return True
        finally:
            drain.cancel()

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
