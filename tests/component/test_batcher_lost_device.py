"""A batcher whose device is lost: what was in flight fails, what waits goes on waiting."""

import asyncio

import pytest

from batchproof_server.base.errors import BackendFailed, ModelNotReady
from batchproof_server.batching.batcher import Batcher
from batchproof_server.batching.replies import BatchedRows
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.devices.child import Loss
from support.batcher_bench import tensors, values
from support.device_places import ProcessPlace
from support.fakes import Recorder, settle_loop

CRASHED = Loss("crashed", "was ended by SIGKILL")


class Bench:
    """A batcher before a process device."""

    def __init__(self) -> None:
        self.place = ProcessPlace()
        self.recorder = Recorder()
        self.trouble: list[str] = []
        self.batcher = Batcher(
            "model",
            3,
            self.place.backend.signature,
            BatchingSettings(buckets_rows=(2,), max_queued_rows=8),
            device=self.place.device,
            execution_limit_s=10.0,
            clock=self.place.clock,
            observer=self.recorder,
        )
        self.batcher.listen(self.trouble.append)

    async def asked(self, *wanted: float) -> list[asyncio.Task[BatchedRows]]:
        """One request of one row for each value, submitted."""
        tasks = [asyncio.create_task(self.batcher.submit(tensors(each), 1)) for each in wanted]
        await settle_loop()
        return tasks

    async def run_next(self) -> None:
        """Executes one micro-batch."""
        self.place.run_next()
        await settle_loop()


async def test_only_what_was_in_flight_fails_and_its_callers_may_try_again() -> None:
    bench = Bench()
    flying, waiting = await bench.asked(1.0, 2.0), await bench.asked(3.0)
    bench.place.processes[0].kill(CRASHED)
    await settle_loop()
    for task in flying:
        with pytest.raises(ModelNotReady, match="lost, and another is being started"):
            await task
    await bench.run_next()
    assert values(await waiting[0]) == [3.0]
    assert bench.trouble == []


async def test_what_comes_while_the_device_is_away_waits_for_it() -> None:
    bench = Bench()
    bench.place.processes[0].kill(CRASHED)
    (task,) = await bench.asked(1.0)
    await bench.run_next()
    assert values(await task) == [1.0]


async def test_a_device_that_stays_away_is_trouble_until_it_is_back() -> None:
    bench = Bench()
    for _ in range(2):
        bench.place.processes[-1].kill(CRASHED)
        await settle_loop()
    (late,) = await bench.asked(1.0)
    with pytest.raises(ModelNotReady, match="being started again"):
        await late
    bench.place.clock.advance(1.0)
    await settle_loop()
    (task,) = await bench.asked(2.0)
    await bench.run_next()
    assert values(await task) == [2.0]
    assert bench.trouble == ["the device was lost and is being started again", ""]


async def test_an_execution_that_hangs_ends_its_process_and_the_next_one_answers() -> None:
    bench = Bench()
    (hanging,) = await bench.asked(1.0)
    bench.place.clock.advance(10.0)
    await settle_loop()
    with pytest.raises(BackendFailed):
        await hanging
    assert bench.place.processes[0].ended == "hung"
    (task,) = await bench.asked(2.0)
    await bench.run_next()
    assert values(await task) == [2.0]
    assert bench.trouble == ["an execution did not end within 10 s", ""]


async def test_draining_waits_for_a_device_that_is_away() -> None:
    bench = Bench()
    flying, waiting = await bench.asked(1.0, 2.0), await bench.asked(3.0)
    bench.place.processes[0].kill(CRASHED)
    draining = asyncio.create_task(bench.batcher.drain())
    await settle_loop()
    assert not draining.done()
    await bench.run_next()
    await draining
    assert values(await waiting[0]) == [3.0]
    assert all(task.exception() is not None for task in flying)
