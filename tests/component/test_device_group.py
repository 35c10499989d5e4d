"""Several devices as one: who executes, who is missed, and what a batcher makes of it."""

import asyncio
from typing import NoReturn

import pytest

from batchproof_server.base.errors import BackendFailed, ModelNotReady
from batchproof_server.batching.batcher import Batcher
from batchproof_server.batching.replies import BatchedRows
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.devices.child import Loss
from batchproof_server.devices.device import DeviceState
from batchproof_server.devices.group import DeviceGroup
from support.batcher_bench import tensors, values
from support.device_places import ProcessPlace
from support.fakes import FakeClock, Recorder, settle_loop

CRASHED = Loss("crashed", "was ended by SIGKILL")
LIMIT_S = 10.0


class Bench:
    """A batcher before two process devices."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.places = [ProcessPlace(clock=self.clock), ProcessPlace(clock=self.clock)]
        self.group = DeviceGroup([place.device for place in self.places])
        self.trouble: list[str] = []
        self.batcher = Batcher(
            "model",
            3,
            self.places[0].backend.signature,
            BatchingSettings(buckets_rows=(2, 4), max_queued_rows=16),
            device=self.group,
            execution_limit_s=LIMIT_S,
            clock=self.clock,
            observer=Recorder(),
        )
        self.batcher.listen(self.trouble.append)

    async def asked(self, *wanted: float) -> list[asyncio.Task[BatchedRows]]:
        """One request of one row for each value, submitted."""
        tasks = [asyncio.create_task(self.batcher.submit(tensors(each), 1)) for each in wanted]
        await settle_loop()
        return tasks

    async def run_next(self, number: int) -> None:
        """Lets one device finish."""
        self.places[number].run_next()
        await settle_loop()

    async def kill(self, number: int) -> None:
        """Ends the latest process of one device."""
        self.places[number].processes[-1].kill(CRASHED)
        await settle_loop()

    def executed(self, number: int) -> list[list[float]]:
        """The micro-batches of one device, padding included."""
        return [batch[:, 0].tolist() for batch in self.places[number].backend.batches]


async def test_what_waits_is_shared_out_among_the_idle_devices() -> None:
    bench = Bench()
    tasks = await bench.asked(1.0, 2.0, 3.0, 4.0)
    assert bench.group.state is DeviceState.BUSY
    await bench.run_next(1)
    await bench.run_next(0)
    assert bench.executed(0) == [[1.0, 2.0]]
    assert bench.executed(1) == [[3.0, 4.0]]
    assert [values(await task) for task in tasks] == [[1.0], [2.0], [3.0], [4.0]]


async def test_while_one_executes_the_other_takes_all_that_comes() -> None:
    bench = Bench()
    (first,) = await bench.asked(1.0)
    others = await bench.asked(2.0, 3.0, 4.0)
    await bench.run_next(1)
    assert [values(await task) for task in others] == [[2.0], [3.0], [4.0]]
    await bench.run_next(0)
    assert values(await first) == [1.0]


async def test_the_device_that_has_been_idle_longest_is_next() -> None:
    bench = Bench()
    for number in (0, 1, 0):
        bench.clock.advance(1.0)
        (task,) = await bench.asked(float(number))
        await bench.run_next(number)
        assert values(await task) == [float(number)]


async def test_one_that_is_lost_takes_only_what_it_executed_with_it() -> None:
    bench = Bench()
    lost, kept = await bench.asked(1.0, 2.0)
    bench.places[0].start = _never
    await bench.kill(0)
    with pytest.raises(ModelNotReady, match="was lost"):
        await lost
    await bench.run_next(1)
    assert values(await kept) == [2.0]
    (later,) = await bench.asked(3.0)
    await bench.run_next(1)
    assert values(await later) == [3.0]
    bench.clock.advance(60.0)
    assert (bench.trouble, bench.group.width, bench.group.room) == ([], 2, 1)


async def test_the_version_is_in_trouble_once_all_of_them_are_away() -> None:
    bench = Bench()
    for place in bench.places:
        place.start = _never
    await bench.kill(0)
    await bench.kill(1)
    assert bench.group.state is DeviceState.LOADING
    bench.clock.advance(60.0)
    assert bench.trouble == ["the device was lost and is being started again"]


async def test_one_that_hangs_is_given_up_and_the_other_goes_on() -> None:
    bench = Bench()
    (hanging,) = await bench.asked(1.0)
    bench.clock.advance(LIMIT_S / 2)
    (second,) = await bench.asked(2.0)
    bench.places[0].start = _never
    bench.clock.advance(LIMIT_S / 2)
    await settle_loop()
    with pytest.raises(BackendFailed):
        await hanging
    await bench.run_next(1)
    assert values(await second) == [2.0]
    assert bench.trouble == []


async def test_both_are_watched() -> None:
    bench = Bench()
    first, second = await bench.asked(1.0, 2.0)
    for place in bench.places:
        place.start = _never
    bench.clock.advance(LIMIT_S)
    await settle_loop()
    for task in (first, second):
        with pytest.raises(BackendFailed):
            await task
    assert bench.trouble == [f"an execution did not end within {LIMIT_S:.3g} s"]


async def test_a_group_that_is_closed_is_gone() -> None:
    bench = Bench()
    bench.group.close()
    assert bench.group.state is DeviceState.GONE


async def _never() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")
