"""The batcher's contract: what one caller does changes nothing for the others."""

import asyncio

import pytest

from batchproof_server.base.errors import QueueFull
from support.batcher_bench import Bench, values
from support.fakes import (
    settle_loop,
)


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("moment", ["accepted", "waiting", "executing", "executed", "answered"])
async def test_cancelling_one_member_changes_nothing_for_the_others(
    position: int, moment: str
) -> None:
    bench = Bench()
    blocker = await bench.asked(9) if moment == "waiting" else []
    tasks = [bench.ask(value) for value in range(4)]
    await asyncio.sleep(0)  # submitted; the pump comes next
    if moment != "accepted":
        await settle_loop()
    if moment == "executed":
        bench.device.run_next()  # the loop does not know it yet
    if moment == "answered":
        await _settled(bench)
    tasks[position].cancel()
    await settle_loop()
    await bench.run_device()
    others = [task for task in tasks if task is not tasks[position]]
    assert [values(await task) for task in others] == [[v] for v in range(4) if v != position]
    assert [values(await task) for task in blocker] == [[9]] * len(blocker)
    assert tasks[position].cancelled()
    assert bench.batcher._queue.settled


async def _settled(bench: Bench) -> None:
    """Returns when the replies are settled and their callers have not resumed yet."""
    bench.device.run_next()
    await asyncio.sleep(0)


async def test_a_cancelled_task_that_waits_is_never_executed_and_frees_its_rows() -> None:
    bench = Bench()
    [blocker] = await bench.asked(9)
    waiting = [bench.ask(1, rows=4), bench.ask(2, rows=4)]
    await settle_loop()
    with pytest.raises(QueueFull):
        bench.batcher.check_room(1)
    waiting[0].cancel()
    await settle_loop()
    bench.batcher.check_room(4)
    assert bench.recorder.queue_rows == [8, 4]
    await bench.run_device()
    assert values(await blocker) == [9]
    assert values(await waiting[1]) == [2, 2, 2, 2]
    assert bench.executed() == [[9, 9], [2, 2, 2, 2]]


async def test_when_all_members_leave_before_the_pump_the_next_ones_are_taken() -> None:
    bench = Bench()
    leaving = [bench.ask(1, rows=4)]
    staying = bench.ask(2, rows=4)
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    await settle_loop()
    await bench.run_device()
    assert values(await staying) == [2, 2, 2, 2]
    assert bench.executed() == [[2, 2, 2, 2]]


async def test_when_everybody_leaves_an_executing_micro_batch_the_batcher_lives_on() -> None:
    bench = Bench()
    leaving = await bench.asked(1, 2)
    for task in leaving:
        task.cancel()
    await bench.run_device()
    [later] = await bench.asked(3)
    await bench.run_device()
    assert values(await later) == [3]


async def test_a_cancelled_task_that_expires_in_the_same_iteration_is_not_shed() -> None:
    bench = Bench()
    await bench.asked(9)
    [task] = await bench.asked(1, patience_s=1.0)
    task.cancel()
    bench.clock.advance(1.0)
    await settle_loop()
    assert task.cancelled()
    assert bench.recorder.shed == []
    await bench.run_device()
