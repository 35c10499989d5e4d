"""Takes off the completion queue what came, and hands it over to the loop in one list."""

import asyncio
import contextlib
import itertools
import threading
from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, Final

from batchproof_server.base.clock import epoch_s
from batchproof_server.rpc.fronts.completion_queue.arrived import (
    BELL,
    CLOSED,
    HEAD,
    MESSAGE,
    SHUT,
    WRITTEN,
    Arrived,
    RawHead,
)
from batchproof_server.rpc.fronts.completion_queue.bell import Bell
from batchproof_server.rpc.fronts.completion_queue.private_api import (
    CoreCall,
    CoreEvent,
    cygrpc,
    receive_close,
    receive_message,
)
from batchproof_server.rpc.fronts.completion_queue.queue_loop import QueueLoop
from batchproof_server.rpc.fronts.room import Allowance

# What the loop takes in one turn at most. What is beyond waits in the core, in the order of its
# coming, and loses its time there: a refusal after half of it is late, and so is an answer.
_HEADS_ASKED_FOR: Final = 256
# So many in one look, and the others that were asked for are soon taken, too.
_MANY_HEADS: Final = _HEADS_ASKED_FOR // 2
_MOST_EVENTS: Final = 512
# Copied out of the core with the lock of the interpreter, at a millisecond a megabyte.
_MOST_BYTES: Final = 4 << 20
_ABANDONED_S: Final = 5.0


def watch_close(call: CoreCall, call_id: int) -> bool:
    """Has the core tell when the call is over; whether it refuses to."""
    return bool(call.start_server_batch((receive_close(),), (CLOSED, call_id)))


# Contract
#
# Events are taken off the queue, as many as are there and no more than a few megabytes, and handed
# to the loop in one list. That nothing is there must be said twice: a look reads one connection at
# most, and none after something was sent while nobody waited, which the core takes for a reason to
# return. By the loop itself, where it is one that can wait for the queue and does not wait for
# another; else by a thread. A unary call is begun to be read at once, while that is allowed: so a
# call needs one turn of the loop and not two. For each call that the loop has taken, or has failed
# to take, the core is asked for another: what the loop has no time for waits in the core, which
# forgets it when its caller does, and what the loop has to do beside the calls that come is never
# far behind them. All else is decided on the loop thread. It ends with the queue, or with the loop.
class Poller:
    """Waits for the queue.

    Args:
        server: of the core; has its port, and is not started.
        read_at_once: methods whose message may be read before anybody asks.
        allowance: to read.
        may_be_left: whether nothing is lost when nobody looks for a moment; see ``WaitedQueue``.
    """

    def __init__(
        self,
        server: Any,
        read_at_once: AbstractSet[bytes],
        allowance: Allowance,
        may_be_left: Callable[[], bool],
    ) -> None:
        self._server = server
        self._queue = cygrpc.CompletionQueue()
        self._read_at_once = read_at_once
        self._allowance = allowance
        self.may_be_left = may_be_left
        self._ids = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        self._lists: deque[Arrived] = deque()
        self._is_told = False
        self._take: Callable[[Arrived], None] = lambda _: None
        self._give_up: Callable[[Arrived], None] = lambda _: None
        self._note_shut: Callable[[], None] = lambda: None
        # From the first call until the server is shut; see ``WaitedQueue``.
        self.can_be_woken = False
        self.has_more = False
        self._bell = Bell()
        self._thread: threading.Thread | None = None
        self._waiting_loop: QueueLoop | None = None
        self._is_over = asyncio.Event()

    def start(
        self,
        take: Callable[[Arrived], None],
        give_up: Callable[[Arrived], None],
        note_shut: Callable[[], None],
    ) -> None:
        """Begins to take calls.

        Args:
            take: called on the loop thread with each list.
            give_up: called there with a list after ``take`` has raised.
            note_shut: called there when the server is shut and the last call is over.
        """
        self._take, self._give_up = take, give_up
        self._note_shut = note_shut
        self._server.register_completion_queue(self._queue)
        self._server.start()
        for _ in range(_HEADS_ASKED_FOR):
            self._ask_for_head()
        if isinstance(self._loop, QueueLoop) and self._loop.attach(self):
            self._waiting_loop = self._loop
        else:
            self._thread = threading.Thread(target=self._run, name="grpc-queue", daemon=True)
            self._thread.start()

    def shut(self) -> None:
        """Takes no more calls."""
        self._bell.take_down()
        self.can_be_woken = False
        self._server.shutdown(self._queue, (SHUT, 0))

    async def end(self) -> None:
        """Ends the queue and the wait for it; the server is shut."""
        self._queue.shutdown()
        if self._thread is None:
            await self._is_over.wait()
        else:
            await asyncio.to_thread(self._thread.join)
        self._server.destroy()

    def collect(self, until_epoch_s: float | None) -> bool:
        """Waits, and hands over what came; whether there is more to come. See ``WaitedQueue``."""
        arrived, goes_on = _NOTHING, True
        try:
            event = self._queue.poll(deadline=until_epoch_s)
            if event.completion_type == _QUEUE_TIMEOUT:  # as in most turns of a loop
                return True
            arrived = Arrived()
            goes_on = self._collect(arrived, event)
        except Exception as fault:  # noqa: BLE001 - else every call would wait for ever
            self._tell(self._report, fault)
        finally:
            self.has_more = len(arrived.heads) >= _MANY_HEADS
            if arrived.heads or arrived.messages or arrived.written or arrived.closed:
                self._lists.append(arrived)
                if not self._is_told:
                    self._is_told = True
                    self._tell(self._hand_over)
        if not goes_on and self._waiting_loop is not None:
            self._waiting_loop.detach(self)
            self._tell(self._is_over.set)
        return goes_on

    def wake(self) -> None:
        """Ends the wait of a loop; see ``WaitedQueue``."""
        if not self._bell.ring():
            self.can_be_woken = False

    def abandon(self) -> None:
        """Ends at once what nobody has ended; see ``WaitedQueue``."""
        # A queue that the core has something for yet waits for it, for ever and with the lock of
        # the interpreter, when nobody refers to it any more.
        with contextlib.suppress(Exception):
            self.shut()
            self._server.cancel_all_calls()
        with contextlib.suppress(Exception):
            self._queue.shutdown()
            until_epoch_s = epoch_s() + _ABANDONED_S
            while (kind := self._queue.poll(deadline=until_epoch_s).completion_type) == _COMPLETE:
                pass
            if kind == _QUEUE_SHUTDOWN:
                self._server.destroy()

    def _run(self) -> None:
        goes_on = True
        while goes_on and not self._loop.is_closed():
            goes_on = self.collect(None)
        if goes_on:
            self.abandon()

    def _hand_over(self) -> None:
        """Gives the loop what came since its last turn, as one list while that is not too large."""
        self._is_told = False  # before looking: what comes from now on is told of again
        while self._lists:
            arrived = self._lists.popleft()
            while self._lists and arrived.size_bytes <= _MOST_BYTES:
                arrived.add(self._lists.popleft())
            try:
                self._take(arrived)
            except Exception as fault:  # noqa: BLE001 - else no call would be asked for any more
                self._report(fault)
                self._give_up(arrived)
            finally:
                for _ in arrived.heads:
                    self._ask_for_head()

    def _collect(self, arrived: Arrived, event: CoreEvent) -> bool:
        for _ in range(_MOST_EVENTS):
            if event.completion_type != _COMPLETE:
                return bool(event.completion_type != _QUEUE_SHUTDOWN)
            self._note(event, arrived)
            if arrived.size_bytes > _MOST_BYTES:  # what came before is not kept waiting for more
                return True
            event = None  # holds the call, which should not live longer than it must
            event = self._queue.poll(deadline=0)
            if event.completion_type == _QUEUE_TIMEOUT:
                event = self._queue.poll(deadline=0)
        if event.completion_type == _COMPLETE:
            self._note(event, arrived)
        return bool(event.completion_type != _QUEUE_SHUTDOWN)

    def _tell(self, callback: Callable[..., None], *values: object) -> None:
        # The loop may be closed before the queue: there is nobody to tell then.
        with contextlib.suppress(RuntimeError):
            if self._thread is None:
                self._loop.call_soon(callback, *values)
            else:
                self._loop.call_soon_threadsafe(callback, *values)

    def _report(self, fault: Exception) -> None:
        told = {"message": "an event of the gRPC queue failed", "exception": fault}
        self._loop.call_exception_handler(told)

    def _note(self, event: CoreEvent, arrived: Arrived) -> None:
        kind, call_id = event.tag
        if kind == HEAD:
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
        elif kind == SHUT:
            self._tell(self._note_shut)
        elif kind == BELL:
            self._bell.note()

    def _note_head(self, event: CoreEvent, arrived: Arrived) -> None:
        if not event.success:  # the server shuts: the heads that were asked for come to nothing
            return
        call_id, call, details = next(self._ids), event.call, event.call_details
        if self._waiting_loop is not None and not self.can_be_woken:
            self.can_be_woken = self._bell.hang(call)
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
            self._server.request_call(self._queue, self._queue, (HEAD, 0))


_COMPLETE: Final = cygrpc.CompletionType.operation_complete
_QUEUE_SHUTDOWN: Final = cygrpc.CompletionType.queue_shutdown
_QUEUE_TIMEOUT: Final = cygrpc.CompletionType.queue_timeout
_NOTHING: Final = Arrived()
