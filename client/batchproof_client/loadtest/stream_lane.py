"""One long PredictStream call that many requests share."""

import asyncio
import itertools
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

import grpc

from batchproof.v1 import prediction_pb2 as pb
from batchproof.wire import varint

Call: TypeAlias = "grpc.aio.StreamStreamCall[bytes, pb.PredictStreamResponse]"
_Future: TypeAlias = "asyncio.Future[pb.PredictStreamResponse]"

# Protobuf takes the last of a field that comes twice, so an id can be put behind a finished
# message: tag and length of PredictRequest.request_id, and of PredictStreamRequest.request.
_ID_TAG: Final = b"\x0a"
_REQUEST_TAG: Final = b"\x0a"


# Contract: each question gets its own answer, None when its time is up, or the call's error. A call
# that ended is opened again by the next question.
class StreamLane:
    """Asks over one call at a time.

    Args:
        open_call: opens a fresh call.
    """

    def __init__(self, open_call: Callable[[], Call]) -> None:
        self._open_call = open_call
        self._name = uuid.uuid4().hex[:8]  # the server knows answers by their ids
        self._numbers = itertools.count()
        self._waiting: dict[str, _Future] = {}
        self._unsent: asyncio.Queue[tuple[_Future, bytes]] = asyncio.Queue()
        self._call: Call | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def ask(self, message: bytes, timeout_s: float) -> pb.PredictStreamResponse | None:
        """Sends one serialised PredictRequest; None when no answer came in time.

        Raises:
            grpc.aio.AioRpcError: the call ended before the answer.
        """
        if self._call is None:
            self._open()
        request_id = f"load-{self._name}-{next(self._numbers)}"
        future: _Future = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        self._unsent.put_nowait((future, framed(message, request_id)))
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(request_id, None)

    async def close(self) -> None:
        """Ends the call and its tasks."""
        if self._call is not None:
            self._call.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _open(self) -> None:
        call = self._call = self._open_call()
        for task in self._tasks:
            task.cancel()
        self._tasks = (
            asyncio.create_task(self._write(call)),
            asyncio.create_task(self._read(call)),
        )

    async def _write(self, call: Call) -> None:
        # One task writes: a cancelled write would cancel the whole call.
        with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
            while True:
                future, message = await self._unsent.get()
                if not future.done():
                    await call.write(message)

    async def _read(self, call: Call) -> None:
        try:
            async for response in call:
                future = self._waiting.get(response.request_id)
                if future is not None and not future.done():
                    future.set_result(response)
        except grpc.aio.AioRpcError as error:
            self._fail(error)
        else:
            self._fail(_ended())
        self._call = None

    def _fail(self, error: grpc.aio.AioRpcError) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)


def framed(message: bytes, request_id: str) -> bytes:
    """Serialises a PredictStreamRequest around a serialised PredictRequest, with an id."""
    identity = request_id.encode()
    inner_bytes = len(message) + len(_ID_TAG) + 1 + len(identity)  # an id is shorter than 128
    head = _REQUEST_TAG + varint(inner_bytes)
    return b"".join((head, message, _ID_TAG, varint(len(identity)), identity))


def _ended() -> grpc.aio.AioRpcError:
    nothing: Any = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, nothing, nothing, "the server ended the stream"
    )
