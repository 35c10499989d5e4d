"""Callers of several priorities at one queue, under any schedule, in integer ticks."""

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from batchproof_server.base.errors import QueueFull
from batchproof_server.base.priorities import PRIORITIES, Priority, is_above
from batchproof_server.batching.microbatch import MicroBatchQueue
from batchproof_server.batching.priorities import (
    WEIGHTS,
    kept_rows,
    priority_of,
    with_priority,
)
from batchproof_server.batching.task import Limits, Task
from support.queue_steps import Take, Withdraw

LARGEST_TASK_ROWS = 4
CALLERS = ("ipv4:10.0.0.1:1", "ipv4:10.0.0.1:2", "ipv4:10.0.0.2:1")


@dataclass(frozen=True, slots=True)
class Offer:
    """A task of one caller; ``patience`` None has no deadline."""

    caller: str
    priority: Priority
    rows: int
    patience: int | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passes, and what is late expires."""


Step = Offer | Take | Withdraw | Tick

offers = st.builds(
    Offer,
    st.sampled_from(CALLERS),
    st.sampled_from(PRIORITIES),
    st.integers(1, LARGEST_TASK_ROWS),
    st.none() | st.none() | st.integers(1, 9),
)
schedules = st.lists(
    st.one_of(
        offers,
        offers,
        offers,
        st.builds(Take),
        st.builds(Take),
        st.builds(Withdraw, st.integers(0, 9)),
        st.builds(Tick),
    ),
    max_size=100,
)
limits = st.builds(
    Limits,
    max_batch_rows=st.just(8),
    max_queued_rows=st.sampled_from([8, 12, 40, 160]),
    max_queue_delay=st.just(0),
    buckets_rows=st.sampled_from([(), (8,), (2, 4, 8)]),
)


@dataclass
class Play:
    """A queue, and what became of every task."""

    limits: Limits
    now: int = 0
    accepted: list[Task[int]] = field(default_factory=list)
    fates: dict[str, list[Task[int]]] = field(default_factory=lambda: defaultdict(list))
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.queue: MicroBatchQueue[int] = MicroBatchQueue(self.limits)

    def waiting(self) -> list[Task[int]]:
        """Accepted tasks without a fate."""
        gone = {task.payload for tasks in self.fates.values() for task in tasks}
        return [task for task in self.accepted if task.payload not in gone]

    def held(self) -> Counter[Priority]:
        """Rows that wait, by priority."""
        rows: Counter[Priority] = Counter()
        for task in self.waiting():
            rows[priority_of(task.caller)] += task.rows
        return rows

    def do(self, step: Step) -> tuple[Task[int], ...]:
        """Takes one step; what was taken by it."""
        match step:
            case Offer():
                self.offer(step)
            case Take():
                return self.take()
            case Withdraw(back) if back < len(self.accepted):
                task = self.accepted[-1 - back]
                if self.queue.withdraw(task):
                    self.fates["withdrawn"].append(task)
            case Tick():
                self.now += 1
                self.fates["expired"] += self.queue.expire(self.now)
            case _:
                pass
        return ()

    def offer(self, offer: Offer) -> None:
        """Offers a task and checks what the queue decides."""
        deadline = None if offer.patience is None else self.now + offer.patience
        caller = with_priority(offer.caller, offer.priority)
        task = Task(next(self.numbers), offer.rows, deadline, None, caller)
        held = self.held()
        room_rows = self.limits.max_queued_rows - held.total()
        kept = {each: kept_rows(each, self.limits.max_queued_rows) for each in PRIORITIES}
        is_within = held[offer.priority] + offer.rows <= kept[offer.priority]
        spare_rows = {
            each: held[each] - kept[each]
            for each in PRIORITIES
            if is_above(offer.priority, each) or (is_within and each != offer.priority)
        }
        try:
            displaced = self.queue.offer(task, self.now)
        except QueueFull:
            assert not is_within, "a priority was refused what it keeps"
            missing_rows = offer.rows - room_rows
            assert missing_rows > sum(max(0, each) for each in spare_rows.values()), (
                "a task was refused that less urgent ones would have given way to"
            )
            return
        for each in displaced:
            lower = priority_of(each.caller)
            if lower != offer.priority:
                assert lower in spare_rows, "a more urgent task gave way beyond what is kept"
                assert spare_rows[lower] > 0, "a priority lost what it keeps"
                spare_rows[lower] -= each.rows
        self.accepted.append(task)
        self.fates["displaced"] += displaced

    def take(self) -> tuple[Task[int], ...]:
        """Takes a micro-batch; work is conserved."""
        is_live = [task.deadline is None or task.deadline > self.now for task in self.waiting()]
        taken = self.queue.take(self.now)
        assert bool(taken) is any(is_live), "the device idles while tasks wait"
        self.fates["taken"] += taken
        return taken


@settings(max_examples=300)
@given(limits=limits, schedule=schedules)
def test_every_accepted_task_of_every_priority_meets_exactly_one_fate(
    limits: Limits, schedule: list[Step]
) -> None:
    play = Play(limits)
    for step in schedule:
        play.do(step)
        assert play.queue.waiting_rows == play.held().total() <= limits.max_queued_rows
    play.fates["expired"] += play.queue.expire(play.now)
    while play.take():
        pass
    fates = [task.payload for tasks in play.fates.values() for task in tasks]
    assert sorted(fates) == [task.payload for task in play.accepted]
    order: dict[object, list[int]] = defaultdict(list)
    for task in play.fates["taken"]:
        order[task.caller].append(task.payload)
    assert all(each == sorted(each) for each in order.values()), "a caller overtook itself"


@settings(max_examples=300)
@given(limits=limits, schedule=schedules)
def test_of_two_priorities_that_wait_throughout_each_is_given_rows_by_its_weight(
    limits: Limits, schedule: list[Step]
) -> None:
    play = Play(limits)
    # Rows that both were given, from every moment on since which both have waited.
    since: dict[tuple[Priority, Priority], list[Counter[Priority]]] = defaultdict(list)
    for step in schedule:
        before = play.held()
        taken = play.do(step)
        for pair in itertools.combinations(PRIORITIES, 2):
            if not all(before[each] for each in pair):
                since[pair].clear()
            left = Counter(before)
            for task in taken:
                if not all(left[each] for each in pair):
                    break
                priority = priority_of(task.caller)
                left[priority] -= task.rows
                for given_rows in since[pair]:
                    given_rows[priority] += task.rows
                    one, other = (given_rows[each] / WEIGHTS[each] for each in pair)
                    most = sum(LARGEST_TASK_ROWS / WEIGHTS[each] for each in pair)
                    assert abs(one - other) <= most + 1e-9
            if all(play.held()[each] for each in pair):
                since[pair].append(Counter())


@given(
    rows=st.lists(st.integers(1, LARGEST_TASK_ROWS), min_size=2, max_size=2),
    priority=st.sampled_from(PRIORITIES[1:]),
    urgent_rows=st.integers(1, LARGEST_TASK_ROWS),
)
def test_no_flood_of_critical_tasks_starves_who_waits(
    rows: list[int], priority: Priority, urgent_rows: int
) -> None:
    queue: MicroBatchQueue[str] = MicroBatchQueue(Limits(8, 10_000, 0))
    critical = with_priority("a", "critical")
    for each in rows:
        queue.offer(Task("waits", each, caller=with_priority("b", priority)), 0)
    urgent_given, left = 0, len(rows)
    while left:
        while queue.waiting_rows < 40:
            queue.offer(Task("urgent", urgent_rows, caller=critical), 0)
        for task in queue.take(0):
            left -= task.payload == "waits"
            urgent_given += task.rows * (task.payload == "urgent" and left > 0)
    # The second one starts so much after the first one.
    assert urgent_given <= rows[0] * WEIGHTS["critical"] // WEIGHTS[priority] + LARGEST_TASK_ROWS


@given(others=st.lists(offers, max_size=60))
def test_a_critical_task_that_comes_alone_is_in_the_next_micro_batch(others: list[Offer]) -> None:
    queue: MicroBatchQueue[str] = MicroBatchQueue(Limits(8, 10_000, 0))
    for each in others:
        if each.priority != "critical":
            queue.offer(
                Task("other", each.rows, caller=with_priority(each.caller, each.priority)), 0
            )
            if each.patience is not None:
                queue.take(0)
    queue.offer(Task("urgent", 1, caller=with_priority("urgent", "critical")), 0)
    assert queue.take(0)[0].payload == "urgent"


@settings(max_examples=300)
@given(limits=limits, schedule=schedules)
def test_a_caller_owes_nothing_where_nobody_of_its_priority_waits(
    limits: Limits, schedule: list[Step]
) -> None:
    play = Play(limits)
    for step in schedule:
        waited = play.held()
        before = set(play.queue.turns.lines)
        if play.do(step) and len(before) > 1:
            owing = [line for line in play.queue.turns.lines.values() if not line.tasks]
            assert all(waited[line.priority] for line in owing)
