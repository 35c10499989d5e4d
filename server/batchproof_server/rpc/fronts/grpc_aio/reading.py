"""Reads the messages of unary calls within the limits of the port."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

from grpc import aio

from batchproof_server.base.clock import Alarm, Clock
from batchproof_server.rpc.fronts import returning
from batchproof_server.rpc.fronts.front import CallHead, Code, Status
from batchproof_server.rpc.fronts.inflating import CannotInflate, Inflater, is_compressed
from batchproof_server.rpc.fronts.port import CORE_TELLS_S
from batchproof_server.rpc.fronts.room import Patience, Room
from batchproof_server.rpc.settings import RpcSettings

# Gives the next message, or ``aio.EOF``.
ReadNext: TypeAlias = Callable[[], Awaitable[Any]]


class CannotRead(Exception):
    """A call whose message is not read, or not used.

    Attributes:
        status: how it ends.
    """

    def __init__(self, status: Status) -> None:
        super().__init__(status.text)
        self.status = status


# Contract
#
# The limits are those of the front on the completion queue: the same room, patience and turns.
# A read that was begun is never cancelled, because grpc.aio would fill a buffer that it has given
# back; it ends with its call. Lives on the loop thread.
class MessageReads:
    """What waits for its message at one port.

    Args:
        settings: limits.
        clock: of patience.
    """

    def __init__(self, settings: RpcSettings, clock: Clock) -> None:
        counts_bytes = min(settings.reading_counts_bytes, settings.max_message_bytes)
        self._room = Room(
            settings.max_bytes_in_flight,
            counts_bytes,
            returning.LARGE_BYTES,
            returning.Returning().note,
        )
        self._patience = Patience(settings.message_timeout_s)
        self._alarm = Alarm(clock, self._end_patience)
        self._clock = clock
        late = f"the message was not there after {settings.message_timeout_s:g} s"
        self._late = Status(Code.DEADLINE_EXCEEDED, late)
        self._inflater = Inflater(settings.max_message_bytes)
        self._messages: dict[int, _Message] = {}

    async def read(self, head: CallHead, read_next: ReadNext) -> bytes | None:
        """The message of a call, decompressed; None when it has none.

        Raises:
            CannotRead: it did not come in time, there is no room for it, or it is too large.
        """
        is_crowded = self._room.waiting >= _MOST_WAITING
        if is_crowded and self._patience.giving_way(head.peer) is None:
            raise CannotRead(_CROWDED)
        message = _Message(head.peer, read_next, asyncio.get_running_loop().create_future())
        self._messages[head.id] = message
        try:
            self._begin(head)
            content = await message.content
        finally:
            self._messages.pop(head.id, None)
            self._patience.end(head.id)
        if content is aio.EOF:
            await asyncio.sleep(CORE_TELLS_S)  # cancelled where the core has ended the call
            return None
        self._room.arrived(head.id, len(content))
        return await self._inflated(head.id, content) if is_compressed(content) else content

    async def inflate(self, content: bytes) -> bytes:
        """The message of a stream, decompressed.

        Raises:
            CannotRead: it is too large.
        """
        if not is_compressed(content):
            return content
        try:
            return await self._inflater.inflate(content)
        except CannotInflate as fault:
            raise CannotRead(fault.status) from fault

    def forget(self, head: CallHead) -> None:
        """A call is over."""
        self._room.forget(head.id)
        self._read_next()

    async def _inflated(self, call_id: int, content: bytes) -> bytes:
        whole = await self.inflate(content)
        if not self._room.grow(call_id, len(whole) - len(content)):
            raise CannotRead(_CROWDED)
        return whole

    def _begin(self, head: CallHead) -> None:
        """Reads the message of a call, now or when its turn has come."""
        self._patience.begin(head.id, self._clock.now_s())
        self._alarm.ring_by(self._patience.due_at_s)
        if self._room.ask(head.id):
            self._read(head.id)
        elif (other := self._patience.giving_way(head.peer)) is not None:
            self._refuse(other, _CROWDED)
            self._room.begin(head.id)
            self._read(head.id)

    def _read(self, call_id: int) -> None:
        if (message := self._messages.get(call_id)) is not None:
            self._patience.read(call_id, message.peer)
            coming = asyncio.ensure_future(message.read_next())
            coming.add_done_callback(partial(_hand_over, message.content))

    def _refuse(self, call_id: int, status: Status) -> None:
        self._patience.end(call_id)
        self._room.forget(call_id)
        if (message := self._messages.get(call_id)) is not None:
            _fail(message.content, CannotRead(status))

    def _read_next(self) -> None:
        for call_id in self._room.next_reads():
            self._read(call_id)

    def _end_patience(self) -> None:
        for call_id in self._patience.run_out(self._clock.now_s()):
            self._refuse(call_id, _CROWDED if self._room.is_waiting(call_id) else self._late)
        self._alarm.ring_by(self._patience.due_at_s)
        self._read_next()


# More calls than these never wait for room. As many as one connection may have open by default:
# each that is refused lets in another, which costs more than to let it wait.
_MOST_WAITING: Final = 4096
_FULL: Final = "too many bytes of requests are being read or answered"
_CROWDED: Final = Status(Code.RESOURCE_EXHAUSTED, _FULL)


@dataclass(frozen=True, slots=True, eq=False)
class _Message:
    """What a call waits for; one future for its turn and its message costs the least."""

    peer: str
    read_next: ReadNext
    content: "asyncio.Future[Any]"


def _hand_over(content: "asyncio.Future[Any]", coming: "asyncio.Future[Any]") -> None:
    """What has come, to a call that may be gone."""
    if coming.cancelled():
        content.cancel()
    elif (fault := coming.exception()) is not None:
        _fail(content, fault)
    elif not content.done():
        content.set_result(coming.result())


def _fail(content: "asyncio.Future[Any]", fault: BaseException) -> None:
    if not content.done():
        content.set_exception(fault)
        content.exception()  # whoever waited may be gone
