"""Sends items in time, in one process and on one event loop."""

import asyncio
import itertools
import math
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from batchproof_client.loadtest.arrivals import (
    WARM_UP_STEP,
    Arrival,
    Arrivals,
    ClosedLoop,
    OpenLoop,
    first_measured,
    schedule,
    share_of,
)
from batchproof_client.loadtest.identical import Identity
from batchproof_client.loadtest.items import Item
from batchproof_client.loadtest.mix import picks
from batchproof_client.loadtest.record import Recorder, Sample
from batchproof_client.loadtest.target import DEADLINE_EXCEEDED, Outcome, Target


@dataclass(frozen=True, slots=True)
class Work:
    """What one process does.

    Attributes:
        items: to send.
        arrivals: of all processes together; a closed loop: of this one.
        timeout_s: from the due instant of each request.
        count: measured requests, after which it ends; None for the arrivals' own end. An open loop:
            of all processes together; a closed loop: of this one.
        worker: number of this process.
        workers: how many there are.
        seed: of the choice among the items.
    """

    items: tuple[Item, ...]
    arrivals: Arrivals
    timeout_s: float
    count: int | None = None
    worker: int = 0
    workers: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """How the sending ended.

    Attributes:
        ended_s: since the start, until which requests were due; a closed loop: the last answer.
        abandoned: requests under way when the user stopped the run.
    """

    ended_s: float
    abandoned: int


# Contract
#
#   - a request is sent at its due instant, however many earlier ones are unanswered: the schedule
#     never waits for the server;
#   - every request that was due ends as one sample, or as one abandoned when the run is stopped;
#   - latency counts from the due instant, so a request that had to wait here still shows its wait.
class Runner:
    """One run.

    Args:
        work: what to do.
        targets: connections, used in turn.
        recorder: of every request.
        identity: of the answers, when they are compared.
    """

    def __init__(
        self,
        work: Work,
        targets: Sequence[Target],
        recorder: Recorder,
        identity: Identity | None = None,
    ) -> None:
        self._work = work
        self._targets = itertools.cycle(targets)
        self._recorder = recorder
        self._identity = identity
        self._picks = picks([item.weight for item in work.items], (work.seed, work.worker))
        self._loop = asyncio.get_running_loop()
        self._start_s = math.nan
        self._last_done_s = 0.0
        self._under_way: set[asyncio.Task[None]] = set()
        self._faults: list[BaseException] = []

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return len(self._under_way)

    async def run(self, start_s: float, stop: asyncio.Event) -> Ending:
        """Runs until the arrivals end and the last request has ended, or until it is stopped.

        Args:
            start_s: on the loop's clock.
            stop: ends the run at once when set.
        """
        self._start_s = start_s
        arrivals = self._work.arrivals
        sending = asyncio.create_task(
            self._send_closed(arrivals)
            if isinstance(arrivals, ClosedLoop)
            else self._send_open(arrivals)
        )
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((sending, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if sending.done():
            return Ending(self._end_s(), sending.result())
        return Ending(self._now_s(), await self._abandon(sending))

    async def _send_open(self, load: OpenLoop) -> int:
        measured = first_measured(schedule(load), self._work.count)
        for arrival in share_of(measured, self._work.worker, self._work.workers):
            # Also when late: the loop must get its turn to read answers.
            await asyncio.sleep(max(0.0, arrival.due_s - self._now_s()))
            self._launch(self._send_one(arrival))
        return await self._all_ended()

    async def _all_ended(self) -> int:
        while self._under_way:
            await asyncio.wait(self._under_way)
        if self._faults:
            raise self._faults[0]
        return 0

    async def _send_closed(self, load: ClosedLoop) -> int:
        await asyncio.sleep(max(0.0, -self._now_s()))
        dues = self._dues(load)
        for _ in range(load.concurrency):
            self._launch(self._call_on(dues))
        return await self._all_ended()

    async def _call_on(self, dues: Iterator[Arrival]) -> None:
        for due in dues:
            await self._send_one(due)

    def _dues(self, load: ClosedLoop) -> Iterator[Arrival]:
        """The next request of a caller is due when it asks for it."""
        left = math.inf if self._work.count is None else self._work.count
        while (now_s := self._now_s()) < load.warm_up_s + load.duration_s and left > 0:
            warming_up = now_s < load.warm_up_s
            left -= not warming_up
            yield Arrival(now_s, WARM_UP_STEP if warming_up else 0)

    def _launch(self, sending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(sending)
        self._under_way.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        fault = None if task.cancelled() else task.exception()
        if fault is not None:  # a bug of ours: no target raises
            self._faults.append(fault)

    async def _send_one(self, arrival: Arrival) -> None:
        number = next(self._picks)
        item = self._work.items[number]
        target = next(self._targets)
        sent_s = self._now_s()
        self._recorder.sent(sent_s, arrival.step)
        remaining_s = arrival.due_s + self._work.timeout_s - sent_s
        if remaining_s > 0:
            outcome = (await target.send(item, remaining_s)).to(item)
        else:
            outcome = Outcome(DEADLINE_EXCEEDED)
        done_s = self._last_done_s = self._now_s()
        self._recorder.ended(
            Sample(arrival.due_s, sent_s, done_s, arrival.step, item.rows, outcome)
        )
        if self._identity is not None and outcome.answer is not None:
            buckets_rows = tuple(each.bucket_rows for each in outcome.executions)
            self._identity.record(number, outcome.answer, buckets_rows)

    async def _abandon(self, sending: asyncio.Task[int]) -> int:
        abandoned = list(self._under_way)
        for task in (sending, *abandoned):
            task.cancel()
        await asyncio.gather(sending, *abandoned, return_exceptions=True)
        return len(abandoned)

    def _end_s(self) -> float:
        arrivals = self._work.arrivals
        if isinstance(arrivals, OpenLoop) and self._work.count is None:
            return sum(phase.duration_s for phase in arrivals.phases)
        return self._last_done_s

    def _now_s(self) -> float:
        return self._loop.time() - self._start_s
