"""Micro-batches quicker than the hand-over to the device thread; deadlines nobody can keep."""

import asyncio

import pytest

from batchproof_server.base.errors import DeadlineExceeded, QueueFull
from batchproof_server.base.events import ShedRecord
from batchproof_server.base.signature import Tensors
from support.batcher_bench import Bench, batcher_on, tensors, values
from support.fakes import settle_loop


def measured(*execution_s: float) -> Bench:
    """A bench whose batcher knows what its buckets of 2 and 4 rows take."""
    bench = Bench()
    bench.batcher = batcher_on(
        [bench.device],
        bench.backend,
        bench.settings,
        version=3,
        execution_s=execution_s,
        clock=bench.clock,
        observer=bench.recorder,
    )
    return bench


async def test_a_quick_micro_batch_never_sees_the_device_thread() -> None:
    bench = measured(1e-5, 1e-5)
    tasks = await bench.asked(1, 2, 3)
    assert bench.device.waiting_jobs == 0
    assert [values(await task) for task in tasks] == [[1], [2], [3]]
    assert bench.executed() == [[1, 2, 3, 3]]
    assert [record.rows for record in bench.recorder.batches] == [3]


async def test_a_slow_one_does() -> None:
    bench = measured(0.01, 0.02)
    [task] = await bench.asked(1)
    assert bench.device.waiting_jobs == 1
    await bench.run_device()
    assert values(await task) == [1]


async def test_a_quick_one_with_much_to_copy_does_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = measured(1e-5, 1e-5)
    monkeypatch.setattr("batchproof_server.batching.admission._QUICK_BYTES", 2 * 8)
    [light] = await bench.asked(1)
    assert values(await light) == [1]
    tasks = await bench.asked(1, 2, 3)
    assert bench.device.waiting_jobs == 1
    await bench.run_device()
    assert [values(await task) for task in tasks] == [[1], [2], [3]]


async def test_the_loop_does_not_execute_while_more_waits() -> None:
    bench = measured(1e-5, 1e-5)
    tasks = await bench.asked(1, 2, 3, 4, 5)
    assert bench.device.waiting_jobs == 1
    await bench.run_device()
    assert [values(await task) for task in tasks] == [[1], [2], [3], [4], [5]]


async def test_a_failure_on_the_loop_thread_reaches_its_callers_only() -> None:
    bench = measured(1e-5, 1e-5)
    bench.backend.execute = None  # type: ignore[method-assign, assignment] # calling it raises
    [task] = await bench.asked(1)
    with pytest.raises(Exception, match="the model failed"):
        await task
    assert bench.recorder.batches[0].failed


async def test_a_draining_batcher_waits_for_the_books_of_a_quick_one() -> None:
    bench = measured(1e-5, 1e-5)
    task = bench.ask(1)
    await asyncio.sleep(0)
    await bench.batcher.drain()
    assert len(bench.recorder.batches) == 1
    assert values(await task) == [1]


async def test_one_that_became_slow_goes_back_to_the_device_thread() -> None:
    bench = measured(0.0003, 0.0003)
    execute = bench.backend.execute

    def slowly(inputs: Tensors) -> Tensors:
        bench.clock.advance(0.02)
        return execute(inputs)

    bench.backend.execute = slowly  # type: ignore[method-assign] # a noisy neighbour
    tasks = await bench.asked(1)
    [slow] = await bench.asked(2)
    assert bench.device.waiting_jobs == 1
    await bench.run_device()
    await asyncio.gather(*tasks, slow)


async def test_what_cannot_be_answered_in_time_is_refused_on_arrival() -> None:
    bench = measured(0.1, 0.2)
    running = await bench.asked(1, patience_s=10)
    waiting = await bench.asked(2, 3, 4, patience_s=10)
    with pytest.raises(QueueFull, match=r"may take 0.345 s, which is later") as full:
        await bench.batcher.submit(tensors(5), 1, bench.clock.now_s() + 0.31)
    assert full.value.retry_after_s > 0
    assert bench.recorder.shed == [ShedRecord("model", 3, "queue_full")]
    [in_time] = await bench.asked(6, patience_s=0.4)
    await bench.run_device()
    assert values(await in_time) == [6]
    await asyncio.gather(*running, *waiting)


async def test_an_idle_device_refuses_no_deadline_for_its_outlook_may_be_wrong() -> None:
    bench = measured(50.0, 60.0)
    [task] = await bench.asked(1, patience_s=0.01)
    await settle_loop()
    await bench.run_device()
    assert values(await task) == [1]


async def test_what_would_be_executed_too_late_makes_room_for_who_can_wait() -> None:
    bench = measured(0.1, 0.19)
    running = await bench.asked(1, patience_s=10)
    hopeless = await bench.asked(2, patience_s=0.4)
    patient = await bench.asked(3, 4, 5, 6, patience_s=10)
    bench.clock.advance(0.3)
    await bench.run_device()
    with pytest.raises(DeadlineExceeded, match=r"after 0.300 s in the queue the answer would"):
        await hopeless[0]
    assert bench.executed() == [[1, 1], [3, 4, 5, 6]]
    assert bench.recorder.shed == [ShedRecord("model", 3, "deadline")]
    await asyncio.gather(*running, *patient)


async def test_what_may_be_too_late_is_executed_when_nobody_else_would_be() -> None:
    bench = measured(0.1, 0.2)
    running = await bench.asked(1, patience_s=10)
    late = await bench.asked(2, 3, patience_s=0.4)
    bench.clock.advance(0.3)
    await bench.run_device()
    assert [values(await task) for task in late] == [[2], [3]]
    await asyncio.gather(*running)
