"""Whose tasks are taken next, and whose give way, when several callers wait. Pure."""

import heapq
import itertools
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple

from batchproof_server.base.priorities import PRIORITIES, Priority
from batchproof_server.batching.connections import Connections, address_of, gives_way
from batchproof_server.batching.priorities import (
    PriorityClock,
    above,
    below,
    kept_rows,
    priority_of,
)
from batchproof_server.batching.task import Payload, Task


@dataclass(slots=True, eq=False)
class Line(Generic[Payload]):
    """The tasks of one caller that have the same priority.

    Attributes:
        priority: of them.
        round: in which the caller is next.
        number: before whom in that round.
        rows: of the tasks.
        tasks: of its connections, which take turns too.
    """

    priority: Priority = "default"
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
# Priorities  take turns as ``priorities.py`` says. All that follows is among the callers of one
#             priority; what a caller asks for with two of them is as if it were two callers'.
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
# Room        Each priority keeps a part of the room. What the others hold beyond theirs gives way
#             to a more urgent one, the least urgent first, and to one that stays within its part.
#             Then, among the callers of one priority, whoever holds the most gives way, latest task
#             first, to a caller that would hold less: one that holds no more than its equal share
#             never gives way to another, nor does a connection that holds no more than its equal
#             share of what its address has; and where no other priority waits, a caller whose rows
#             fit into its equal share always finds room.
class Turns(Generic[Payload]):
    """The callers of one queue.

    Args:
        room_rows: of the queue.

    Attributes:
        lines: by address and priority, of callers that wait or owe rounds; whoever adds to one or
            takes from it does so by itself, on the road of every request.
        rounds: of each priority that of the task that was taken last.
    """

    def __init__(self, room_rows: int) -> None:
        self._room_rows = room_rows
        self.lines: dict[Hashable, Line[Payload]] = {}
        self.rounds: dict[Priority, int] = dict.fromkeys(PRIORITIES, 0)
        self._clock = PriorityClock()
        self._numbers = itertools.count(1)

    def open_line(self, caller: Hashable, *, is_only: bool) -> Line[Payload]:
        """The line of a caller that has none.

        Args:
            caller: a peer.
            is_only: whether nobody else waits: then nobody owes anything to anybody.
        """
        priority = priority_of(caller)
        if is_only:
            self.lines.clear()
            line = self.lines[address_of(caller)] = Line(priority)
            return line
        if len(self.lines) == 1:
            # As long as a caller is alone it owes nobody anything.
            (alone,) = self.lines.values()
            self.rounds[alone.priority] = alone.round - 1
            self._clock.reset()
        line = Line(priority, self.rounds[priority] + 1, next(self._numbers))
        self.lines[address_of(caller)] = line
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
        turns: list[Turn[Payload]] = []
        for turn in self._all_in_turn():
            turns.append(turn)
            rows -= turn.task.rows
            if rows <= 0:
                break
        return turns

    def take(self, turns: Iterable[Turn[Payload]]) -> None:
        """The first of ``in_turn`` are taken; to be called before they leave their lines."""
        waiting = {line.priority for line in self.lines.values() if line.tasks}
        for task, line, round_ in turns:
            line.tasks.take(task)
            line.round = round_ + task.rows
            line.number = next(self._numbers)
            self.rounds[line.priority] = round_
            self._clock.take(line.priority, task.rows)
        idle = [
            caller
            for caller, line in self.lines.items()
            if not (line.tasks or (self._owes(line) and line.priority in waiting))
        ]
        for caller in idle:
            del self.lines[caller]

    def rows_until(self, caller: Hashable, rows: int) -> int:
        """About how many rows will have been executed when further ``rows`` of a caller are."""
        priority, own = priority_of(caller), self.lines.get(address_of(caller))
        own_rows = rows if own is None else own.tasks.rows_until(caller, rows)
        done_in = own_rows + (self.rounds[priority] + 1 if own is None else own.round)
        alike = own_rows + sum(
            min(line.rows, max(0, done_in - line.round))
            for line in self.lines.values()
            if line is not own and line.priority == priority
        )
        starts = self._clock.start(priority, alike - rows)
        others = {line.priority for line in self.lines.values()} - {priority}
        return alike + sum(
            min(self._rows_of(each), self._clock.rows_before(each, starts)) for each in others
        )

    def giving_way(self, caller: Hashable, rows: int, room_rows: int) -> list[Task[Payload]]:
        """The tasks that give way to further ``rows`` of a caller; none when none do.

        Args:
            caller: whose rows do not fit.
            rows: how many.
            room_rows: for how many there is room.
        """
        priority = priority_of(caller)
        others = list(below(priority))
        if self._rows_of(priority) + rows <= kept_rows(priority, self._room_rows):
            others += above(priority)
        displaced = self._beyond_what_they_keep(others, rows - room_rows)
        room_rows += sum(task.rows for task in displaced)
        if room_rows >= rows:
            return displaced
        alike = self._giving_way_alike(caller, rows, room_rows)
        return [*displaced, *alike] if alike else []

    def _beyond_what_they_keep(
        self, priorities: Iterable[Priority], missing_rows: int
    ) -> list[Task[Payload]]:
        """The tasks of other priorities that give way, as many rows as there are and are needed."""
        displaced: list[Task[Payload]] = []
        for each in priorities:
            held = {line: line.rows for line in self._lines_of(each)}
            latest = {line: line.tasks.latest_first() for line in held}
            spare_rows = sum(held.values()) - kept_rows(each, self._room_rows)
            while missing_rows > 0 and spare_rows > 0:
                largest = max(held, key=held.__getitem__)
                task = next(latest[largest])
                held[largest] -= task.rows
                spare_rows -= task.rows
                missing_rows -= task.rows
                displaced.append(task)
        return displaced

    def _giving_way_alike(self, caller: Hashable, rows: int, room_rows: int) -> list[Task[Payload]]:
        """The tasks of the same priority that give way; none when they are not enough."""
        own = self.lines.get(address_of(caller))
        own_rows = rows if own is None else own.rows + rows
        alike = self._lines_of(priority_of(caller))
        held = {line: line.rows for line in alike if line is not own}
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

    def _all_in_turn(self) -> Iterator[Turn[Payload]]:
        by_priority: dict[Priority, list[Line[Payload]]] = {}
        for line in self.lines.values():
            if line.tasks:
                by_priority.setdefault(line.priority, []).append(line)
        each = {priority: self._alike_in_turn(lines) for priority, lines in by_priority.items()}
        if len(each) == 1:
            (only,) = each.values()
            return only
        return self._by_priority(each)

    def _by_priority(
        self, alike: Mapping[Priority, Iterator[Turn[Payload]]]
    ) -> Iterator[Turn[Payload]]:
        """The turns of several priorities as one."""
        given_rows = dict.fromkeys(alike, 0)
        heads = {each: next(alike[each]) for each in PRIORITIES if each in alike}
        while heads:
            starts = {each: self._clock.start(each, given_rows[each]) for each in heads}
            priority = min(starts, key=starts.__getitem__)  # of several the first, most urgent one
            turn = heads[priority]
            given_rows[priority] += turn.task.rows
            following = next(alike[priority], None)
            if following is None:
                del heads[priority]
            else:
                heads[priority] = following
            yield turn

    def _alike_in_turn(self, lines: Iterable[Line[Payload]]) -> Iterator[Turn[Payload]]:
        """The turns of lines of one priority."""
        heap = [(line.round, line.number, line, iter(line.tasks)) for line in lines]
        heapq.heapify(heap)
        while heap:
            round_, _, line, tasks = heap[0]
            task = next(tasks, None)
            if task is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (round_ + task.rows, next(self._numbers), line, tasks))
                yield Turn(task, line, round_)

    def _lines_of(self, priority: Priority) -> list[Line[Payload]]:
        return [line for line in self.lines.values() if line.priority == priority]

    def _rows_of(self, priority: Priority) -> int:
        return sum(line.rows for line in self._lines_of(priority))

    def _owes(self, line: Line[Payload]) -> bool:
        """Whether a caller has to wait for more rounds than one that nobody knows."""
        return line.round > self.rounds[line.priority] + 1


def _beside(own: Line[Payload], caller: Hashable, rows: int) -> Iterator[Task[Payload]]:
    """What other connections of the same address have more than ``caller`` would have."""
    return own.tasks.latest_first(own.tasks.rows_of(caller) + rows, spared=caller)
