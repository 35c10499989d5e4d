"""The shares of several callers in one queue, under any schedule, in integer ticks."""

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from batchproof_server.base.errors import QueueFull
from batchproof_server.batching.microbatch import MicroBatchQueue
from batchproof_server.batching.task import Limits, Task
from support.queue_steps import Take, Withdraw

CALLERS = ("a", "b", "c", "d")


@dataclass(frozen=True, slots=True)
class Offer:
    """A task of one caller; ``patience`` None has no deadline."""

    caller: str
    rows: int
    patience: int | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passes, and what is late expires."""

    ticks: int


Step = Offer | Take | Withdraw | Tick

offers = st.builds(
    Offer, st.sampled_from(CALLERS), st.integers(1, 4), st.none() | st.integers(1, 9)
)
lasting = st.builds(Offer, st.sampled_from(CALLERS), st.integers(1, 4))
schedules = st.lists(
    st.one_of(
        offers,
        lasting,
        lasting,
        st.builds(Take),
        st.builds(Take),
        st.builds(Withdraw, st.integers(0, 9)),
        st.builds(Tick, st.integers(1, 3)),
    ),
    max_size=80,
)
limits = st.builds(
    Limits,
    max_batch_rows=st.just(8),
    max_queued_rows=st.integers(8, 24),
    max_queue_delay=st.just(0),
    buckets_rows=st.sampled_from([(), (8,), (2, 4, 8), (1, 3, 8)]),
)
LARGEST_TASK_ROWS = 4
# Each caller an address, or each a connection of the same one: both share alike.
hosts = st.sampled_from(["", "ipv4:10.0.0.1:"])


@dataclass
class Play:
    """A queue, and what became of every task.

    Attributes:
        limits: of the queue.
        host: whose connections the callers are; empty when each is an address.
    """

    limits: Limits
    host: str = ""
    now: int = 0
    accepted: list[Task[int]] = field(default_factory=list)
    fates: dict[str, list[Task[int]]] = field(default_factory=lambda: defaultdict(list))
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.queue: MicroBatchQueue[int] = MicroBatchQueue(self.limits)

    def waiting(self) -> list[Task[int]]:
        """Accepted tasks without a fate."""
        gone = {id(task) for tasks in self.fates.values() for task in tasks}
        return [task for task in self.accepted if id(task) not in gone]

    def held(self) -> Counter[str]:
        """Rows that wait, by caller."""
        rows: Counter[str] = Counter()
        for task in self.waiting():
            rows[self.name(task)] += task.rows
        return rows

    def name(self, task: Task[int]) -> str:
        """Whose it is."""
        return str(task.caller).removeprefix(self.host)

    def do(self, step: Step) -> None:
        """Takes one step."""
        match step:
            case Offer():
                self.offer(step)
            case Take():
                self.take()
            case Withdraw(back) if back < len(self.accepted):
                task = self.accepted[-1 - back]
                if self.queue.withdraw(task):
                    self.fates["withdrawn"].append(task)
            case Tick(ticks):
                self.now += ticks
                self.fates["expired"] += self.queue.expire(self.now)
            case _:
                pass

    def offer(self, offer: Offer) -> bool:
        """Offers a task and checks what the queue decides; whether it was accepted."""
        deadline = None if offer.patience is None else self.now + offer.patience
        task = Task(next(self.numbers), offer.rows, deadline, None, self.host + offer.caller)
        held = self.held()
        fits = held.total() + offer.rows <= self.limits.max_queued_rows
        wanted = held[offer.caller] + offer.rows
        share = self.share(held, offer.caller)
        try:
            displaced = self.queue.offer(task, self.now)
        except QueueFull:
            assert not fits, "a task was refused that fits"
            assert wanted > share, "a caller was refused within its equal share"
            return False
        assert bool(displaced) is not fits, "tasks were displaced without need"
        for each in displaced:
            assert self.name(each) != offer.caller
            assert held[self.name(each)] > share, "a caller gave way within its equal share"
        self.accepted.append(task)
        self.fates["displaced"] += displaced
        return True

    def share(self, held: Counter[str], caller: str) -> float:
        """The rows that every caller may have; no more than those of its own address share."""
        callers = {*held, caller}
        if any(":" in each for each in callers):
            addresses = {each.partition(":")[0] for each in callers}
            return self.limits.max_queued_rows / len(addresses) / len(callers)
        return self.limits.max_queued_rows / len(callers)

    def take(self) -> tuple[Task[int], ...]:
        """Takes a micro-batch; work is conserved."""
        late = [
            task
            for task in self.waiting()
            if task.deadline is not None and task.deadline <= self.now
        ]
        taken = self.queue.take(self.now)
        assert bool(taken) is (len(late) < len(self.waiting())), "the device idles while tasks wait"
        self.fates["taken"] += taken
        return taken


@settings(max_examples=300)
@given(limits=limits, schedule=schedules, host=hosts)
def test_every_accepted_task_meets_exactly_one_fate_and_no_share_is_taken_away(
    limits: Limits, schedule: list[Step], host: str
) -> None:
    play = Play(limits, host)
    for step in schedule:
        play.do(step)
        assert play.queue.waiting_rows <= limits.max_queued_rows
    play.fates["expired"] += play.queue.expire(play.now)
    while play.take():
        pass
    fates = [task.payload for tasks in play.fates.values() for task in tasks]
    assert sorted(fates) == [task.payload for task in play.accepted]
    for caller in CALLERS:
        order = [task.payload for task in play.fates["taken"] if play.name(task) == caller]
        assert order == sorted(order), "a caller was overtaken by itself"


@settings(max_examples=300)
@given(limits=limits, schedule=schedules, host=hosts)
def test_of_two_callers_that_wait_throughout_none_gets_more_than_their_two_largest_tasks(
    limits: Limits, schedule: list[Step], host: str
) -> None:
    play = Play(limits, host)
    # Rows that both were given, from every moment on since which both have waited.
    since: dict[tuple[str, str], list[Counter[str]]] = defaultdict(list)
    for step in schedule:
        before = play.held()
        taken = len(play.fates["taken"])
        play.do(step)
        held = play.held()
        for pair in itertools.combinations(CALLERS, 2):
            if not all(before[each] for each in pair):
                since[pair].clear()
            if isinstance(step, Take) and all(before[each] for each in pair):
                given_now = [(play.name(task), task.rows) for task in play.fates["taken"][taken:]]
                _count_turns(since[pair], pair, before, given_now)
            if all(held[each] for each in pair):
                since[pair].append(Counter())


def _count_turns(
    windows: list[Counter[str]],
    pair: tuple[str, str],
    before: Counter[str],
    taken: list[tuple[str, int]],
) -> None:
    left = Counter(before)
    for caller, rows in taken:
        if not all(left[each] for each in pair):
            break
        left[caller] -= rows
        for given_rows in windows:
            given_rows[caller] += rows
            one, other = (given_rows[each] for each in pair)
            assert abs(one - other) <= 2 * LARGEST_TASK_ROWS


@settings(max_examples=300)
@given(limits=limits, schedule=schedules, connections=st.integers(1, 40))
def test_an_address_is_given_no_more_for_having_many_connections(
    limits: Limits, schedule: list[Step], connections: int
) -> None:
    play = Play(limits)
    numbers = itertools.cycle(range(connections))
    windows: list[Counter[str]] = []
    for step in schedule:
        before, taken = _by_address(play.held()), len(play.fates["taken"])
        if isinstance(step, Offer):
            # "a" and "b" have one connection each; the others are those of one address.
            many = f"crowd:{next(numbers)}" if step.caller in "cd" else f"{step.caller}:1"
            play.do(Offer(many, step.rows, step.patience))
        else:
            play.do(step)
        if not (before["a"] and before["crowd"]):
            windows.clear()
        if isinstance(step, Take) and before["a"] and before["crowd"]:
            given_now = [
                (str(task.caller).partition(":")[0], task.rows)
                for task in play.fates["taken"][taken:]
            ]
            _count_turns(windows, ("a", "crowd"), before, given_now)
        held = _by_address(play.held())
        if held["a"] and held["crowd"]:
            windows.append(Counter())


def _by_address(held: Counter[str]) -> Counter[str]:
    rows: Counter[str] = Counter()
    for caller, count in held.items():
        rows[caller.partition(":")[0]] += count
    return rows


@given(
    sizes=st.dictionaries(
        st.sampled_from(CALLERS),
        st.lists(st.integers(1, 4), min_size=12, max_size=12),
        min_size=2,
    ),
    max_batch_rows=st.integers(4, 9),
)
def test_callers_that_begin_together_stay_within_one_row_and_the_largest_task(
    sizes: dict[str, list[int]], max_batch_rows: int
) -> None:
    queue: MicroBatchQueue[int] = MicroBatchQueue(Limits(max_batch_rows, 1_000, 0))
    largest = max(max(rows) for rows in sizes.values())
    for number in range(12):
        for caller, rows in sizes.items():
            queue.offer(Task(number, rows[number], caller=caller), 0)
    left = {caller: sum(rows) for caller, rows in sizes.items()}
    given_rows: Counter[str] = Counter()
    while all(left.values()):
        for task in queue.take(0):
            if all(left.values()):
                given_rows[str(task.caller)] += task.rows
            left[str(task.caller)] -= task.rows
            counts = [given_rows[caller] for caller in sizes]
            assert max(counts) - min(counts) <= 1 + largest


@given(
    newcomers=st.lists(st.integers(0, 5), min_size=20, max_size=60),
    rows=st.integers(1, 4),
    host=hosts,
)
def test_no_stream_of_newcomers_starves_who_waits(
    newcomers: list[int], rows: int, host: str
) -> None:
    queue: MicroBatchQueue[str] = MicroBatchQueue(Limits(4, 10_000, 0))
    names = itertools.count()
    for _ in range(3):
        queue.offer(Task("waits", rows, caller=f"{host}waits"), 0)
    arrived, turns = 0, 0
    for count in newcomers:
        for _ in range(count):
            queue.offer(Task("new", 1, caller=f"{host}new {next(names)}"), 0)
            arrived += 1
        turns += 1
        if any(task.payload == "waits" for task in queue.take(0)):
            break
    # Within an address a task of several rows is due as many rounds later.
    assert turns <= 3 + (rows - 1 if host else 0)


@settings(max_examples=300)
@given(limits=limits, schedule=schedules)
def test_a_caller_is_forgotten_with_its_last_task_and_its_debt(
    limits: Limits, schedule: list[Step]
) -> None:
    play = Play(limits)
    for step in schedule:
        play.do(step)
        lines = play.queue.turns.lines
        held = play.held()
        assert set(held) <= set(map(str, lines))
        owing = [line for caller, line in lines.items() if not held[str(caller)]]
        if held.total() and len(lines) > 1:
            debts = [line.round - play.queue.turns.rounds["default"] for line in owing]
            assert all(2 <= debt <= LARGEST_TASK_ROWS for debt in debts)
        else:
            assert len(lines) <= 1


def test_thousands_of_callers_that_come_and_go_leave_nothing_behind() -> None:
    queue: MicroBatchQueue[None] = MicroBatchQueue(Limits(4, 16, 0))
    queue.offer(Task(None, 1, caller="stays"), 0)
    for number in range(20_000):
        task = Task(None, 4, caller=f"peer {number}")
        queue.offer(task, 0)
        if number % 2:
            queue.withdraw(task)
        else:
            queue.take(0)
        if queue.waiting_rows < 4:
            queue.offer(Task(None, 1, caller="stays"), 0)
        assert len(queue.turns.lines) <= 16
    while queue.take(0):
        pass
    assert len(queue.turns.lines) <= 1
