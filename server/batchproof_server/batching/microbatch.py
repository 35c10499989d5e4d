"""Which waiting tasks run together, and when. Pure: time is an argument, and nothing here waits."""

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias

from batchproof_server.base.errors import Draining, QueueFull
from batchproof_server.batching.connections import address_of
from batchproof_server.batching.cost import assumed_costs, cheapest_batch, cheapest_rows
from batchproof_server.batching.task import Limits, Payload, Task
from batchproof_server.batching.turns import Line, Turn, Turns

_Batch: TypeAlias = tuple[Task[Payload], ...]


@dataclass(slots=True)
class _QueueEntry(Generic[Payload]):
    # Emptied when the task leaves: a stale entry of the deadline heap keeps no payload alive.
    task: Task[Payload] | None
    arrival: float
    urgent: bool
    line: Line[Payload]


# Contract
#
# Fate        An accepted task meets exactly one: taken, expired, withdrawn or displaced.
# Order       A micro-batch is a prefix, in order of turns, of the live tasks of one kind, with at
#             most max_batch_rows rows: the one whose bucket costs the least for each of its rows;
#             of several that cost nearly that, the fullest of the smallest bucket. A task is never
#             split. The turns of one connection are those of arrival; several take turns, as
#             ``turns.py`` says.
#             Where there is room for several, each has at most its equal share, or one task.
# Due         A micro-batch is due when max_batch_rows rows wait, when the oldest live task has
#             waited for max_queue_delay, when waiting that long would let a task expire, or when
#             the queue drains. With max_queue_delay = 0 that is whenever a live task waits.
# Bound       waiting_rows <= max_queued_rows. An offer is refused when the queue drains, or when
#             its rows do not fit and no caller that holds more gives way; only then, and always
#             then. Who gives way is displaced: its latest tasks, no more of them than make room.
# Deadline    A task is expired from its deadline on (now >= deadline) and is never taken then.
# Given up    give_up(before) leaves at least one task, or changes nothing.
# Wait        With an idle device a task waits at most max_queue_delay; otherwise at most for the
#             running micro-batch and those of the rows whose turns come before its own.
# Cost        offer, withdraw O(log n); take O(tasks taken); expire O(log n) for each task expired
#             (amortised), of n that wait. With several callers take and refusals O(callers) more.
class MicroBatchQueue(Generic[Payload]):
    """A bounded queue which says what to execute next.

    Args:
        limits: fixed for the queue's life.

    Attributes:
        waiting_rows: rows of the tasks that wait; only to be read, as are the others.
        draining: whether ``drain`` was called.
        turns: of the callers that wait.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._costs = limits.buckets_cost or assumed_costs(limits.buckets_rows)
        self._enough_rows = cheapest_rows(limits.buckets_rows, self._costs, limits.max_batch_rows)
        self._waiting: OrderedDict[Task[Payload], _QueueEntry[Payload]] = OrderedDict()
        self.turns: Turns[Payload] = Turns(limits.max_queued_rows)
        self._lines = self.turns.lines
        # What take returns once due, and whose turns those are when several callers wait.
        self._next: tuple[_Batch[Payload], Sequence[Turn[Payload]]] | None = None
        self._next_most_rows = 0
        self._deadlines: list[tuple[float, int, _QueueEntry[Payload]]] = []
        self._numbers = itertools.count()
        self._lapsed: list[Task[Payload]] = []
        self.waiting_rows = 0
        self._urgent_tasks = 0
        self.draining = False

    @property
    def waiting_tasks(self) -> int:
        """Tasks that wait."""
        return len(self._waiting)

    @property
    def has_enough(self) -> bool:
        """Whether more rows than wait would make the next micro-batch hardly cheaper."""
        return self.waiting_rows >= self._enough_rows

    @property
    def settled(self) -> bool:
        """Whether every accepted task has met its fate."""
        return not self._waiting and not self._lapsed

    def check_room(
        self, rows: int, retry_after_s: float = 0.0, caller: Hashable = ""
    ) -> Sequence[Task[Payload]]:
        """Says which tasks an offer of ``rows`` would displace.

        Args:
            rows: rows of the task.
            retry_after_s: what a refusal tells the caller; the queue knows no durations.
            caller: of the task.

        Raises:
            Draining: nothing new is accepted.
            QueueFull: the rows do not fit.
        """
        if self.draining:
            raise Draining("nothing new is accepted: the server or this version is going away")
        room_rows = self._limits.max_queued_rows - self.waiting_rows
        if rows <= room_rows:
            return ()
        if displaced := self.turns.giving_way(caller, rows, room_rows):
            return displaced
        raise QueueFull(
            f"the queue holds {self.waiting_rows} of {self._limits.max_queued_rows} rows "
            f"and has no room for {rows} more",
            retry_after_s,
        )

    def offer(
        self, task: Task[Payload], now: float, retry_after_s: float = 0.0
    ) -> Sequence[Task[Payload]]:
        """Accepts a task, or refuses it; removes and returns what it displaces.

        Args:
            task: of 1 to ``max_batch_rows`` rows, and not waiting already.
            now: the instant of its arrival; not before that of any earlier call.
            retry_after_s: what a refusal tells the caller.

        Raises:
            Draining: nothing new is accepted.
            QueueFull: the rows do not fit.
            ValueError: the task is of a size that can never be taken, or waits already.
        """
        if not 1 <= task.rows <= self._limits.max_batch_rows:
            raise ValueError(
                f"a task of {task.rows} rows, expected 1 to {self._limits.max_batch_rows}"
            )
        if task in self._waiting:
            raise ValueError("the task waits already")
        displaced: Sequence[Task[Payload]] = ()
        if self.draining or self.waiting_rows + task.rows > self._limits.max_queued_rows:
            displaced = self.check_room(task.rows, retry_after_s, task.caller)
        for each in displaced:
            self._remove(each)
        self._admit(task, now)
        return displaced

    def withdraw(self, task: Task[Payload]) -> bool:
        """Removes a task whose caller went away; whether it was still waiting."""
        if task not in self._waiting:
            return False
        self._remove(task)
        return True

    def withdraw_all(self) -> tuple[Task[Payload], ...]:
        """Removes and returns every task without a fate, in order of arrival."""
        waiting, lapsed, self._lapsed = tuple(self._waiting), self._lapsed, []
        for task in waiting:
            self._remove(task)
        return (*lapsed, *waiting)

    def expire(self, now: float) -> tuple[Task[Payload], ...]:
        """Removes and returns every task whose deadline is ``now`` or earlier, by deadline."""
        if self._deadlines and self._deadlines[0][0] <= now:
            self._lapse(now)
        expired, self._lapsed = tuple(self._lapsed), []
        return expired

    def give_up(self, before: float) -> tuple[Task[Payload], ...]:
        """Removes and returns every task whose deadline is earlier, if any other task waits.

        For tasks that would be executed too late, in the place of others that would not.
        """
        earliest = self.expires_at()
        if earliest is None or earliest >= before:
            return ()
        hopeless = tuple(
            task for task in self._waiting if task.deadline is not None and task.deadline < before
        )
        if len(hopeless) == len(self._waiting):
            return ()
        for task in hopeless:
            self._remove(task)
        return hopeless

    def next_rows(self, room: int = 1) -> int:
        """Rows of the micro-batch that ``take`` returns once it is due; 0 when nothing waits."""
        return sum([task.rows for task in self._next_batch(room)[0]]) if self._waiting else 0

    def take(self, now: float, room: int = 1) -> tuple[Task[Payload], ...]:
        """Removes and returns the next micro-batch if one is due; call it when the device is idle.

        Never takes an expired task: it stays for the next ``expire``. With ``room`` for several
        micro-batches this one has its share of what waits.
        """
        if not self._waiting:
            return ()
        if self._deadlines and self._deadlines[0][0] <= now:
            self._lapse(now)
        release_at = self._release_at()
        if release_at is None or release_at > now:
            return ()
        batch, turns = self._next_batch(room)
        if turns:
            self.turns.take(turns)
        else:
            self._lines[address_of(batch[-1].caller)].tasks.take(batch[-1])
        for task in batch:
            self._remove(task)
        return batch

    def due_at(self) -> float | None:
        """The earliest instant at which ``take`` or ``expire`` would return something.

        None when nothing waits. An instant that has passed means now.
        """
        instants = [each for each in (self._release_at(), self.expires_at()) if each is not None]
        return min(instants, default=None)

    def expires_at(self) -> float | None:
        """The earliest instant at which ``expire`` would return something; None without one."""
        if self._lapsed:
            return self._lapsed[0].deadline
        while self._deadlines and self._deadlines[0][2].task is None:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def drain(self) -> None:
        """Refuses offers from now on; what waits is due at once."""
        self.draining = True

    def _admit(self, task: Task[Payload], now: float) -> None:
        line = self._lines.get(address_of(task.caller))
        if line is None:
            line = self.turns.open_line(task.caller, is_only=not self._waiting)
        line.tasks.add(task)
        line.rows += task.rows
        deadline = task.deadline
        urgent = deadline is not None and deadline <= now + self._limits.max_queue_delay
        place = _QueueEntry(task, now, urgent, line)
        self._waiting[task] = place
        self._next = None
        self.waiting_rows += task.rows
        self._urgent_tasks += urgent
        if deadline is not None:
            # Tasks that left before their deadline leave an entry behind; half may be such.
            if len(self._deadlines) > 2 * len(self._waiting) + _SPARE_DEADLINES:
                self._forget_stale_deadlines()
            heapq.heappush(self._deadlines, (deadline, next(self._numbers), place))

    def _remove(self, task: Task[Payload]) -> None:
        place = self._waiting.pop(task)
        place.task = None
        self._next = None
        self.waiting_rows -= task.rows
        self._urgent_tasks -= place.urgent
        line = place.line
        line.tasks.remove(task)
        line.rows -= task.rows
        if len(self._lines) > 1 and not line.tasks:
            self.turns.close_line(task.caller, line, is_last=not self._waiting)

    def _lapse(self, now: float) -> None:
        while self._deadlines and self._deadlines[0][0] <= now:
            task = heapq.heappop(self._deadlines)[2].task
            if task is not None:
                self._remove(task)
                self._lapsed.append(task)

    def _release_at(self) -> float | None:
        if not self._waiting:
            return None
        oldest = next(iter(self._waiting.values())).arrival
        is_full = self.waiting_rows >= self._limits.max_batch_rows
        if is_full or self._urgent_tasks or self.draining:
            return oldest
        return oldest + self._limits.max_queue_delay

    def _next_batch(self, room: int) -> tuple[_Batch[Payload], Sequence[Turn[Payload]]]:
        limits, rows = self._limits, self._limits.max_batch_rows
        if room > 1:
            rows = min(rows, -(-self.waiting_rows // room))
        if self._next is None or rows != self._next_most_rows:
            self._next_most_rows = rows
            turns = [] if len(self._lines) == 1 else self.turns.in_turn(rows)
            if len(self._waiting) == 1:
                batch = tuple(self._waiting)
            else:
                tasks = [turn.task for turn in turns] or next(iter(self._lines.values())).tasks
                batch = cheapest_batch(tasks, rows, limits.buckets_rows, self._costs)
            self._next = batch, turns[: len(batch)]
        return self._next

    def _forget_stale_deadlines(self) -> None:
        self._deadlines = [entry for entry in self._deadlines if entry[2].task is not None]
        heapq.heapify(self._deadlines)


_SPARE_DEADLINES = 64
