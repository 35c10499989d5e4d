"""The reading and writing of a bidirectional stream: window, order of arrival of answers, end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from grpc import aio

from batchproof_server.base.errors import Draining, QueueFull
from batchproof_server.rpc.calls import Context

Request = TypeVar("Request")
# Answers one request of a stream; never raises but for cancellation.
Answer: TypeAlias = Callable[[Any, Context], Awaitable[Any]]

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

    async def serve(self, context: Context, answer: Answer) -> None:
        """Reads, answers and writes until the stream ends.

        Raises:
            QueueFull: too many streams are open.
            Draining: the server is going away.
        """
        if self._open >= self._max_streams:
            raise QueueFull(f"{self._max_streams} streams are open already", _RETRY_AFTER_S)
        self._open += 1
        try:
            await _Stream(context, answer, self._window, self._draining).run()
        finally:
            self._open -= 1


class _Stream:
    """One open stream."""

    def __init__(
        self, context: Context, answer: Answer, window: int, draining: asyncio.Event
    ) -> None:
        self._context = context
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
                request = await _before(drain, self._context.read())
                if request is aio.EOF:
                    return False
                if request is not None:
                    members.create_task(self._answer_one(request))
            return True
        finally:
            drain.cancel()

    async def _answer_one(self, request: Any) -> None:
        try:
            response = await self._answer(request, self._context)
            # It fails when the caller has gone; the stream is then cancelled in a moment.
            with contextlib.suppress(aio.BaseError):
                async with self._writing:
                    await self._context.write(response)
        finally:
            self._window.release()


async def _before(stop: "asyncio.Future[Any]", work: Awaitable[Any]) -> Any:
    """The result of ``work``, or None when ``stop`` is done and it is not.

    The work is never cancelled: gRPC would go on filling the buffer that a cancelled read has given
    back. It ends when the RPC does.
    """
    task = asyncio.ensure_future(work)
    task.add_done_callback(_retrieve)
    await asyncio.wait({stop, task}, return_when=asyncio.FIRST_COMPLETED)
    return task.result() if task.done() else None


def _retrieve(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled():
        task.exception()
