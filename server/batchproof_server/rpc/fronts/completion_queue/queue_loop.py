"""An event loop that waits for a completion queue and for descriptors, on one thread."""

import asyncio
import os
import select
import selectors
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

from batchproof_server.base.clock import epoch_s

_Found: TypeAlias = list[tuple[selectors.SelectorKey, int]]

# Where the thread of the loop is.
_AT_WORK: Final = 0
_AT_DESCRIPTORS: Final = 1
_AT_QUEUE: Final = 2

# A wait for the queue ends at an instant of the wall clock, which may be set back: then timers are
# as late as this, and so is the handler of a signal, since the core does not let signals end it.
_LONGEST_WAIT_S: Final = 0.2
# While nothing can wake the queue the descriptors are waited for, and the queue is looked at.
_BETWEEN_LOOKS_S: Final = 0.05
# Where whatever comes would have to wait, it may as well come together.
_REST_S: Final = 0.03
# A look at either costs as much as a tenth of a request, and lets other threads run. While there is
# work at hand it is left out, so that what comes meanwhile is found together; but not where so much
# comes that it would be refused too late.
_MOST_TURNS_UNLOOKED: Final = 4


class WaitedQueue(Protocol):
    """A queue that the loop waits for."""

    @property
    def can_be_woken(self) -> bool:
        """Whether ``wake`` ends a wait; changes on the loop thread only."""
        ...

    @property
    def has_more(self) -> bool:
        """Whether the last look found so much that more may wait for the next one."""
        ...

    def may_be_left(self) -> bool:
        """Whether nothing is lost when nobody looks for a moment, unless more may wait."""
        ...

    def collect(self, until_epoch_s: float) -> object:
        """Takes what is there; where nothing is, waits for it until an instant. Raises nothing."""
        ...

    def wake(self) -> None:
        """Ends a wait, or the next one; from any thread."""
        ...

    def abandon(self) -> None:
        """Is over: the loop is closed while it waits for it. Raises nothing."""
        ...


# Contract
#
# Whoever wants the loop to return says so first (``_is_woken``) and then looks where it is; the
# loop says where it waits first, and then looks whether it should. So one of them sees the other,
# in whatever order they come. What another thread wants done is in the loop's own list before it
# wakes, so what it said may be forgotten at the end of each turn. Descriptors that become ready
# while the loop waits for the queue are noticed by another thread, and those that became so before
# by the look that comes before each wait. Both kinds are looked at together: before each wait, and
# while the loop does not wait in one turn of five. A queue that may be left, or that cannot wake
# the loop, is not waited for: then the loop waits for its descriptors, and looks at the queue when
# one is ready, when it is woken, and after a moment at the latest.
class QueueSelector(selectors.BaseSelector):
    """Waits for descriptors, and for a queue as long as one is attached."""

    def __init__(self) -> None:
        self._inner = selectors.EpollSelector()
        self._attached: WaitedQueue | None = None
        self._watch: _DescriptorWatch | None = None
        self._place = _AT_WORK
        self._is_woken = False
        self._turns_unlooked = 0

    def attach(self, queue: WaitedQueue) -> bool:
        """Waits for a queue too; whether it does, since there may be another one."""
        if self._attached is not None:
            return False
        if self._watch is None:
            self._watch = _DescriptorWatch(self._inner.fileno(), self._note_descriptor)
        self._attached = queue
        return True

    def detach(self, queue: WaitedQueue) -> None:
        """Waits for this queue no more."""
        if self._attached is queue:
            self._attached = None

    def wake(self) -> bool:
        """Ends a wait for the queue, from any thread.

        Returns:
            Whether the loop may be waiting for its descriptors instead.
        """
        self._is_woken = True
        place, queue = self._place, self._attached
        if place == _AT_QUEUE and queue is not None:
            queue.wake()
        return place == _AT_DESCRIPTORS

    def select(self, timeout: float | None = None) -> _Found:
        """What is ready; less than ``timeout`` may have passed when nothing is."""
        queue, inner = self._attached, self._inner
        if timeout == 0 and queue is not None and not queue.has_more:
            self._turns_unlooked += 1
            if self._turns_unlooked <= _MOST_TURNS_UNLOOKED:
                self._is_woken = False
                return []
        self._turns_unlooked = 0
        try:
            if queue is None:
                self._place = _AT_DESCRIPTORS
                return inner.select(0 if self._is_woken else timeout)
            longest_s = _LONGEST_WAIT_S if timeout is None else min(timeout, _LONGEST_WAIT_S)
            rest_s = 0.0
            if not queue.can_be_woken:
                rest_s = _BETWEEN_LOOKS_S
            elif longest_s > 0 and not queue.has_more and queue.may_be_left():
                rest_s = _REST_S
            if rest_s > 0:
                self._place = _AT_DESCRIPTORS
                found = inner.select(0 if self._is_woken else min(longest_s, rest_s))
                queue.collect(0)
                return found
            if longest_s > 0:
                self._place = _AT_QUEUE
            found = inner.select(0)
            if found or self._is_woken or longest_s <= 0:
                queue.collect(0)
                return found
            queue.collect(epoch_s() + longest_s)
            self._place = _AT_WORK
            return inner.select(0)
        finally:
            self._place = _AT_WORK
            self._is_woken = False

    def _note_descriptor(self) -> None:
        queue = self._attached
        if self._place == _AT_QUEUE and queue is not None:
            queue.wake()

    def close(self) -> None:
        """Ends the thread that watches, and a queue that is attached still."""
        queue, self._attached = self._attached, None
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if queue is not None:
            queue.abandon()
        self._inner.close()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As every selector does."""
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """As every selector does."""
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As every selector does."""
        return self._inner.modify(fileobj, events, data)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """As every selector does."""
        return self._inner.get_key(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """As every selector does."""
        return self._inner.get_map()


# Contract: it is told of every change (edge-triggered), whether or not the loop waits; a level
# would keep it busy for as long as the loop is. It owns what it waits for, so that nobody closes
# that under its feet. The loop may be closed by the collector of garbage, on any thread.
class _DescriptorWatch:
    """A thread that waits for the descriptors of another epoll.

    Args:
        descriptor: of that one.
        tell: called when one of them becomes ready, on the thread.
    """

    def __init__(self, descriptor: int, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._end = os.eventfd(0, os.EFD_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLET)
        self._epoll.register(self._end, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="loop-descriptors", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        os.eventfd_write(self._end, 1)
        if threading.current_thread() is not self._thread:
            self._thread.join(_PATIENCE_S)

    def _run(self) -> None:
        while all(descriptor != self._end for descriptor, _ in self._epoll.poll()):
            self._tell()
        self._epoll.close()
        os.close(self._end)


_PATIENCE_S: Final = 1.0


# Contract: without a queue it is asyncio's own. One queue at a time, attached and detached on the
# loop thread.
class QueueLoop(asyncio.SelectorEventLoop):
    """asyncio's loop, which can wait for a completion queue."""

    def __init__(self) -> None:
        self._queue_selector = QueueSelector()
        super().__init__(self._queue_selector)

    def attach(self, queue: WaitedQueue) -> bool:
        """Waits for a queue too; whether it does, since there may be another one."""
        return self._queue_selector.attach(queue)

    def detach(self, queue: WaitedQueue) -> None:
        """Waits for this queue no more."""
        self._queue_selector.detach(queue)

    def _write_to_self(self) -> None:
        # asyncio calls it where a wait has to end: from other threads, and from signal handlers.
        if self._queue_selector.wake():
            super()._write_to_self()  # type: ignore[misc] # private to asyncio
