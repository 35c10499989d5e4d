"""On one core, whatever callers do and whenever: what a shadow adds to a wait."""

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from batchproof_server.base.errors import QueueFull
from batchproof_server.batching.replies import BatchedRows
from batchproof_server.selfcheck.choosing import QUIET_S
from support.fakes import PuppetDevice, settle_loop
from support.shadowing import BATCHING, Shadowed

SMALLEST = BATCHING.buckets_rows[0]


class OneCore(RuleBasedStateMachine):
    """Both versions execute on one core, one job after the other, in the order of coming."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.core = PuppetDevice()
        self.bench = self.runner.run(Shadowed(core=self.core).load())
        self.asked: list[asyncio.Task[BatchedRows]] = []

    def shadow_executions(self) -> int:
        """How many executions of the shadow have ended."""
        return len(self.bench.backends[1].shapes)

    def waiting_shadow_jobs(self) -> int:
        """Executions of the shadow that the core has before it."""
        answering = next(each for each in self.bench.versions.loaded() if each.version == 1)
        return self.core.waiting_jobs - answering.batcher._work.unfinished

    @rule(rows=st.integers(1, 3))
    def ask(self, rows: int) -> None:
        """Some callers come."""

        async def come() -> None:
            self.asked += [self.bench.ask(float(row), 1.0, 2.0) for row in range(rows)]
            await settle_loop()

        before = self.waiting_shadow_jobs()
        self.runner.run(come())
        # Nothing of the shadow is put before a caller that came, and what was there is one row.
        assert self.waiting_shadow_jobs() == before <= 1

    @precondition(lambda self: self.core.waiting_jobs)
    @rule()
    def run(self) -> None:
        """The core does its next job."""

        async def run() -> None:
            self.core.run_next()
            await settle_loop()

        is_asked = any(not task.done() for task in self.asked)
        waiting = self.waiting_shadow_jobs()
        self.runner.run(run())
        if is_asked and any(not task.done() for task in self.asked):
            assert self.waiting_shadow_jobs() <= waiting

    @rule(quiets=st.integers(1, 200))
    def pass_time(self, quiets: int) -> None:
        """Time passes, a part of a second or two."""
        is_asked = any(not task.done() for task in self.asked)
        waiting = self.waiting_shadow_jobs()
        self.runner.run(self.bench.pass_time(quiets * QUIET_S))
        if is_asked:
            assert self.waiting_shadow_jobs() == waiting

    @invariant()
    def a_shadow_executes_the_smallest_bucket(self) -> None:
        """Nothing larger, ever."""
        assert {shape[0] for shape in self.bench.backends[1].shapes} <= {SMALLEST}

    @invariant()
    def at_most_one_row_is_on_its_way(self) -> None:
        """Over all that waits."""
        assert self.waiting_shadow_jobs() <= 1

    def teardown(self) -> None:
        """When nobody comes any more, everybody was answered, and every row was told of."""

        async def end() -> list[BatchedRows]:
            await settle_loop()
            while self.core.waiting_jobs or len(self.bench.shadowing._rows):
                while self.core.waiting_jobs:
                    self.core.run_next()
                    await settle_loop()
                await self.bench.pass_time(2 * QUIET_S)
            return [
                await task for task in self.asked if not isinstance(task.exception(), QueueFull)
            ]

        answered = self.runner.run(end())
        compared = [each for each in self.bench.told if each.result == "same"]
        assert len(compared) == self.shadow_executions()
        assert len(self.bench.told) == len(answered)
        self.runner.close()


TestOneCore = OneCore.TestCase
TestOneCore.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
