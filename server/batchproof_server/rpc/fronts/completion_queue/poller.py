"""The thread that waits for the completion queue, and hands over what came in one list."""

import asyncio
import contextlib
import itertools
import threading
from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from batchproof_server.rpc.fronts.completion_queue.private_api import (
    CoreCall,
    CoreEvent,
    cygrpc,
    receive_close,
    receive_message,
)
from batchproof_server.rpc.fronts.front import Metadata
from batchproof_server.rpc.fronts.room import Allowance

# The first half of a tag; the second is the id of a call.
MESSAGE: Final = 1
WRITTEN: Final = 2
SENT: Final = 3
_HEAD: Final = 4
CLOSED: Final = 5
_SHUT: Final = 6

_HEADS_ASKED_FOR: Final = 64
_MOST_EVENTS: Final = 512
# Copied out of the core with the lock of the interpreter, at a millisecond a megabyte.
_MOST_BYTES: Final = 4 << 20


class RawHead(NamedTuple):
    """The headers of a call.

    Attributes:
        id: names the call in all that follows.
        call: of the C core.
        method: as it came.
        deadline_epoch_s: seconds since 1970; enormous when there is none.
        metadata: text, and bytes under keys that end in ``-bin``.
        is_read: whether its message is being read already, and its close is watched; else nothing
            was asked of the core for it yet.
    """

    id: int
    call: CoreCall
    method: bytes
    deadline_epoch_s: float
    metadata: Metadata
    is_read: bool


@dataclass(slots=True)
class Arrived:
    """What one wake-up found, by its kind.

    Attributes:
        heads: in the order of their coming.
        reads: how many of their messages are being read already.
        messages: call ids with what was read; or with None, and whether the core leaves it to us to
            end the call.
        written: call ids with whether a message of a stream was written.
        closed: calls that are over although nobody here ended them.
        size_bytes: of all messages.
    """

    heads: list[RawHead] = field(default_factory=list)
    reads: int = 0
    messages: list[tuple[int, bytes | None, bool]] = field(default_factory=list)
    written: list[tuple[int, bool]] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, later: "Arrived") -> None:
        """Takes in what the next wake-up found."""
        self.heads += later.heads
        self.reads += later.reads
        self.messages += later.messages
        self.written += later.written
        self.closed += later.closed
        self.size_bytes += later.size_bytes


def watch_close(call: CoreCall, call_id: int) -> bool:
    """Has the core tell when the call is over; whether it refuses to."""
    return bool(call.start_server_batch((receive_close(),), (CLOSED, call_id)))


# Contract
#
# One thread takes events off the queue, as many as are there and no more than a few megabytes, and
# hands them to the loop in one list. It begins to read a unary call by itself while it is allowed
# to: so a call needs one turn of the loop and not two. For each call that the loop has taken the
# core is asked for another: what the loop has no time for waits in the core, which forgets it when
# its caller does, and what the loop has to do beside the calls that come is never far behind them.
# All else is decided on the loop thread. It ends with the queue, or with the loop.
class Poller:
    """Waits for the queue.

    Args:
        server: of the core; has its port, and is not started.
        read_at_once: methods whose message may be read before anybody asks.
        allowance: to read.
    """

    def __init__(self, server: Any, read_at_once: AbstractSet[bytes], allowance: Allowance) -> None:
        self._server = server
        self._queue = cygrpc.CompletionQueue()
        self._read_at_once = read_at_once
        self._allowance = allowance
        self._ids = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        self._lists: deque[Arrived] = deque()
        self._is_told = False
        self._take: Callable[[Arrived], None] = lambda _: None
        self._note_shut: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="grpc-queue", daemon=True)

    def start(self, take: Callable[[Arrived], None], note_shut: Callable[[], None]) -> None:
        """Begins to take calls.

        Args:
            take: called on the loop thread with each list.
            note_shut: called there when the server is shut and the last call is over.
        """
        self._take = take
        self._note_shut = note_shut
        self._server.register_completion_queue(self._queue)
        self._server.start()
        for _ in range(_HEADS_ASKED_FOR):
            self._ask_for_head()
        self._thread.start()

    def shut(self) -> None:
        """Takes no more calls."""
        self._server.shutdown(self._queue, (_SHUT, 0))

    async def end(self) -> None:
        """Ends the queue and the thread; the server is shut."""
        self._queue.shutdown()
        await asyncio.to_thread(self._thread.join)
        self._server.destroy()

    def _run(self) -> None:
        goes_on = True
        while goes_on and not self._loop.is_closed():
            try:
                goes_on = self._turn()
            except Exception as fault:  # noqa: BLE001 - else every call would wait for ever
                self._tell(self._report, fault)

    def _turn(self) -> bool:
        """Waits, and hands over what came; whether there is more to come."""
        arrived = Arrived()
        try:
            return self._collect(arrived)
        finally:
            if arrived.heads or arrived.messages or arrived.written or arrived.closed:
                self._lists.append(arrived)
                if not self._is_told:
                    self._is_told = True
                    self._tell(self._hand_over)

    def _hand_over(self) -> None:
        """Gives the loop what came since its last turn, as one list while that is not too large."""
        self._is_told = False  # before looking: what comes from now on is told of again
        while self._lists:
            arrived = self._lists.popleft()
            while self._lists and arrived.size_bytes <= _MOST_BYTES:
                arrived.add(self._lists.popleft())
            self._take(arrived)
            for _ in arrived.heads:
                self._ask_for_head()

    def _collect(self, arrived: Arrived) -> bool:
        event = self._queue.poll()
        for _ in range(_MOST_EVENTS):
            if event.completion_type != _COMPLETE:
                return bool(event.completion_type != _QUEUE_SHUTDOWN)
            self._note(event, arrived)
            if arrived.size_bytes > _MOST_BYTES:  # what came before is not kept waiting for more
                return True
            event = None  # holds the call, which should not live longer than it must
            event = self._queue.poll(deadline=0)
        if event.completion_type == _COMPLETE:
            self._note(event, arrived)
        return bool(event.completion_type != _QUEUE_SHUTDOWN)

    def _tell(self, callback: Callable[..., None], *values: object) -> None:
        # The loop may be closed before the queue: there is nobody to tell then.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *values)

    def _report(self, fault: Exception) -> None:
        told = {"message": "the thread of the gRPC queue failed", "exception": fault}
        self._loop.call_exception_handler(told)

    def _note(self, event: CoreEvent, arrived: Arrived) -> None:
        kind, call_id = event.tag
        if kind == _HEAD:
            self._note_head(event, arrived)
        elif kind == MESSAGE:
            content = event.batch_operations[0].message()
            arrived.messages.append((call_id, content, event.success))
            arrived.size_bytes += len(content or b"")
        elif kind == CLOSED:
            if event.batch_operations[0].cancelled():
                arrived.closed.append(call_id)
        elif kind == WRITTEN:
            arrived.written.append((call_id, event.success))
        elif kind == _SHUT:
            self._tell(self._note_shut)

    def _note_head(self, event: CoreEvent, arrived: Arrived) -> None:
        if not event.success:  # the server shuts: the heads that were asked for come to nothing
            return
        call_id, call, details = next(self._ids), event.call, event.call_details
        is_read = self._reads(details.method, call, call_id)
        metadata, deadline_s = event.invocation_metadata, details.deadline
        head = RawHead(call_id, call, details.method, deadline_s, metadata, is_read)
        arrived.heads.append(head)
        arrived.reads += is_read

    def _reads(self, method: bytes, call: CoreCall, call_id: int) -> bool:
        if method not in self._read_at_once or not self._allowance.take():
            return False
        if watch_close(call, call_id) or call.start_server_batch(
            (receive_message(),), (MESSAGE, call_id)
        ):
            raise RuntimeError(f"the first message of call {call_id} could not be read")
        return True

    def _ask_for_head(self) -> None:
        # It raises once the server shuts, which another thread may ask for at any time.
        with contextlib.suppress(ValueError):
            self._server.request_call(self._queue, self._queue, (_HEAD, 0))


_COMPLETE: Final = cygrpc.CompletionType.operation_complete
_QUEUE_SHUTDOWN: Final = cygrpc.CompletionType.queue_shutdown
