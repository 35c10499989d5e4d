"""The batcher under random schedules: every fate is private, every answer one's own (P1, P3-P9)."""

import asyncio
import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from batchproof_server.base.errors import DeadlineExceeded, Draining, InvalidInput, QueueFull
from batchproof_server.batching.batcher import Batcher
from batchproof_server.batching.replies import BatchedRows
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.selfcheck.choosing import SelfChecks
from batchproof_server.selfcheck.judging import Check
from batchproof_server.selfcheck.settings import SelfCheckSettings
from support.batcher_bench import batcher_on
from support.fakes import FakeClock, PoisonBackend, Poisoned, PuppetDevice, Recorder, settle_loop

if TYPE_CHECKING:
    from concurrent.futures import Future

POISON = -1.0
KNOWN_ROW = -7.0


@dataclass(frozen=True, slots=True)
class Ask:
    """A request; ``patience_s`` None has no deadline."""

    rows: int
    patience_s: int | None
    poisoned: bool


@dataclass(frozen=True, slots=True)
class Cancel:
    """The caller of the request ``back`` before the latest goes away."""

    back: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes."""

    duration_s: int


@dataclass(frozen=True, slots=True)
class Turn:
    """The loop runs for some iterations."""

    iterations: int


@dataclass(frozen=True, slots=True)
class Execute:
    """A device finishes a micro-batch; the loop hears of it in its next turn."""

    on: int


@dataclass(frozen=True, slots=True)
class Drain:
    """The version goes away."""


Step = Ask | Cancel | Wait | Turn | Execute | Drain

asks = st.builds(
    Ask,
    rows=st.integers(1, 4),
    patience_s=st.none() | st.integers(1, 6),
    poisoned=st.sampled_from((False,) * 9 + (True,)),
)
steps: st.SearchStrategy[Step] = st.one_of(
    asks,
    asks,
    asks,
    st.builds(Cancel, st.integers(0, 6)),
    st.builds(Cancel, st.integers(0, 6)),
    st.builds(Wait, st.integers(1, 4)),
    st.builds(Turn, st.integers(1, 4)),
    st.builds(Turn, st.integers(1, 4)),
    st.builds(Execute, st.integers(0, 2)),
    st.builds(Execute, st.integers(0, 2)),
)
schedules = st.tuples(st.lists(steps, min_size=8, max_size=60), st.lists(steps, max_size=6))


@dataclass(slots=True)
class Caller:
    """One request and who waits for its answer."""

    ask: Ask
    task: asyncio.Task[BatchedRows]
    asked_s: float
    answered_s: float = 0.0
    was_cancelled: bool = False


@dataclass(slots=True)
class Play:
    """A schedule as it runs."""

    batcher: Batcher
    clock: FakeClock
    threads: list[PuppetDevice]
    backend: PoisonBackend
    callers: list[Caller] = field(default_factory=list)
    drains: list[asyncio.Task[None]] = field(default_factory=list)

    async def do(self, step: Step) -> None:
        """Takes one step; a step that cannot be taken now is none."""
        match step:
            case Ask():
                self._ask(step)
            case Cancel(back) if back < len(self.callers):
                caller = self.callers[-1 - back]
                caller.was_cancelled |= caller.task.cancel()
            case Wait(duration_s):
                await settle_loop(1)
                self.clock.advance(duration_s)
            case Turn(iterations):
                await settle_loop(iterations)
            case Execute(on) if self.threads[on % len(self.threads)].waiting_jobs:
                self.threads[on % len(self.threads)].run_next()
            case Drain():
                self.drains.append(asyncio.create_task(self.batcher.drain()))
            case _:
                pass

    def _ask(self, ask: Ask) -> None:
        index = float(len(self.callers))
        inputs = np.column_stack([np.full(ask.rows, index), np.arange(ask.rows)])
        if ask.poisoned:
            inputs[:, 1] = POISON
        now_s = self.clock.now_s()
        deadline_s = None if ask.patience_s is None else now_s + ask.patience_s
        submit = self.batcher.submit({"x": inputs}, ask.rows, deadline_s)
        caller = Caller(ask, asyncio.create_task(submit), now_s)
        caller.task.add_done_callback(lambda _: setattr(caller, "answered_s", self.clock.now_s()))
        self.callers.append(caller)

    async def finish(self) -> None:
        """Lets the device finish all that it is given; then everything has been answered."""
        await settle_loop()
        while busy := [thread for thread in self.threads if thread.waiting_jobs]:
            busy[0].run_next()
            await settle_loop()


class WatchedThread(PuppetDevice):
    """Notes in which order requests are handed over, to whichever device."""

    def __init__(self, handed: list[int]) -> None:
        super().__init__()
        self._handed = handed

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Keeps the job."""
        self._handed += [int(part["x"][0, 0]) for part in args[0]]
        return super().submit(fn, *args, **kwargs)


class WatchedChecks(SelfChecks):
    """Notes which executions are checks, and that none begins while a task waits."""

    def __init__(self, share: float, buckets_rows: tuple[int, ...]) -> None:
        super().__init__(SelfCheckSettings(share), (buckets_rows,))
        self.play: Play | None = None
        self.executions: list[int] = []

    def take(self, now_s: float, idle_since_s: float) -> Check | None:
        """Decides as ever."""
        assert self.play is not None
        check = super().take(now_s, idle_since_s)
        if check is not None:
            assert self.play.batcher._queue.settled, "a check was taken while a task waited"
            busy = [thread for thread in self.play.threads if thread.waiting_jobs]
            assert len(busy) < len(self.play.threads), "a check was taken while no device was idle"
            self.executions.append(len(self.play.backend.batches))
        return check


@settings(max_examples=300)
@given(
    schedule=schedules,
    buckets_rows=st.sampled_from([(4,), (2, 4), (1, 2, 4, 8)]),
    spare_rows=st.integers(0, 12),
    delay_s=st.integers(0, 3),
    share=st.sampled_from((0.0, 0.5, 1.0)),
)
def test_every_caller_gets_its_own_fate_under_any_schedule(
    schedule: tuple[list[Step], list[Step]],
    buckets_rows: tuple[int, ...],
    spare_rows: int,
    delay_s: int,
    share: float,
) -> None:
    limits = BatchingSettings(buckets_rows, float(delay_s), buckets_rows[-1] + spare_rows)
    asyncio.run(_play(schedule, limits, WatchedChecks(share, buckets_rows)))


@settings(max_examples=300)
@given(
    schedule=schedules,
    buckets_rows=st.sampled_from([(4,), (2, 4), (1, 2, 4, 8)]),
    spare_rows=st.integers(0, 12),
    delay_s=st.integers(0, 3),
    devices=st.integers(2, 3),
)
def test_every_caller_gets_its_own_fate_from_several_devices_too(
    schedule: tuple[list[Step], list[Step]],
    buckets_rows: tuple[int, ...],
    spare_rows: int,
    delay_s: int,
    devices: int,
) -> None:
    limits = BatchingSettings(buckets_rows, float(delay_s), buckets_rows[-1] + spare_rows)
    asyncio.run(_play(schedule, limits, WatchedChecks(0.0, buckets_rows), devices))


# Few requests with pauses between them: most schedules have room for checks.
pauses: st.SearchStrategy[Step] = st.one_of(
    st.builds(Ask, rows=st.integers(1, 2), patience_s=st.none(), poisoned=st.just(value=False)),
    st.builds(Wait, st.integers(1, 3)),
    st.builds(Turn, st.just(3)),
    st.builds(Execute, st.just(0)),
)


@settings(max_examples=300)
@given(schedule=st.lists(pauses, min_size=20, max_size=60), delay_s=st.integers(0, 3))
def test_a_check_runs_only_while_nobody_waits_under_any_calm_schedule(
    schedule: list[Step], delay_s: int
) -> None:
    limits = BatchingSettings((2, 4), float(delay_s), 8)
    asyncio.run(_play((schedule, []), limits, WatchedChecks(1.0, (2, 4))))


async def _play(
    schedule: tuple[list[Step], list[Step]],
    limits: BatchingSettings,
    checks: WatchedChecks,
    devices: int = 1,
) -> None:
    clock, recorder = FakeClock(), Recorder()
    handed: list[int] = []
    threads: list[PuppetDevice] = [WatchedThread(handed) for _ in range(devices)]
    backend = PoisonBackend(2, poison=POISON)
    batcher = batcher_on(
        threads,
        backend,
        limits,
        clock=clock,
        observer=recorder,
        known_row={"x": np.array([[KNOWN_ROW, 0.0]])},
        self_checks=checks,
    )
    checks.play = play = Play(batcher, clock, threads, backend)
    before, after = schedule
    for step in (*before, Drain(), *after):
        await play.do(step)
    await play.finish()
    assert all(drain.done() for drain in play.drains)
    for number in reversed(checks.executions):  # what callers asked for is what is left
        del backend.batches[number], backend.shapes[number]
    executed = [_members(batch[:, 0].tolist()) for batch in backend.batches]
    for index, caller in enumerate(play.callers):
        _check_fate(index, caller, executed, play)
    first_executions = list(dict.fromkeys(index for index in handed if index != KNOWN_ROW))
    assert first_executions == sorted(first_executions), "a request overtook another"
    _check_bound(executed, play)
    _check_records(recorder, backend, limits)
    results = [record.result for record in recorder.self_checks]
    assert len(results) - results.count("skipped") == len(checks.executions)
    assert "different" not in results


def _members(row_indexes: list[float]) -> list[int]:
    """The callers of a micro-batch, from the first column of its rows; padding repeats the last.

    None are in the execution of the known row.
    """
    return [int(index) for index, _ in itertools.groupby(row_indexes) if index != KNOWN_ROW]


def _check_fate(index: int, caller: Caller, executed: list[list[int]], play: Play) -> None:
    assert caller.task.done(), "a request was forgotten"
    ran_in = [batch for batch in executed if index in batch]
    poisoned = [any(play.callers[member].ask.poisoned for member in batch) for batch in ran_in]
    assert all(poisoned[:-1]), "a request was executed again after it had an answer"
    if caller.was_cancelled:
        assert caller.task.cancelled()
        return
    failure = caller.task.exception()
    match failure:
        case None:
            _check_answer(index, caller, ran_in, play)
        case InvalidInput():
            assert isinstance(failure.__cause__, Poisoned)
            assert caller.ask.poisoned, "one request failed another"
            assert ran_in[-1] == [index], "a request was refused that did not fail alone"
        case DeadlineExceeded():
            assert caller.ask.patience_s is not None
            assert caller.answered_s >= caller.asked_s + caller.ask.patience_s
            assert all(poisoned), "an expired request was executed"
        case _:
            assert isinstance(failure, QueueFull | Draining)
            assert not ran_in, "a refused request was executed"


def _check_answer(index: int, caller: Caller, ran_in: list[list[int]], play: Play) -> None:
    rows = caller.ask.rows
    answer = caller.task.result()
    expected = 2 * np.column_stack([np.full(rows, float(index)), np.arange(rows)]) + 1
    assert answer.outputs["y"].tobytes() == expected.tobytes()
    assert answer.rows == rows <= answer.bucket_rows
    assert not any(play.callers[member].ask.poisoned for member in ran_in[-1])


def _check_bound(executed: list[list[int]], play: Play) -> None:
    """Executing apart takes two executions for each member but one, and one of the known row."""
    poisoned = {index for index, caller in enumerate(play.callers) if caller.ask.poisoned}
    spoilt = [batch for batch in executed if poisoned.intersection(batch)]
    for index in poisoned:
        assert sum(index in batch for batch in spoilt) <= 1 + math.ceil(math.log2(8)) + 1


def _check_records(recorder: Recorder, backend: PoisonBackend, limits: BatchingSettings) -> None:
    buckets = [shape[0] for shape in backend.shapes]
    assert set(buckets) <= set(limits.buckets_rows)
    assert [record.bucket_rows for record in recorder.batches] == buckets
    assert all(rows <= limits.max_queued_rows for rows in recorder.queue_rows)
    assert recorder.queue_rows[-1:] in ([], [0])
