"""Requests of several priorities at one batcher: who gives way, and what it is told."""

import asyncio

import pytest

from batchproof_server.base.errors import QueueFull
from batchproof_server.base.priorities import Priority
from batchproof_server.batching.priorities import with_priority
from batchproof_server.batching.replies import BatchedRows
from batchproof_server.batching.settings import BatchingSettings
from support.batcher_bench import Bench, tensors, values
from support.fakes import settle_loop


def ask(
    bench: Bench, priority: Priority, *wanted: float, caller: str = "ipv4:10.0.0.1:1"
) -> list[asyncio.Task[BatchedRows]]:
    """Requests of one row."""
    who = with_priority(caller, priority)
    return [
        asyncio.create_task(bench.batcher.submit(tensors(value), 1, caller=who)) for value in wanted
    ]


async def busy(bench: Bench) -> list[asyncio.Task[BatchedRows]]:
    """The device has its hands full."""
    tasks = ask(bench, "default", 0, 1, 2, 3)
    await settle_loop()
    assert bench.device.waiting_jobs == 1
    return tasks


async def test_a_full_queue_gives_up_a_best_effort_row_for_a_critical_one() -> None:
    bench = Bench()
    first = await busy(bench)
    patient = ask(bench, "best_effort", *range(10, 18))
    await settle_loop()
    urgent = ask(bench, "critical", 100)
    await settle_loop()

    refusal = patient[-1].exception()
    assert isinstance(refusal, QueueFull)
    assert "gave way to one of a higher priority" in str(refusal)
    assert refusal.retry_after_s > 0
    assert bench.recorder.shed_reasons == ["priority"]

    await bench.run_device()
    answered = [*first, *urgent, *patient[:-1]]
    assert [values(await task) for task in answered] == [
        *([value] for value in range(4)),
        [100],
        *([value] for value in range(10, 17)),
    ]
    assert 100 in bench.executed()[1]


async def test_nothing_critical_gives_way_in_a_queue_too_small_to_keep_parts_of_it() -> None:
    bench = Bench()
    await busy(bench)
    urgent = ask(bench, "critical", *range(10, 18))
    await settle_loop()
    for priority in ("default", "best_effort"):
        (refused,) = ask(bench, priority, 100, caller="ipv4:10.0.0.2:1")
        await settle_loop()
        assert isinstance(refused.exception(), QueueFull)
    assert bench.recorder.shed_reasons == ["queue_full", "queue_full"]
    await bench.run_device()
    assert [values(await task) for task in urgent] == [[value] for value in range(10, 18)]


async def test_each_priority_keeps_a_part_of_a_large_queue() -> None:
    bench = Bench(BatchingSettings(buckets_rows=(2, 4), max_queued_rows=73))
    await busy(bench)
    urgent = ask(bench, "critical", *range(100, 173))
    await settle_loop()
    patient = ask(bench, "best_effort", 1, 2, caller="ipv4:10.0.0.2:1")
    usual = ask(bench, "default", *range(10, 19), caller="ipv4:10.0.0.3:1")
    await settle_loop()
    assert [task.done() for task in (*patient, *usual)] == [False, True, *[False] * 8, True]
    gave_way = [str(task.exception()) for task in urgent if task.done()]
    assert len(gave_way) == 9
    assert all("one of a lower priority, which keeps a part" in each for each in gave_way)
    assert bench.recorder.shed_reasons.count("priority") == 9
    await bench.run_device()


async def test_what_is_most_urgent_is_in_the_next_micro_batch_and_nobody_waits_for_ever() -> None:
    bench = Bench(BatchingSettings(buckets_rows=(2, 4), max_queued_rows=100))
    await busy(bench)
    tasks = ask(bench, "best_effort", 20, 21)
    tasks += ask(bench, "default", *range(30, 34))
    tasks += ask(bench, "critical", *range(40, 46))
    await settle_loop()
    await bench.run_device()
    assert bench.executed()[1:] == [[40, 30, 20, 41], [42, 43, 44, 45], [31, 32, 33, 21]]
    assert all(task.done() for task in tasks)


async def test_a_critical_request_does_not_wait_for_what_is_less_urgent() -> None:
    bench = Bench(BatchingSettings(buckets_rows=(2, 4), max_queued_rows=100))
    await busy(bench)
    waiting = ask(bench, "best_effort", *range(10, 74))
    await settle_loop()
    turns = bench.batcher._queue.turns
    assert turns.rows_until(with_priority("ipv4:10.0.0.2:1", "critical"), 1) <= 2
    assert turns.rows_until(with_priority("ipv4:10.0.0.2:1", "best_effort"), 1) >= 2
    assert turns.rows_until(with_priority("ipv4:10.0.0.1:1", "best_effort"), 1) == 65
    await bench.run_device()
    assert all(task.done() for task in waiting)


async def test_an_idle_task_of_a_shadow_waits_for_best_effort_too() -> None:
    bench = Bench()
    await busy(bench)
    (patient,) = ask(bench, "best_effort", 10)
    await settle_loop()
    assert not bench.batcher.is_at_rest
    await bench.run_device()
    assert values(await patient) == [10]
    assert bench.batcher.is_at_rest


async def test_a_refusal_names_no_other_caller() -> None:
    bench = Bench()
    await busy(bench)
    patient = ask(bench, "best_effort", *range(10, 18), caller="caller=nightly:ipv4.1.1.1.1.1")
    await settle_loop()
    ask(bench, "critical", 1, caller="caller=secret:ipv4.1.1.1.1.2")
    await settle_loop()
    with pytest.raises(QueueFull) as refused:
        await patient[-1]
    assert "secret" not in str(refused.value)
    await bench.run_device()
