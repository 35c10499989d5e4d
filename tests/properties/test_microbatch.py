"""The micro-batch queue against a plain list, in integer ticks (P3, P4, P6, P7)."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from batchproof_server.base.errors import Draining, QueueFull
from batchproof_server.batching.microbatch import MicroBatchQueue
from batchproof_server.batching.task import Limits, Task

HORIZON_TICKS = 40
"""Further ahead than any delay or deadline below."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A task in the list, and when it came."""

    task: Task[int]
    arrival: int


class ListQueue:
    """The contract in its plainest words: every question is a walk over a list."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.waiting: list[Waiting] = []
        self.lapsed: list[Task[int]] = []
        self.draining = False

    def has_room_for(self, rows: int) -> bool:
        """Whether an offer would be accepted."""
        return not self.draining and self.rows() + rows <= self.limits.max_queued_rows

    def rows(self) -> int:
        """Rows that wait."""
        return sum(entry.task.rows for entry in self.waiting)

    def expired(self, now: int) -> list[Task[int]]:
        """What expire has to return."""
        tasks = [entry.task for entry in self.waiting if is_late(entry.task, now)]
        return self.lapsed + sorted(tasks, key=lambda task: task.deadline or 0)

    def batch(self, now: int, room: int = 1) -> list[Task[int]]:
        """What take has to return: of the live ones the prefix that costs least for each row."""
        live = [entry for entry in self.waiting if not is_late(entry.task, now)]
        if not live or not self._is_due(live, now):
            return []
        lengths = range(len(live), 0, -1)
        prefixes = [[entry.task for entry in live[:length]] for length in lengths]
        share = math.ceil(sum(entry.task.rows for entry in live) / room)
        together = [prefix for prefix in prefixes if self._may_run_together(prefix, share)]
        return min(together, key=self._cost_of_a_row)

    def first_instant(self, now: int) -> int | None:
        """When take or expire would first return something."""
        instants = range(now, now + HORIZON_TICKS)
        return next((t for t in instants if self.batch(t) or self.expired(t)), None)

    def first_expiry(self, now: int) -> int | None:
        """When expire would first return something."""
        instants = range(now, now + HORIZON_TICKS)
        return next((t for t in instants if self.expired(t)), None)

    def _may_run_together(self, tasks: Sequence[Task[int]], share: int) -> bool:
        rows = sum(task.rows for task in tasks)
        is_share = rows <= min(share, self.limits.max_batch_rows) or len(tasks) == 1
        return is_share and len({task.kind for task in tasks}) == 1

    def _cost_of_a_row(self, tasks: Sequence[Task[int]]) -> float:
        rows = sum(task.rows for task in tasks)
        buckets = self.limits.buckets_rows
        if not buckets:
            return -rows
        bucket = min(size for size in buckets if size >= rows)
        if not self.limits.buckets_cost:
            return (bucket + buckets[-1] / 2) / rows
        return self.limits.buckets_cost[buckets.index(bucket)] / rows

    def _is_due(self, live: Sequence[Waiting], now: int) -> bool:
        delay = self.limits.max_queue_delay
        full = sum(entry.task.rows for entry in live) >= self.limits.max_batch_rows
        waited = any(now >= entry.arrival + delay for entry in live)
        doomed = any(is_late(entry.task, entry.arrival + delay) for entry in live)
        return full or waited or doomed or self.draining


def is_late(task: Task[int], now: float) -> bool:
    return task.deadline is not None and task.deadline <= now


class QueueMachine(RuleBasedStateMachine):
    """Any interleaving of offers, withdrawals, ticks, takes, expiries and a drain."""

    accepted: Bundle[Task[int]] = Bundle("accepted")

    @initialize(
        max_batch_rows=st.integers(1, 10),
        spare_rows=st.integers(0, 8),
        max_queue_delay=st.integers(0, 5),
        smaller_buckets=st.none() | st.sets(st.integers(1, 9)),
        costs=st.none() | st.lists(st.integers(1, 12), min_size=10, max_size=10),
    )
    def start(
        self,
        max_batch_rows: int,
        spare_rows: int,
        max_queue_delay: int,
        smaller_buckets: set[int] | None,
        costs: list[int] | None,
    ) -> None:
        """Any limits."""
        smaller = sorted(size for size in smaller_buckets or () if size < max_batch_rows)
        buckets = () if smaller_buckets is None else (*smaller, max_batch_rows)
        limits = Limits(
            max_batch_rows,
            max_batch_rows + spare_rows,
            max_queue_delay,
            buckets,
            tuple(costs[: len(buckets)]) if costs else (),
        )
        self.now = 0
        self.names = itertools.count()
        self.queue: MicroBatchQueue[int] = MicroBatchQueue(limits)
        self.model = ListQueue(limits)
        self.accepted_tasks: list[Task[int]] = []
        self.fates: list[Task[int]] = []

    @rule(
        target=accepted,
        rows=st.integers(1, 6),
        patience=st.none() | st.integers(0, 12),
        kind=st.sampled_from((None, None, None, "other")),
    )
    def offer(self, rows: int, patience: int | None, kind: str | None) -> Task[int]:
        """Accepted exactly when there is room and nothing drains (P7)."""
        rows = min(rows, self.model.limits.max_batch_rows)
        deadline = None if patience is None else self.now + patience
        task = Task(next(self.names), rows, deadline, kind)
        if self.model.has_room_for(rows):
            self.queue.check_room(rows)
            self.queue.offer(task, self.now)
            self.model.waiting.append(Waiting(task, self.now))
            self.accepted_tasks.append(task)
            return task
        refusal = Draining if self.model.draining else QueueFull
        with pytest.raises(refusal):
            self.queue.check_room(rows)
        with pytest.raises(refusal):
            self.queue.offer(task, self.now)
        return task

    @rule(task=accepted)
    def withdraw(self, task: Task[int]) -> None:
        """True exactly for what waits."""
        waits = any(entry.task is task for entry in self.model.waiting)
        assert self.queue.withdraw(task) is waits
        if waits:
            self._meet_fate([task])

    @rule(ticks=st.integers(1, 4))
    def tick(self, ticks: int) -> None:
        """Time passes."""
        self.now += ticks

    @rule(room=st.sampled_from((1, 1, 2, 3)))
    def take(self, room: int) -> None:
        """A prefix of the live tasks, when it is due (P4)."""
        expected = self.model.batch(self.now, room)
        self._lapse()
        taken = self.queue.take(self.now, room)
        assert list(taken) == expected
        self._meet_fate(expected)

    @rule()
    def expire(self) -> None:
        """Exactly what is late (P6); then the rows of the next micro-batch are known."""
        expected = self.model.expired(self.now)
        assert list(self.queue.expire(self.now)) == expected
        self.model.lapsed.clear()
        self._meet_fate(expected)
        if (due := self.model.batch(self.now)) or not self.model.waiting:
            assert self.queue.next_rows() == sum(task.rows for task in due)

    @rule(ahead=st.integers(0, 12))
    def give_up(self, ahead: int) -> None:
        """Exactly what would be too late, as long as somebody is left to be executed."""
        waiting = [entry.task for entry in self.model.waiting]
        hopeless = [task for task in waiting if is_late(task, self.now + ahead - 1)]
        expected = hopeless if len(hopeless) < len(waiting) else []
        assert list(self.queue.give_up(self.now + ahead)) == expected
        self._meet_fate(expected)

    @precondition(lambda self: not self.model.draining)
    @rule(sure=st.integers(0, 9))
    def drain(self, sure: int) -> None:
        """Rarely, for nothing is accepted afterwards."""
        if sure == 0:
            self.queue.drain()
            self.model.draining = True

    @rule(sure=st.integers(0, 9))
    def withdraw_all(self, sure: int) -> None:
        """Rarely, for nothing is left afterwards."""
        if sure == 0:
            expected = [*self.model.lapsed, *(entry.task for entry in self.model.waiting)]
            assert list(self.queue.withdraw_all()) == expected
            self.model.lapsed.clear()
            self._meet_fate(expected)

    @invariant()
    def waits_for_what_the_list_holds(self) -> None:
        """Counts agree, and the bound holds (P7)."""
        assert self.queue.waiting_rows == self.model.rows()
        assert self.queue.waiting_tasks == len(self.model.waiting)
        assert self.queue.waiting_rows <= self.model.limits.max_queued_rows
        assert self.queue.draining is self.model.draining
        assert self.queue.settled is not bool(self.model.waiting or self.model.lapsed)

    @invariant()
    def says_when_it_wants_to_be_asked(self) -> None:
        """The named instants are exact."""
        assert self._from_now(self.queue.due_at()) == self.model.first_instant(self.now)
        assert self._from_now(self.queue.expires_at()) == self.model.first_expiry(self.now)

    def teardown(self) -> None:
        """Every accepted task has met exactly one fate (P3)."""
        if not hasattr(self, "queue"):
            return
        self.queue.drain()
        self.fates += self.queue.expire(self.now)
        while taken := self.queue.take(self.now):
            self.fates += taken
        assert self.queue.settled
        assert sorted(task.payload for task in self.fates) == [
            task.payload for task in self.accepted_tasks
        ]

    def _from_now(self, instant: float | None) -> float | None:
        return None if instant is None else max(instant, self.now)

    def _lapse(self) -> None:
        self.model.lapsed = self.model.expired(self.now)
        lapsed = self.model.lapsed
        self.model.waiting = [
            entry for entry in self.model.waiting if not any(entry.task is task for task in lapsed)
        ]

    def _meet_fate(self, tasks: Sequence[Task[int]]) -> None:
        self.fates += tasks
        self.model.waiting = [
            entry for entry in self.model.waiting if not any(entry.task is task for task in tasks)
        ]


TestQueueMachine = QueueMachine.TestCase

arrivals = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 4), st.none() | st.integers(1, 12)), max_size=30
)


@given(arrivals=arrivals, max_queue_delay=st.integers(0, 5))
def test_an_idle_device_lets_no_task_expire_or_wait_longer_than_the_delay(
    arrivals: list[tuple[int, int, int | None]], max_queue_delay: int
) -> None:
    queue: MicroBatchQueue[int] = MicroBatchQueue(Limits(4, 1_000, max_queue_delay))
    instants = itertools.accumulate(gap for gap, _, _ in arrivals)
    due = [(at, rows, patience) for at, (_, rows, patience) in zip(instants, arrivals, strict=True)]
    waits: list[int] = []
    for now in range(200):
        for _, rows, patience in (arrival for arrival in due if arrival[0] == now):
            queue.offer(Task(now, rows, None if patience is None else now + patience), now)
        while batch := queue.take(now):
            waits += [now - task.payload for task in batch]
        assert queue.expire(now) == ()
    assert len(waits) == len(arrivals)
    assert max(waits, default=0) <= max_queue_delay


seconds = st.floats(0, 1e6, allow_nan=False)


@given(now=seconds, delay=seconds, patience=st.none() | st.floats(1e-9, 1e6))
def test_asking_at_the_instant_that_was_named_is_never_too_early_in_floating_point(
    now: float, delay: float, patience: float | None
) -> None:
    queue: MicroBatchQueue[None] = MicroBatchQueue(Limits(2, 2, delay))
    queue.offer(Task(None, 1, None if patience is None else now + patience), now)
    due_at = queue.due_at()
    assert due_at is not None
    assert queue.take(due_at) or queue.expire(due_at)
