"""One PredictStream call: many requests under way, each answered by itself."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
)
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc

from batchproof.v1 import prediction_pb2 as pb
from batchproof_client.answers import StreamAnswer
from batchproof_client.conversion import result_of
from batchproof_client.errors import (
    BatchproofError,
    DeadlineExceeded,
    LocalInputError,
    ServerFailed,
    Unavailable,
    error_of,
    error_of_number,
)
from batchproof_client.inputs import PredictRequest, request_id_of

StreamCall: TypeAlias = grpc.aio.StreamStreamCall[pb.PredictStreamRequest, pb.PredictStreamResponse]
Prepare: TypeAlias = Callable[[PredictRequest, str], Awaitable[pb.PredictRequest]]


@dataclass(frozen=True, slots=True)
class Window:
    """What bounds a stream.

    Attributes:
        timeout_s: from the sending of a request to its answer.
        max_in_flight: requests that were sent, or answered, and not yet taken by the caller.
    """

    timeout_s: float
    max_in_flight: int

    def __post_init__(self) -> None:
        if self.max_in_flight < 1:
            raise LocalInputError(f"max_in_flight is {self.max_in_flight}, expected 1 or more")


class _End:
    """Nothing more will come."""


# Contract of a stream
#
#   - each request that the caller gives is answered exactly once, in the order of readiness: by the
#     server, by a fault found here before sending, or by its deadline;
#   - no more than the window's requests are under way: the caller's iterator is not advanced while
#     its answers are not taken;
#   - when the call itself breaks, the iterator raises; what was answered until then stays answered;
#   - leaving the iterator early cancels the call.
class Stream:
    """Sends requests and gives their answers.

    Args:
        call: a fresh call.
        prepare: builds the message for a request and its id.
        window: the bounds.
    """

    def __init__(self, call: StreamCall, prepare: Prepare, window: Window) -> None:
        self._call = call
        self._prepare = prepare
        self._timeout_s = window.timeout_s
        self._room = asyncio.Semaphore(window.max_in_flight)
        self._waiting: dict[str, asyncio.TimerHandle] = {}
        self._ready: asyncio.Queue[StreamAnswer | Exception | _End] = asyncio.Queue()
        self._all_sent = False
        self._any_expired = False

    async def answers(
        self, requests: AsyncIterable[PredictRequest]
    ) -> AsyncGenerator[StreamAnswer, None]:
        """Gives each answer as soon as it is there.

        Raises:
            BatchproofError: the call broke.
        """
        tasks = (asyncio.create_task(self._send(requests)), asyncio.create_task(self._receive()))
        try:
            while not isinstance(ready := await self._ready.get(), _End):
                if isinstance(ready, Exception):
                    raise ready
                yield ready
                self._room.release()
        finally:
            await self._stop(tasks)

    async def _stop(self, tasks: tuple[asyncio.Task[None], ...]) -> None:
        for timer in self._waiting.values():
            timer.cancel()
        for task in tasks:
            task.cancel()
        self._call.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, requests: AsyncIterable[PredictRequest]) -> None:
        try:
            waiting = aiter(requests)
            # Room first: a caller may make a request of the answer before it.
            while await self._room.acquire():
                await self._send_one(await anext(waiting))
        except StopAsyncIteration:
            pass
        except Exception as failure:  # noqa: BLE001 - the caller's own iterator may raise anything
            self._ready.put_nowait(failure)
            return
        self._all_sent = True
        # A call that is over tells the receiving side why.
        with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
            await self._call.done_writing()
        self._end_if_only_expired()

    async def _send_one(self, request: PredictRequest) -> None:
        request_id = request.request_id
        try:
            request_id = request_id_of(request_id)
            message = await self._prepare(request, request_id)
            if request_id in self._waiting:
                raise LocalInputError(f'request_id "{request_id}" is under way already')
        except BatchproofError as fault:
            self._ready.put_nowait(StreamAnswer(request_id, error=fault))
            return
        loop = asyncio.get_running_loop()
        self._waiting[request_id] = loop.call_later(self._timeout_s, self._expire, request_id)
        with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
            await self._call.write(pb.PredictStreamRequest(request=message))

    async def _receive(self) -> None:
        try:
            async for response in self._call:
                self._receive_one(response)
        except grpc.aio.AioRpcError as failure:
            self._ready.put_nowait(_broken(failure))
            return
        if self._all_sent and not self._waiting:
            self._ready.put_nowait(_End())
            return
        self._ready.put_nowait(
            ServerFailed(f"the server ended the stream with {len(self._waiting)} unanswered")
        )

    def _receive_one(self, response: pb.PredictStreamResponse) -> None:
        timer = self._waiting.pop(response.request_id, None)
        if timer is None:
            return  # expired here before
        timer.cancel()
        self._ready.put_nowait(answer_of(response))
        self._end_if_only_expired()

    def _expire(self, request_id: str) -> None:
        del self._waiting[request_id]
        self._any_expired = True
        late = DeadlineExceeded(
            f"no answer within {self._timeout_s:g} s",
            code=grpc.StatusCode.DEADLINE_EXCEEDED,
            request_id=request_id,
        )
        self._ready.put_nowait(StreamAnswer(request_id, error=late))
        self._end_if_only_expired()

    def _end_if_only_expired(self) -> None:
        """A server that never answered an expired request may never end the call either."""
        if self._any_expired and self._all_sent and not self._waiting:
            self._ready.put_nowait(_End())


def _broken(failure: grpc.aio.AioRpcError) -> BatchproofError:
    """The error of a call that ended before its answers were there."""
    if failure.details() == _WRITTEN_TOO_LATE:
        return Unavailable(
            "the server ended the stream while a request was sent",
            code=grpc.StatusCode.UNAVAILABLE,
        )
    return error_of(failure.code(), failure.details() or "")


# What grpc.aio says, in place of the status, when a message was written to a call whose end had not
# been told yet. No server says it, so it is no fault of the server's.
_WRITTEN_TOO_LATE: Final = "Internal error from Core"


def answer_of(response: pb.PredictStreamResponse) -> StreamAnswer:
    """Reads the outcome of one request of a stream."""
    request_id = response.request_id
    if response.WhichOneof("outcome") != "response":
        error = response.error
        retry_after_s = error.retry_after_s if error.HasField("retry_after_s") else None
        failure = error_of_number(
            error.code, error.message, request_id=request_id, retry_after_s=retry_after_s
        )
        return StreamAnswer(request_id, error=failure)
    try:
        return StreamAnswer(request_id, result=result_of(response.response))
    except BatchproofError as malformed:
        return StreamAnswer(request_id, error=malformed)


async def each_request(
    requests: AsyncIterable[Any] | Iterable[Any],
) -> AsyncIterator[PredictRequest]:
    """Makes a request of each, one step at a time; what is none yet is the image of one."""
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield _as_request(request)
    else:
        for request in requests:
            yield _as_request(request)


def _as_request(request: Any) -> PredictRequest:
    return request if isinstance(request, PredictRequest) else PredictRequest(request)
