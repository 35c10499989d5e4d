"""For fronts that get calls in lists: begins what came together, sends what is ready together."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from batchproof_server.rpc.fronts.front import (
    Body,
    CallEnded,
    CallHead,
    Code,
    Messages,
    Reply,
    Routes,
    Status,
)

# Takes call ids with their replies, or with how they end.
SendOutcomes: TypeAlias = Callable[[Sequence[tuple[int, Reply | Status]]], None]


# Contract
#
# What is begun in one list is begun in the same turn of the loop and in its order, so that it can
# be executed in one micro-batch. Each call that was begun is sent exactly once, unless it was
# cancelled, or its stream ended with it; the outcomes of one turn are sent in one list, in the next
# turn, or at once where no other call is going on. Lives on the loop thread.
class InLists:
    """Hands lists of calls to routes, and their outcomes back in lists.

    Args:
        routes: answer the calls.
        send: called once in a turn of the loop at most.

    Attributes:
        unbegun: of each call whose turn has not come its connection; only to be read.
    """

    def __init__(self, routes: Routes, send: SendOutcomes) -> None:
        self._routes = routes
        self._send = send
        self._running: dict[int, asyncio.Task[None]] = {}
        self.unbegun: dict[int, str] = {}
        self._cancelled: set[asyncio.Task[None]] = set()
        self._ready: list[tuple[int, Reply | Status]] = []

    def begin(self, bodies: Iterable[Body]) -> None:
        """Begins unary calls whose methods have routes."""
        for body in bodies:
            answer = self._routes.unary[body.head.method]
            self._start(body.head, partial(answer, body.head, body.content))

    def open(self, head: CallHead, messages: Messages) -> None:
        """Begins a stream whose method has a route."""
        self._start(head, partial(self._routes.streams[head.method], head, messages))

    def cancel(self, call_ids: Iterable[int]) -> None:
        """Nobody waits for these calls any more; harmless for those that are over."""
        for call_id in call_ids:
            if (task := self._running.pop(call_id, None)) is not None:
                self.unbegun.pop(call_id, None)
                self._cancelled.add(task)
                task.add_done_callback(self._cancelled.discard)
                task.cancel()

    async def end(self, patience_s: float) -> None:
        """Cancels what is left, and returns when its work has ended.

        Args:
            patience_s: for work that does not end although it was cancelled.
        """
        self.cancel(tuple(self._running))
        if self._cancelled:
            await asyncio.wait(self._cancelled, timeout=patience_s)

    def _start(self, head: CallHead, work: Callable[[], Awaitable[Reply | Status]]) -> None:
        self.unbegun[head.id] = head.peer
        settling = self._settle(head, work)
        self._running[head.id] = asyncio.get_running_loop().create_task(settling)

    async def _settle(self, head: CallHead, work: Callable[[], Awaitable[Reply | Status]]) -> None:
        del self.unbegun[head.id]
        outcome: Reply | Status | None
        try:
            outcome = await work()
        except CallEnded:
            outcome = None
        except asyncio.CancelledError:
            if head.id not in self._running:
                raise
            outcome = _GIVEN_UP  # work may let a cancellation out that nobody asked for
        except Exception as fault:  # noqa: BLE001 - whatever a route does, its caller is answered
            _report(head, fault)
            outcome = _FAULT
        # Work that goes on although it was cancelled has nobody to tell.
        if self._running.pop(head.id, None) is not None and outcome is not None:
            self._settle_with(head.id, outcome)

    def _settle_with(self, call_id: int, outcome: Reply | Status) -> None:
        self._ready.append((call_id, outcome))
        if not self._running:
            self._send_ready()  # of a call that is alone, before the loop turns to the accounting
        elif len(self._ready) == 1:
            asyncio.get_running_loop().call_soon(self._send_ready)

    def _send_ready(self) -> None:
        ready, self._ready = self._ready, []
        if ready:
            self._send(ready)


_FAULT: Final = Status(Code.INTERNAL, "internal error")
_GIVEN_UP: Final = Status(Code.UNAVAILABLE, "the request was given up; try again")


def _report(head: CallHead, fault: Exception) -> None:
    told: dict[str, Any] = {"message": f"the route of {head.method} raised", "exception": fault}
    asyncio.get_running_loop().call_exception_handler(told)
