"""What a front keeps count of: who may be read now, how long that may take, who is next."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from batchproof_server.batching.connections import Holdings


# Contract
#
# ``held_bytes`` is the sum over all calls of what each is counted as: ``reading_bytes`` for a
# message that is being read, its size once it is there, nothing once it was given back. A read
# begins only while there is room for what it counts as, or while nothing at all is held; those that
# must wait begin in the order in which they asked. So the sum passes the limit only by what the
# messages under way turn out to be larger than they counted as. Nothing is held for a call that was
# forgotten, whatever comes for it later.
class Room:
    """Bytes in flight over all calls.

    Args:
        max_bytes: the limit of the sum.
        reading_bytes: what a message that is being read counts as.
        large_bytes: of a message from which on it is told of.
        on_over: told when such a message is held no more.
    """

    def __init__(
        self, max_bytes: int, reading_bytes: int, large_bytes: int, on_over: Callable[[], None]
    ) -> None:
        self._large_bytes = large_bytes
        self._on_over = on_over
        self._max_bytes = max_bytes
        self._reading_bytes = reading_bytes
        self._reading: set[int] = set()
        self._held: dict[int, deque[int]] = {}
        self._waiting: dict[int, None] = {}
        self.held_bytes = 0

    @property
    def waiting(self) -> int:
        """How many calls wait to be read."""
        return len(self._waiting)

    def is_waiting(self, call_id: int) -> bool:
        """Whether a call waits to be read."""
        return call_id in self._waiting

    @property
    def reads(self) -> int:
        """How many more reads there is room for, and none that waits for it."""
        if self._waiting:
            return 0
        return max(0, (self._max_bytes - self.held_bytes) // self._reading_bytes)

    def ask(self, call_id: int) -> bool:
        """Whether the next message of a call may be read now; else it waits for its turn."""
        if self._waiting or not self._fits():
            self._waiting[call_id] = None
            return False
        self.begin(call_id)
        return True

    def begin(self, call_id: int) -> None:
        """The next message of a call is being read, whether or not there is room."""
        self._waiting.pop(call_id, None)
        self._reading.add(call_id)
        self.held_bytes += self._reading_bytes

    def arrived(self, call_id: int, size_bytes: int) -> None:
        """The message that was being read is there; of a call that was forgotten it is nothing."""
        if call_id in self._reading:
            self._reading.remove(call_id)
            self.held_bytes += size_bytes - self._reading_bytes
            self._held.setdefault(call_id, deque()).append(size_bytes)

    def grow(self, call_id: int, more_bytes: int) -> bool:
        """The last message of a call has become larger; whether there is room for that."""
        if self.held_bytes + more_bytes > self._max_bytes:
            return False
        self._held[call_id][-1] += more_bytes
        self.held_bytes += more_bytes
        return True

    def give_back(self, call_id: int) -> None:
        """The oldest message of a call has been answered."""
        if sizes := self._held.get(call_id):
            size_bytes = sizes.popleft()
            self.held_bytes -= size_bytes
            if size_bytes >= self._large_bytes:
                self._on_over()

    def forget(self, call_id: int) -> None:
        """A call is over."""
        self._waiting.pop(call_id, None)
        for size_bytes in self._held.pop(call_id, ()):
            self.held_bytes -= size_bytes
            if size_bytes >= self._large_bytes:
                self._on_over()
        if call_id in self._reading:
            self._reading.remove(call_id)
            self.held_bytes -= self._reading_bytes

    def next_reads(self) -> list[int]:
        """The calls whose turn has come: they are being read from now on."""
        turns: list[int] = []
        while self._waiting and self._fits():
            call_id = next(iter(self._waiting))
            self.begin(call_id)
            turns.append(call_id)
        return turns

    def _fits(self) -> bool:
        return not self.held_bytes or self.held_bytes + self._reading_bytes <= self._max_bytes


# Contract
#
# Every call is patient for the same time, so they run out in the order of their coming. Calls that
# are being read hold room whether or not their message comes. So where there is no room, the latest
# of whoever has the most of them gives way to a caller that would have fewer (by address, and by
# connection within its own): headers without messages never keep another caller unread.
class Patience:
    """Calls whose message must come within a time.

    Args:
        timeout_s: of each.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._until_s: dict[int, float] = {}
        self._read_for: dict[int, str] = {}
        self._holdings = Holdings()

    @property
    def due_at_s(self) -> float | None:
        """When the next one runs out; None when nobody waits."""
        return next(iter(self._until_s.values()), None)

    def begin(self, call_id: int, now_s: float, read_for: str | None = None) -> None:
        """The headers of a call are there.

        Args:
            call_id: names it.
            now_s: the instant.
            read_for: its connection, where its message is being read already.
        """
        self._until_s[call_id] = now_s + self._timeout_s
        if read_for is not None:
            self._read_for[call_id] = read_for
            self._holdings.add(read_for)

    def end(self, call_id: int) -> None:
        """Its message is there too, or the call is over."""
        self._until_s.pop(call_id, None)
        if (peer := self._read_for.pop(call_id, None)) is not None:
            self._holdings.remove(peer)

    def read(self, call_id: int, peer: str) -> None:
        """Its message is being read from now on."""
        self._read_for[call_id] = peer
        self._holdings.add(peer)

    def waited_for(self) -> Iterable[int]:
        """The calls whose message is not there yet."""
        return self._until_s.keys()

    def giving_way(self, peer: str) -> int | None:
        """The call that gives way to one more of a connection; None when none does."""
        if (most := self._holdings.more_than(peer)) is None:
            return None
        return next((each for each, of in reversed(self._read_for.items()) if of == most), None)

    def run_out(self, now_s: float) -> list[int]:
        """The calls that have waited for too long; they are waited for no more."""
        late: list[int] = []
        for call_id, until_s in self._until_s.items():
            if until_s > now_s:
                break
            late.append(call_id)
        for call_id in late:
            del self._until_s[call_id]
        return late


# Contract
#
# Shared by two threads without a lock: each number is written by one of them only. The thread that
# takes calls begins the reads; the one that decides allows them. It counts those that it was told
# of, so that what is on its way between the two is never allowed twice.
class Allowance:
    """How many reads one thread may begin before the other has been asked."""

    def __init__(self) -> None:
        self._begun = 0  # written where calls are taken
        self._told = 0  # written where it is decided, as is the next one
        self._allowed = 0

    def take(self) -> bool:
        """Whether one more read may begin; asked where calls are taken."""
        if self._begun >= self._allowed:
            return False
        self._begun += 1
        return True

    def note(self, begun: int) -> None:
        """So many reads, which were allowed, have begun; told where it is decided."""
        self._told += begun

    def allow(self, reads: int) -> None:
        """So many more than those that were noted may begin; said where it is decided."""
        self._allowed = self._told + min(reads, _MOST_AT_ONCE)


# A list of this length is as good as a longer one, and what is refused unread must not be read.
_MOST_AT_ONCE: Final = 256
