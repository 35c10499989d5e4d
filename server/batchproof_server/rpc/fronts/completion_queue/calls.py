"""The calls of one port: from the lists of the poller to the routes, and back."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from batchproof_server.base.clock import Alarm, Clock, epoch_s
from batchproof_server.batching.connections import LetIn
from batchproof_server.rpc.fronts import returning
from batchproof_server.rpc.fronts.completion_queue.arrived import (
    MESSAGE,
    SENT,
    Arrived,
    RawHead,
)
from batchproof_server.rpc.fronts.completion_queue.poller import watch_close
from batchproof_server.rpc.fronts.completion_queue.private_api import (
    NO_DEADLINE_S,
    CoreCall,
    end_of_call,
    peer_of,
    receive_close,
    receive_message,
    subjects_of,
)
from batchproof_server.rpc.fronts.completion_queue.stream import StreamMessages
from batchproof_server.rpc.fronts.front import GOING, Body, CallHead, Code, Reply, Routes, Status
from batchproof_server.rpc.fronts.in_lists import InLists
from batchproof_server.rpc.fronts.inflating import (
    BEGINNINGS,
    CannotInflate,
    Inflater,
    is_compressed,
)
from batchproof_server.rpc.fronts.port import CORE_TELLS_S
from batchproof_server.rpc.fronts.room import Allowance, Patience, Room
from batchproof_server.rpc.settings import RpcSettings


@dataclass(slots=True, eq=False)
class _Open:
    """A call that was let in and not answered yet."""

    call: CoreCall
    head: CallHead
    stream: StreamMessages | None = None


# Contract
#
# A call is in ``_open`` from when it was let in until it is answered or over, and is ended by
# exactly one of: its outcome, a refusal of ours, the core (its caller, its deadline, a message that
# is too large), or the end of the grace. The C core and the poller know a call by its id only.
# Lives on the loop thread.
class OpenCalls:
    """The calls of one port.

    Args:
        settings: limits.
        routes: answer the calls.
        clock: of deadlines.
        allowance: how many reads the poller may begin by itself.
    """

    def __init__(
        self, settings: RpcSettings, routes: Routes, clock: Clock, allowance: Allowance
    ) -> None:
        self._routes = routes
        self._clock = clock
        self._allowance = allowance
        counts_bytes = min(settings.reading_counts_bytes, settings.max_message_bytes)
        self._room = Room(
            settings.max_bytes_in_flight,
            counts_bytes,
            returning.LARGE_BYTES,
            returning.Returning().note,
        )
        self._patience = Patience(settings.message_timeout_s)
        self._alarm = Alarm(clock, self._end_patience)
        late = f"the message was not there after {settings.message_timeout_s:g} s"
        self._late = Status(Code.DEADLINE_EXCEEDED, late)
        self._methods = _methods(routes)
        self._knows_clients = settings.knows_clients
        self._open: dict[int, _Open] = {}
        self._lists = InLists(routes, self._answer)
        self._inflater = Inflater(settings.max_message_bytes)
        self._inflating: dict[int, asyncio.Task[None]] = {}
        self._is_pressed = self._is_draining = False
        self._last_is_over = asyncio.Event()
        self._allow()

    def take(self, arrived: Arrived) -> None:
        """What came together is begun together."""
        for call_id in arrived.closed:
            self._close(call_id)
        if arrived.heads:
            self._allowance.note(arrived.reads)
            self._let_in(arrived.heads, frozenset(arrived.closed))
        for call_id, is_sent in arrived.written:
            if (opened := self._open.get(call_id)) is not None and opened.stream is not None:
                opened.stream.written(is_sent=is_sent)
        bodies: list[Body] = []
        for call_id, content, is_ours in arrived.messages:
            if (body := self._body(call_id, content, is_ours=is_ours)) is not None:
                bodies.append(body)
        self._lists.begin(bodies)
        self._read_next()

    def give_up(self, arrived: Arrived) -> None:
        """Ends the calls of a list that could not be taken, whatever became of them."""
        for raw in arrived.heads:
            if raw.id not in self._open:
                self._room.forget(raw.id)
                raw.call.cancel(Code.INTERNAL, _FAULT.text)  # harmless for one that was refused
        for call_id in (*(raw.id for raw in arrived.heads), *(id_ for id_, *_ in arrived.messages)):
            if (opened := self._open.get(call_id)) is not None:
                is_first = opened.stream is None or not opened.stream.is_begun
                _end(opened.call, _FAULT, is_first=is_first)
                self._close(call_id)

    def all_would_wait(self) -> bool:
        """Whether whatever comes now waits for calls that came before.

        The gate is asked only where several are open, since a lone call asks before each wait.
        """
        return len(self._open) > 1 and self._routes.gate.is_occupied()

    def start_draining(self) -> None:
        """Refuses every call that comes from now on."""
        self._is_draining = True
        self._allow()
        if not self._open:
            self._last_is_over.set()

    async def wait_for_last(self) -> None:
        """Returns when every call that was let in is over; after ``start_draining``."""
        await self._last_is_over.wait()

    async def end(self) -> None:
        """Gives up what is left, and returns when its work has ended, or does not end."""
        for call_id in tuple(self._open):
            self._close(call_id)
        self._alarm.cancel()
        await self._lists.end(_CANCELLED_WORK_S)

    def _let_in(self, heads: Sequence[RawHead], closed: frozenset[int]) -> None:
        unary: list[tuple[RawHead, CallHead]] = []
        to_epoch_s = self._clock.now_s() - epoch_s()
        for raw in heads:
            if raw.id in closed:
                continue
            if (refusal := self._refusal(raw)) is not None:
                _end(raw.call, refusal, is_watched=raw.is_read)
                continue
            path, is_unary = self._methods[raw.method]
            if raw.is_read:
                self._room.begin(raw.id)
            until_s = raw.deadline_epoch_s
            deadline_s = None if until_s > NO_DEADLINE_S else until_s + to_epoch_s
            subjects = subjects_of(raw.call) if self._knows_clients else ()
            head = CallHead(raw.id, path, raw.metadata, peer_of(raw.call), deadline_s, subjects)
            if is_unary:
                unary.append((raw, head))
            else:
                self._open_stream(raw.call, head)
        self._look(unary)
        self._alarm.ring_by(self._patience.due_at_s)

    def _refusal(self, raw: RawHead) -> Status | None:
        if raw.method not in self._methods:
            return _UNKNOWN_METHOD
        if self._is_draining:
            return GOING
        if raw.is_read or self._room.waiting < _MOST_WAITING:
            return None
        return _CROWDED if self._patience.giving_way(peer_of(raw.call)) is None else None

    def _open_stream(self, call: CoreCall, head: CallHead) -> None:
        if watch_close(call, head.id):
            return
        ask, answered = partial(self._ask, head.id), partial(self._answered, head.id)
        messages = StreamMessages(call, head.id, ask, answered)
        self._open[head.id] = _Open(call, head, messages)
        self._lists.open(head, messages)

    def _look(self, calls: Iterable[tuple[RawHead, CallHead]]) -> None:
        """Lets unary calls in that the gate does not refuse."""
        wanted: dict[str, bool] = {}
        looked: list[tuple[RawHead, CallHead]] = []
        gate = self._routes.gate
        for raw, head in calls:
            if head.method not in wanted:
                wanted[head.method] = gate.wants(head.method)
            if wanted[head.method]:
                looked.append((raw, head))
            else:
                self._await_message(raw, head)
        if wanted:
            self._is_pressed = any(wanted.values())
        refusals = gate.look([head for _, head in looked], self._on_the_way()) if looked else ()
        for (raw, head), refused in zip(looked, refusals, strict=True):
            if refused is None:
                self._await_message(raw, head)
            else:
                self._room.forget(head.id)
                _end(raw.call, refused, is_watched=raw.is_read)

    def _on_the_way(self) -> LetIn:
        """The calls that were let in, and that nobody has begun to answer."""
        let_in = LetIn()
        for call_id in self._patience.waited_for():
            let_in.add(self._open[call_id].head.peer)
        for peer in self._lists.unbegun.values():
            let_in.add(peer)
        return let_in

    def _await_message(self, raw: RawHead, head: CallHead) -> None:
        if not raw.is_read and watch_close(raw.call, raw.id):
            return
        self._open[head.id] = _Open(raw.call, head)
        self._patience.begin(head.id, self._clock.now_s(), head.peer if raw.is_read else None)
        if raw.is_read or self._ask(head.id):
            return
        if (other := self._patience.giving_way(head.peer)) is not None:
            self._refuse(other, _CROWDED)
            self._room.begin(head.id)
            self._read(head.id)

    def _ask(self, call_id: int) -> bool:
        if may_read := self._room.ask(call_id):
            self._read(call_id)
        return may_read

    def _read(self, call_id: int) -> None:
        opened = self._open.get(call_id)
        if opened is None:
            return
        if opened.stream is not None:
            opened.stream.begin_read()
            return
        self._patience.read(call_id, opened.head.peer)
        if opened.call.start_server_batch((receive_message(),), (MESSAGE, call_id)):
            self._refuse(call_id, _UNREAD)

    def _body(self, call_id: int, content: bytes | None, *, is_ours: bool) -> Body | None:
        """The message that begins a unary call; that of a stream goes to its reader."""
        opened = self._open.get(call_id)
        if opened is None:
            return None
        if content is not None or opened.stream is not None:
            self._room.arrived(call_id, len(content or b""))
        if content and content[:1] in BEGINNINGS and is_compressed(content):
            self._patience.end(call_id)
            inflating = self._inflate(opened, content)
            self._inflating[call_id] = asyncio.get_running_loop().create_task(inflating)
            return None
        if opened.stream is not None:
            opened.stream.take(content)
            return None
        if content is None:
            self._miss(call_id, is_ours=is_ours)
            return None
        self._patience.end(call_id)
        return Body(opened.head, content)

    async def _inflate(self, opened: _Open, content: bytes) -> None:
        call_id, status = opened.head.id, _CROWDED
        try:
            whole = await self._inflater.inflate(content)
        except CannotInflate as fault:
            status = fault.status
        else:
            if self._room.grow(call_id, len(whole) - len(content)):
                del self._inflating[call_id]
                self._take_inflated(opened, whole)
                return
        self._end_unread(call_id, opened, status)

    def _take_inflated(self, opened: _Open, content: bytes) -> None:
        if opened.stream is not None:
            opened.stream.take(content)
        else:
            self._lists.begin((Body(opened.head, content),))

    def _end_unread(self, call_id: int, opened: _Open, status: Status) -> None:
        del self._inflating[call_id]
        is_first = opened.stream is None or not opened.stream.is_begun
        _end(opened.call, status, is_first=is_first)
        self._close(call_id)
        self._read_next()

    # Of a message that is too large or cannot be decompressed the core tells the caller by itself.
    # Of one that never came, or that ends half-way, it tells nobody.
    def _miss(self, call_id: int, *, is_ours: bool) -> None:
        if is_ours:
            loop = asyncio.get_running_loop()
            loop.call_later(CORE_TELLS_S, self._begin_without, call_id)

    def _begin_without(self, call_id: int) -> None:
        if (opened := self._open.get(call_id)) is not None:
            self._patience.end(call_id)
            self._room.arrived(call_id, 0)
            self._lists.begin((Body(opened.head, None),))

    def _answered(self, call_id: int) -> None:
        self._room.give_back(call_id)
        self._read_next()

    def _answer(self, outcomes: Sequence[tuple[int, Reply | Status]]) -> None:
        for call_id, outcome in outcomes:
            if (opened := self._open.get(call_id)) is not None:
                self._forget(call_id)  # its message came, so nobody is patient with it any more
                is_first = opened.stream is None or not opened.stream.is_begun
                _end(opened.call, outcome, is_first=is_first)
        self._read_next()

    def _refuse(self, call_id: int, status: Status) -> None:
        opened = self._open[call_id]
        self._patience.end(call_id)
        self._forget(call_id)
        _end(opened.call, status)

    def _close(self, call_id: int) -> None:
        opened = self._open.get(call_id)
        if opened is None:
            return
        self._patience.end(call_id)
        self._forget(call_id)
        if opened.stream is not None:
            opened.stream.end()
        self._lists.cancel((call_id,))

    def _forget(self, call_id: int) -> None:
        if (inflating := self._inflating.pop(call_id, None)) is not None:
            inflating.cancel()
        del self._open[call_id]
        self._room.forget(call_id)
        if self._is_draining and not self._open:
            self._last_is_over.set()

    def _read_next(self) -> None:
        """What there is room for now is read; the rest of the room is the poller's."""
        for call_id in self._room.next_reads():
            self._read(call_id)
        self._allow()

    def _allow(self) -> None:
        may_read = not (self._is_pressed or self._is_draining)
        self._allowance.allow(self._room.reads if may_read else 0)

    def _end_patience(self) -> None:
        for call_id in self._patience.run_out(self._clock.now_s()):
            self._refuse(call_id, _CROWDED if self._room.is_waiting(call_id) else self._late)
        self._alarm.ring_by(self._patience.due_at_s)
        self._read_next()


# More calls than these never wait for room: each holds what it sent of its message unasked.
_MOST_WAITING: Final = 1024
_CANCELLED_WORK_S: Final = 1.0
_UNKNOWN_METHOD: Final = Status(Code.UNIMPLEMENTED, "this server has no such method")
_FULL: Final = "too many bytes of requests are being read or answered"
_CROWDED: Final = Status(Code.RESOURCE_EXHAUSTED, _FULL)
_FAULT: Final = Status(Code.INTERNAL, "internal error")
_UNREAD: Final = Status(Code.INTERNAL, "the message could not be read")


def _methods(routes: Routes) -> dict[bytes, tuple[str, bool]]:
    """By method as it comes: its path, and whether it is unary."""
    unary = {path.encode(): (path, True) for path in routes.unary}
    return unary | {path.encode(): (path, False) for path in routes.streams}


def _end(
    call: CoreCall, outcome: Reply | Status, *, is_first: bool = True, is_watched: bool = True
) -> None:
    """Sends how a call ends; one that cannot be sent ends it too, and spoils no other."""
    # What nobody asked the core to tell the end of, it tells with the last word.
    more = () if is_watched else (receive_close(),)
    try:
        operations = (*end_of_call(outcome, is_first=is_first), *more)
        failed = call.start_server_batch(operations, (SENT, 0))
    except Exception as fault:  # noqa: BLE001 - whatever it cannot take, its caller is told
        told: dict[str, Any] = {"message": "an answer could not be sent", "exception": fault}
        asyncio.get_running_loop().call_exception_handler(told)
        failed = True
    if failed:
        call.cancel(Code.INTERNAL, _FAULT.text)
