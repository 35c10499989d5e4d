"""Two callers at one queue, in virtual time: a greedy one, and one that asks now and then.

    python benchmarks/shares.py [--seconds 20]

The real micro-batch queue, and a device whose executions take 2 ms and half a millisecond for each
row of the bucket. The greedy caller asks anew whenever one of its requests ends, and again after
the pushback whenever one is refused. The polite caller asks for one row every 20 ms. "One caller"
is what the queue did without shares: it took all requests for those of one caller; and "each
connection a caller" what it did while an address had as many shares as connections. With priorities
the polite caller's is named first, and greedy requests have 32 rows. Every run gives the same
figures.
"""

import argparse
import heapq
import itertools
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from batchproof_server.base.errors import QueueFull
from batchproof_server.base.priorities import Priority
from batchproof_server.batching.admission import bucket_for
from batchproof_server.batching.microbatch import MicroBatchQueue
from batchproof_server.batching.priorities import with_priority
from batchproof_server.batching.task import Limits, Task

BUCKETS_ROWS: Final = (2, 4, 8, 16, 32)
LIMITS: Final = Limits(
    max_batch_rows=32,
    max_queued_rows=512,
    max_queue_delay=0.0,
    buckets_rows=BUCKETS_ROWS,
    buckets_cost=tuple(0.002 + 0.0005 * rows for rows in BUCKETS_ROWS),
)
GREEDY: Final = "greedy"
POLITE: Final = "polite"
_GREEDY_IN_FLIGHT: Final = 1_000
_PUSHBACK_S: Final = 0.05


@dataclass
class Outcome:
    """What became of the requests of each caller.

    Attributes:
        asked, answered, refused, displaced: how many; refused on arrival, displaced later.
        latencies_s: of those that were answered.
        busy_s: how long the device executed.
    """

    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    displaced: Counter[str] = field(default_factory=Counter)
    latencies_s: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    busy_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Request:
    caller: str
    asked_s: float


@dataclass(frozen=True, slots=True)
class Habits:
    """How one caller asks.

    Attributes:
        peers: of its connections, which it uses in turn.
        rows: of each request.
        priority: of each request.
        every_s: when it asks again, where it does not wait for its answers.
    """

    peers: Sequence[str]
    rows: int = 1
    priority: Priority = "default"
    every_s: float = 0.02


class Simulation:
    """One queue, one device and their callers.

    Args:
        callers: of ``GREEDY`` and ``POLITE`` who asks, and how.
        has_shares: whether the queue knows them apart.
    """

    def __init__(self, callers: Mapping[str, Habits], *, has_shares: bool = True) -> None:
        self.outcome = Outcome()
        self._queue: MicroBatchQueue[_Request] = MicroBatchQueue(LIMITS)
        self._callers = callers
        self._has_shares = has_shares
        self._peers = {caller: itertools.cycle(each.peers) for caller, each in callers.items()}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._now_s = 0.0
        self._is_busy = False

    def run(self, duration_s: float) -> Outcome:
        """Plays so long, in no time."""
        if GREEDY in self._callers:
            for _ in range(_GREEDY_IN_FLIGHT):
                self._at(0.0, partial(self._ask, GREEDY))
        if (polite := self._callers.get(POLITE)) is not None:
            for number in range(int(duration_s / polite.every_s)):
                self._at(number * polite.every_s, partial(self._ask, POLITE))
        while self._events and self._events[0][0] <= duration_s:
            self._now_s, _, happen = heapq.heappop(self._events)
            happen()
            if not self._is_busy:
                self._start()
        return self.outcome

    def _at(self, when_s: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when_s, next(self._numbers), happen))

    def _ask(self, caller: str) -> None:
        self.outcome.asked[caller] += 1
        request, habits = _Request(caller, self._now_s), self._callers[caller]
        peer = next(self._peers[caller]) if self._has_shares else ""
        task = Task(request, habits.rows, caller=with_priority(peer, habits.priority))
        try:
            displaced = self._queue.offer(task, self._now_s)
        except QueueFull:
            self._fail(task, self.outcome.refused)
            return
        for each in displaced:
            self._fail(each, self.outcome.displaced)

    def _fail(self, task: Task[_Request], counted: Counter[str]) -> None:
        counted[task.payload.caller] += 1
        self._ask_again(task, _PUSHBACK_S)

    def _ask_again(self, task: Task[_Request], after_s: float) -> None:
        if task.payload.caller == GREEDY:
            self._at(self._now_s + after_s, partial(self._ask, GREEDY))

    def _start(self) -> None:
        if taken := self._queue.take(self._now_s):
            rows = bucket_for(sum(task.rows for task in taken), BUCKETS_ROWS)
            execution_s = LIMITS.buckets_cost[BUCKETS_ROWS.index(rows)]
            self._is_busy = True
            self.outcome.busy_s += execution_s
            self._at(self._now_s + execution_s, partial(self._finish, taken))

    def _finish(self, taken: tuple[Task[_Request], ...]) -> None:
        self._is_busy = False
        for task in taken:
            request = task.payload
            self.outcome.answered[request.caller] += 1
            self.outcome.latencies_s[request.caller].append(self._now_s - request.asked_s)
            self._ask_again(task, 0.0)


_PAIRS: Final[tuple[tuple[Priority, Priority], ...]] = (
    ("default", "default"),
    ("critical", "default"),
    ("critical", "best_effort"),
    ("default", "critical"),
    ("best_effort", "critical"),
)


def cases() -> dict[str, Simulation]:
    """What is compared, by name."""
    greedy, polite = Habits([f"{GREEDY}:1"]), Habits([f"{POLITE}:1"])
    large = replace(greedy, rows=32)
    both = {GREEDY: greedy, POLITE: polite}
    unknown = Habits([f"connection {number}" for number in range(200)])
    crowd = Habits([f"{GREEDY}:{number}" for number in range(200)])
    beside = Habits([f"{GREEDY}:polite"])
    return {
        "one caller": Simulation(both, has_shares=False),
        "shares": Simulation(both),
        "shares, greedy requests of 32 rows": Simulation({**both, GREEDY: large}),
        "each connection a caller, greedy 200": Simulation({**both, GREEDY: unknown}),
        "shares, greedy 200 connections": Simulation({**both, GREEDY: crowd}),
        "shares, both at one address": Simulation({**both, POLITE: beside}),
        **{
            f"{own}, greedy {other}": Simulation(
                {GREEDY: replace(large, priority=other), POLITE: replace(polite, priority=own)}
            )
            for own, other in _PAIRS
        },
        "critical every ms, greedy best_effort": Simulation(
            {
                GREEDY: replace(greedy, priority="best_effort"),
                POLITE: replace(polite, priority="critical", every_s=0.001),
            }
        ),
        "shares, greedy alone": Simulation({GREEDY: greedy}),
        "shares, polite alone": Simulation({POLITE: polite}),
    }


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description="A greedy and a polite caller at one queue.")
    parser.add_argument("--seconds", type=float, default=20.0, help="of virtual time")
    duration_s = parser.parse_args().seconds
    print(f"{'':<37} {'caller':<7} answered/s refused  gave way  median ms  p99 ms  busy")
    for name, simulation in cases().items():
        outcome = simulation.run(duration_s)
        for caller in sorted(outcome.asked):
            _print(name, caller, outcome, duration_s)


def _print(name: str, caller: str, outcome: Outcome, duration_s: float) -> None:
    latencies_ms = sorted(1000 * each for each in outcome.latencies_s[caller]) or [float("nan")]
    p99_ms = latencies_ms[int(0.99 * (len(latencies_ms) - 1))]
    refused = outcome.refused[caller] / outcome.asked[caller]
    print(
        f"{name:<37} {caller:<7} {outcome.answered[caller] / duration_s:>10.1f} {refused:>7.1%} "
        f"{outcome.displaced[caller]:>9} {statistics.median(latencies_ms):>10.1f} {p99_ms:>7.1f} "
        f"{outcome.busy_s / duration_s:>5.0%}"
    )


if __name__ == "__main__":
    main()
