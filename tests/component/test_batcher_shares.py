"""Several callers at one batcher: shares of the queue, and what whoever gives way is told."""

import asyncio

import pytest

from batchproof_server.base.errors import QueueFull
from batchproof_server.batching.connections import Ahead
from batchproof_server.batching.replies import BatchedRows
from batchproof_server.batching.settings import BatchingSettings
from support.batcher_bench import Bench, batcher_on, tensors, values
from support.fakes import settle_loop


def ask(
    bench: Bench, caller: str, value: float, patience_s: float | None = None
) -> asyncio.Task[BatchedRows]:
    deadline_s = None if patience_s is None else bench.clock.now_s() + patience_s
    submit = bench.batcher.submit(tensors(value), 1, deadline_s, caller=caller)
    return asyncio.create_task(submit)


async def filled(bench: Bench, patience_s: float | None = None) -> list[asyncio.Task[BatchedRows]]:
    """A caller "greedy" that keeps the device busy and has the whole queue."""
    tasks = [ask(bench, "greedy", value, patience_s) for value in range(4)]
    await settle_loop()
    tasks += [ask(bench, "greedy", value, patience_s) for value in range(4, 12)]
    await settle_loop()
    assert bench.device.waiting_jobs == 1
    assert bench.recorder.queue_rows[-1] == 8
    return tasks


async def test_a_caller_that_comes_to_a_full_queue_is_in_the_next_micro_batch() -> None:
    bench = Bench()
    greedy = await filled(bench)
    polite = ask(bench, "polite", 100)
    await settle_loop()
    await bench.run_next()
    await bench.run_next()
    assert values(await polite) == [100]
    assert bench.executed()[1] == [4, 100, 5, 6]
    await bench.run_device()
    with pytest.raises(QueueFull, match="gave way to one of another caller"):
        await greedy[-1]
    assert [values(await task) for task in greedy[:-1]] == [[value] for value in range(11)]


async def test_who_gives_way_is_told_at_once_when_to_try_again_and_is_counted_as_its_share() -> (
    None
):
    bench = Bench()
    greedy = await filled(bench)
    polite = ask(bench, "polite", 100)
    await settle_loop()
    refusal = greedy[-1].exception()
    assert isinstance(refusal, QueueFull)
    assert refusal.retry_after_s > 0
    assert bench.recorder.shed_reasons == ["share"]
    assert bench.recorder.queue_rows[-1] == 8
    await bench.run_device()
    await polite


async def test_whoever_has_the_most_is_refused_and_nobody_gives_way() -> None:
    bench = Bench()
    await filled(bench)
    with pytest.raises(QueueFull, match="the queue holds 8 of 8 rows"):
        await ask(bench, "greedy", 1)
    assert bench.recorder.shed_reasons == ["queue_full"]
    bench.batcher.check_room(1, caller="polite")
    with pytest.raises(QueueFull):
        bench.batcher.check_room(1, caller="greedy")
    await bench.run_device()


def measured(bench: Bench) -> None:
    """Each bucket takes a second."""
    bench.batcher = batcher_on(
        [bench.device],
        bench.backend,
        bench.settings,
        version=3,
        execution_s=(1.0, 1.0),
        clock=bench.clock,
        observer=bench.recorder,
    )


async def test_a_deadline_is_hopeless_behind_those_who_were_let_in_before() -> None:
    bench = Bench(BatchingSettings((2, 4), max_queued_rows=100))
    measured(bench)
    until_s = bench.clock.now_s() + 2.5
    assert bench.batcher.refusal(until_s, "a", Ahead(rows=7, own_rows=7)) is None
    assert isinstance(bench.batcher.refusal(until_s, "a", Ahead(rows=9, own_rows=9)), QueueFull)
    assert bench.batcher.refusal(until_s, "a", Ahead(rows=9, own_rows=0)) is None


async def test_what_waits_of_others_behind_its_turn_makes_no_deadline_hopeless() -> None:
    bench = Bench(BatchingSettings((2, 4), max_queued_rows=8))
    measured(bench)
    await filled(bench)
    with pytest.raises(QueueFull, match="the answer may take"):
        bench.batcher.check_room(0, bench.clock.now_s() + 2.5, "greedy")
    polite = ask(bench, "polite", 100, patience_s=2.5)
    await settle_loop()
    await bench.run_next()
    await bench.run_next()
    assert values(await polite) == [100]
    await bench.run_device()


async def test_a_drained_batcher_has_answered_whoever_gave_way() -> None:
    bench = Bench()
    greedy = await filled(bench)
    polite = [ask(bench, "polite", value) for value in (100, 101)]
    await settle_loop()
    draining = asyncio.create_task(bench.batcher.drain())
    await settle_loop()
    await bench.run_device()
    await draining
    assert all(task.done() for task in (*greedy, *polite))
    assert [values(task.result()) for task in polite] == [[100], [101]]
