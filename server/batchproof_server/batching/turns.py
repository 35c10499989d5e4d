"""Whose tasks are taken next, and whose give way, when several callers wait. Pure."""

import heapq
import itertools
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple

from batchproof_server.batching.connections import Connections, address_of, gives_way
from batchproof_server.batching.task import Payload, Task


@dataclass(slots=True, eq=False)
class Line(Generic[Payload]):
    """The tasks of one caller.

    Attributes:
        round: in which the caller is next.
        number: before whom in that round.
        rows: of the tasks.
        tasks: of its connections, which take turns too.
    """

    round: int = 0
    number: int = 0
    rows: int = 0
    tasks: Connections[Payload] = field(default_factory=Connections)


class Turn(NamedTuple, Generic[Payload]):
    """One task whose turn it is in ``round``."""

    task: Task[Payload]
    line: Line[Payload]
    round: int


# Contract
#
# Callers     A caller is an address. What its connections have is one line, in which they share
#             what the address is given, as ``connections.py`` says.
# Rounds      Deficit round robin over rows (Shreedhar and Varghese, 1996) with a quantum of one
#             row, in which a caller may take a whole task on credit: after a task of r rows it is
#             next r rounds later. Rounds in which it only pays are counted, not walked through.
# Order       Within a connection that of arrival. Within a round, who was served or came earlier.
# Newcomers   Begin in the next round, behind those who wait for it: however many come, nobody's
#             turn moves further away than by one task of each of those that wait.
# Fairness    Of two callers that wait throughout, one is given at most as many rows more than the
#             other as their two largest tasks have together; from the moment that both begin with
#             nothing taken, at most one row more than the larger of the two.
# Memory      A caller without tasks is remembered only while it owes rounds to others that wait,
#             as many as its last task had rows; and the last of all until another one comes.
# Room        Whoever holds the most gives way, latest task first, to a caller that would hold less.
#             So a caller whose rows fit into its equal share always finds room, and a caller that
#             holds no more than its equal share never gives way to another. Nor does a connection
#             that holds no more than its equal share of what its address has.
class Turns(Generic[Payload]):
    """The callers of one queue.

    Attributes:
        lines: by address, of callers that wait or owe rounds; whoever adds to one or takes from it
            does so by itself, on the road of every request.
        round: of the last task that was taken.
    """

    def __init__(self) -> None:
        self.lines: dict[Hashable, Line[Payload]] = {}
        self.round = 0
        self._numbers = itertools.count(1)

    def open_line(self, caller: Hashable, *, is_only: bool) -> Line[Payload]:
        """The line of a caller that has none.

        Args:
            caller: a peer.
            is_only: whether nobody else waits: then nobody owes anything to anybody.
        """
        if is_only:
            self.lines.clear()
            line = self.lines[address_of(caller)] = Line()
            return line
        if len(self.lines) == 1:
            # As long as a caller is alone it owes nobody anything.
            (alone,) = self.lines.values()
            self.round = alone.round - 1
        line = self.lines[address_of(caller)] = Line(self.round + 1, next(self._numbers))
        return line

    def close_line(self, caller: Hashable, line: Line[Payload], *, is_last: bool) -> None:
        """Nothing of a caller waits any more.

        Args:
            caller: one of several.
            line: without tasks.
            is_last: whether nobody waits any more: then nobody owes anything to anybody.
        """
        if is_last:
            self.lines.clear()
        elif not self._owes(line):
            del self.lines[address_of(caller)]

    def in_turn(self, rows: int) -> list[Turn[Payload]]:
        """The tasks that are next, until they have ``rows`` rows or more; changes nothing."""
        heap = [
            (line.round, line.number, line, iter(line.tasks))
            for line in self.lines.values()
            if line.tasks
        ]
        heapq.heapify(heap)
        turns = []
        while heap and rows > 0:
            round_, _, line, tasks = heap[0]
            task = next(tasks, None)
            if task is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (round_ + task.rows, next(self._numbers), line, tasks))
                turns.append(Turn(task, line, round_))
                rows -= task.rows
        return turns

    def take(self, turns: Iterable[Turn[Payload]]) -> None:
        """The first of ``in_turn`` are taken; to be called before they leave their lines."""
        for task, line, round_ in turns:
            line.tasks.take(task)
            line.round = round_ + task.rows
            line.number = next(self._numbers)
            self.round = round_
        idle = [
            caller for caller, line in self.lines.items() if not line.tasks and not self._owes(line)
        ]
        for caller in idle:
            del self.lines[caller]

    def rows_until(self, caller: Hashable, rows: int) -> int:
        """About how many rows will have been executed when further ``rows`` of a caller are."""
        own = self.lines.get(address_of(caller))
        own_rows = rows if own is None else own.tasks.rows_until(caller, rows)
        done_in = own_rows + (self.round + 1 if own is None else own.round)
        before = (
            min(line.rows, max(0, done_in - line.round))
            for line in self.lines.values()
            if line is not own
        )
        return own_rows + sum(before)

    def giving_way(self, caller: Hashable, rows: int, room_rows: int) -> list[Task[Payload]]:
        """The tasks that give way to further ``rows`` of a caller; none when none do.

        Args:
            caller: whose rows do not fit.
            rows: how many.
            room_rows: for how many there is room.
        """
        own = self.lines.get(address_of(caller))
        own_rows = rows if own is None else own.rows + rows
        held = {line: line.rows for line in self.lines.values() if line is not own}
        latest = {line: line.tasks.latest_first() for line in held}
        beside = iter(()) if own is None else _beside(own, caller, rows)
        displaced: list[Task[Payload]] = []
        while room_rows < rows:
            largest = gives_way(held, own_rows)
            if largest is not None:
                task = next(latest[largest])
                held[largest] -= task.rows
            elif (own_task := next(beside, None)) is not None:
                task = own_task
                own_rows -= task.rows
            else:
                return []
            displaced.append(task)
            room_rows += task.rows
        return displaced

    def _owes(self, line: Line[Payload]) -> bool:
        """Whether a caller has to wait for more rounds than one that nobody knows."""
        return line.round > self.round + 1


def _beside(own: Line[Payload], caller: Hashable, rows: int) -> Iterator[Task[Payload]]:
    """What other connections of the same address have more than ``caller`` would have."""
    return own.tasks.latest_first(own.tasks.rows_of(caller) + rows, spared=caller)
