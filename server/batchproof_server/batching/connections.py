"""What the connections of an address share: turns in the queue, and what else they hold. Pure."""

import heapq
import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Generic, NamedTuple, TypeVar

from batchproof_server.batching.priorities import WithPriority
from batchproof_server.batching.task import Payload, Task

Holder = TypeVar("Holder", bound=Hashable)

_IPV6: Final = "ipv6:"
_NETWORK_BYTES: Final = 8


@lru_cache(maxsize=4096)  # asked several times for each request
def address_of(peer: Hashable) -> Hashable:
    """The address of a connection; the peer itself where it names none.

    Args:
        peer: as gRPC writes it, such as ``ipv4:10.0.0.7:50123`` or ``ipv6:%5B2001:db8::1%5D:80``.
            Of IPv6 the first 64 bits count, because one host has as many addresses as it likes.
            What a peer asks for with a priority of its own counts apart.
    """
    if isinstance(peer, WithPriority):
        return peer._replace(peer=address_of(peer.peer))
    if not isinstance(peer, str):
        return peer
    address, colon, _ = peer.rpartition(":")
    if not address.startswith(_IPV6):
        return address if colon else peer
    host = address.removeprefix(_IPV6).replace("%5B", "").replace("%5D", "").strip("[]")
    try:
        parsed = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or parsed.packed[:_NETWORK_BYTES].hex())


@dataclass(slots=True)
class LetIn:
    """Requests that were let in and have not reached a queue yet, each of them a row.

    Whoever comes now will be behind them, and no queue knows of them.
    """

    rows: int = 0
    rows_of: Counter[Hashable] = field(default_factory=Counter)

    def add(self, peer: Hashable) -> None:
        """One more, of a connection."""
        self.rows += 1
        self.rows_of[address_of(peer)] += 1

    def ahead_of(self, peer: Hashable) -> "Ahead":
        """What a further request of a connection has before it."""
        return Ahead(self.rows, self.rows_of[address_of(peer)])


class Ahead(NamedTuple):
    """Rows that will be in the queue before those that are judged now.

    Attributes:
        rows: of all callers.
        own_rows: of the same address.
    """

    rows: int = 0
    own_rows: int = 0


NOBODY_AHEAD: Final = Ahead()


@dataclass(slots=True)
class _Waiting(Generic[Payload]):
    """The tasks of one connection with the instants at which each would be done."""

    rows: int = 0
    # OrderedDict, not dict: taking from the front of a dict scans what was deleted before it.
    tasks: OrderedDict[Task[Payload], int] = field(default_factory=OrderedDict)

    @property
    def last_done(self) -> int:
        return next(reversed(self.tasks.values()))

    @property
    def starts_at(self) -> int:
        task, done = next(iter(self.tasks.items()))
        return done - task.rows


# Contract
#
# Order       Self-clocked fair queueing over rows (Golestani, 1994). A task is done, in rows that
#             the address was given, as many rows after what was taken last, or after the task of
#             its connection before it, as it has itself; who is done first is next. The order
#             within one connection is that of arrival.
# Fairness    Of two connections of one address that wait throughout, one is given at most as many
#             rows more than the other as their two largest tasks have together.
# Newcomers   However many come, a task waits for one row of each of them for each of its own rows.
# Memory      A connection is forgotten with its last task.
class Connections(Generic[Payload]):
    """The tasks of one address."""

    __slots__ = ("_now", "_of")

    def __init__(self) -> None:
        self._now = 0
        self._of: dict[Hashable, _Waiting[Payload]] = {}

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._of)

    def __iter__(self) -> Iterator[Task[Payload]]:
        """The tasks in the order in which they are next; changes nothing."""
        if len(self._of) == 1:
            (alone,) = self._of.values()
            yield from alone.tasks
            return
        each = [connection.tasks.items() for connection in self._of.values()]
        for task, _ in heapq.merge(*each, key=lambda item: item[1]):
            yield task

    def add(self, task: Task[Payload]) -> None:
        """One more waits."""
        connection = self._of.get(task.caller)
        if connection is None:
            connection = self._of[task.caller] = _Waiting()
            connection.tasks[task] = self._now + task.rows
        else:
            connection.tasks[task] = max(self._now, connection.last_done) + task.rows
        connection.rows += task.rows

    def take(self, task: Task[Payload]) -> None:
        """A task is executed; to be called in their order, before it is removed."""
        self._now = max(self._now, self._of[task.caller].tasks[task])

    def remove(self, task: Task[Payload]) -> None:
        """One fewer waits."""
        connection = self._of[task.caller]
        del connection.tasks[task]
        connection.rows -= task.rows
        if not connection.tasks:
            del self._of[task.caller]

    def rows_of(self, caller: Hashable) -> int:
        """The rows of one connection that wait."""
        connection = self._of.get(caller)
        return 0 if connection is None else connection.rows

    def rows_until(self, caller: Hashable, rows: int) -> int:
        """How many rows of this address are executed until further ``rows`` of a connection are."""
        own = self._of.get(caller)
        own_rows = self.rows_of(caller) + rows
        done = own_rows + (self._now if own is None else own.starts_at)
        before = (
            min(other.rows, max(0, done - other.starts_at))
            for other in self._of.values()
            if other is not own
        )
        return own_rows + sum(before)

    def latest_first(self, than_rows: int = 0, spared: Hashable = None) -> Iterator[Task[Payload]]:
        """The latest tasks of whoever has the most, as long as that is more than ``than_rows``.

        Args:
            than_rows: of the caller for whom room is made.
            spared: the connection of that caller.
        """
        held = {each: own.rows for each, own in self._of.items() if each != spared}
        latest = {each: reversed(self._of[each].tasks) for each in held}
        while (most := gives_way(held, than_rows)) is not None:
            task = next(latest[most])
            held[most] -= task.rows
            yield task


# Contract
#
# A caller is an address. Its connections share what it holds, in the same way: so ``more_than``
# looks among the addresses first, and among the connections of the caller's own one after that.
# A connection is remembered while it holds anything.
class Holdings:
    """Counts what each connection holds, by its address."""

    def __init__(self) -> None:
        self._of: dict[Hashable, dict[str, int]] = {}

    def add(self, peer: str) -> None:
        """A connection holds one more."""
        connections = self._of.setdefault(address_of(peer), {})
        connections[peer] = connections.get(peer, 0) + 1

    def remove(self, peer: str) -> None:
        """It holds one fewer."""
        address = address_of(peer)
        connections = self._of[address]
        connections[peer] -= 1
        if not connections[peer]:
            del connections[peer]
        if not connections:
            del self._of[address]

    def more_than(self, peer: str) -> str | None:
        """The connection that holds more than this one would with one more; None without such."""
        own_address = address_of(peer)
        held = {address: sum(each.values()) for address, each in self._of.items()}
        most = gives_way(held, held.get(own_address, 0) + 1)
        if most is not None:
            return gives_way(self._of[most])
        beside = self._of.get(own_address, {})
        return gives_way(beside, beside.get(peer, 0) + 1)


def gives_way(held: Mapping[Holder, int], than: int = 0) -> Holder | None:
    """Whoever holds the most, where that is more than ``than``; of several the first.

    Args:
        held: by whom.
        than: what the one for whom room is made would hold with what it asks for.
    """
    most = max(held, key=held.__getitem__, default=None)
    return most if most is not None and held[most] > than else None
