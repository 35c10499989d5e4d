"""The batcher's contract: batch neighbours, deadlines and refusals."""

import asyncio
import gc
import weakref

import pytest

from batchproof_server.base.errors import DeadlineExceeded, QueueFull
from batchproof_server.base.events import ShedRecord
from batchproof_server.base.signature import Tensors
from batchproof_server.batching.connections import Ahead
from batchproof_server.batching.settings import BatchingSettings
from support.batcher_bench import Bench, tensors, values
from support.fakes import (
    ElementwiseBackend,
    settle_loop,
)


async def test_one_row_alone_is_padded_to_the_smallest_bucket_with_itself() -> None:
    bench = Bench()
    [task] = await bench.asked(5)
    await bench.run_device()
    answer = await task
    assert (values(answer), answer.rows, answer.bucket_rows) == ([5], 1, 2)
    assert bench.executed() == [[5, 5]]


async def test_what_arrives_in_one_iteration_of_the_loop_rides_together() -> None:
    bench = Bench()
    tasks = await bench.asked(1, 2, 3)
    assert bench.device.waiting_jobs == 1
    await bench.run_device()
    assert [values(await task) for task in tasks] == [[1], [2], [3]]
    assert bench.executed() == [[1, 2, 3, 3]]


async def test_what_arrives_while_the_device_is_busy_rides_in_the_next_micro_batch() -> None:
    bench = Bench()
    first = await bench.asked(1)
    later = await bench.asked(2, 3)
    assert bench.device.waiting_jobs == 1
    await bench.run_device()
    assert [values(await task) for task in (*first, *later)] == [[1], [2], [3]]
    assert bench.executed() == [[1, 1], [2, 3]]


async def test_it_is_occupied_while_it_executes_and_has_enough_for_the_next_micro_batch() -> None:
    bench = Bench()
    occupied = [bench.batcher.is_occupied]
    tasks = []
    for asked in ((1,), (2, 3, 4), (5,)):
        tasks += await bench.asked(*asked)
        occupied.append(bench.batcher.is_occupied)
    await bench.run_device()
    occupied.append(bench.batcher.is_occupied)
    assert occupied == [False, False, False, True, False]
    assert [values(await task) for task in tasks] == [[1], [2], [3], [4], [5]]


async def test_rows_are_counted_not_requests_and_parts_of_mixed_sizes_get_their_own_rows() -> None:
    bench = Bench()
    tasks = [bench.ask(1, rows=3), bench.ask(2, rows=2), bench.ask(3), bench.ask(4)]
    await settle_loop()
    await bench.run_device()
    assert [values(await task) for task in tasks] == [[1, 1, 1], [2, 2], [3], [4]]
    assert bench.executed() == [[1, 1, 1, 1], [2, 2, 3, 4]]


async def test_a_delay_waits_for_company_and_no_longer() -> None:
    bench = Bench(BatchingSettings((2, 4), max_queue_delay_s=1.0, max_queued_rows=8))
    [first] = await bench.asked(1)
    bench.clock.advance(0.5)
    [second] = await bench.asked(2)
    assert bench.device.waiting_jobs == 0
    assert bench.clock.alarms_s == (1_001.0,)
    bench.clock.advance(0.5)
    await bench.run_device()
    answers = [await first, await second]
    assert [answer.queue_delay_s for answer in answers] == [1.0, 0.5]
    assert bench.executed() == [[1, 2]]


async def test_a_full_micro_batch_does_not_wait_for_its_delay() -> None:
    bench = Bench(BatchingSettings((2, 4), max_queue_delay_s=1.0, max_queued_rows=8))
    tasks = await bench.asked(1, 2, 3, 4)
    await bench.run_device()
    assert [(await task).queue_delay_s for task in tasks] == [0.0] * 4


async def test_rows_of_different_shapes_never_share_a_micro_batch() -> None:
    bench = Bench(backend=ElementwiseBackend(None))
    wide = asyncio.create_task(bench.batcher.submit(tensors(1, 1, 3), 1))
    narrow = asyncio.create_task(bench.batcher.submit(tensors(2, 1, 2), 1))
    await settle_loop()
    await bench.run_device()
    assert (await wide).outputs["y"].tolist() == [[3, 3, 3]]
    assert (await narrow).outputs["y"].tolist() == [[5, 5]]
    assert bench.backend.shapes == [(2, 3), (2, 2)]


async def test_the_next_micro_batch_is_handed_over_before_the_last_one_is_answered() -> None:
    bench = Bench()
    waiting_jobs: list[int] = []
    [first] = await bench.asked(1)
    [second] = await bench.asked(2)
    first.add_done_callback(lambda _: waiting_jobs.append(bench.device.waiting_jobs))
    await bench.run_device()
    assert waiting_jobs == [1]
    assert values(await second) == [2]


@pytest.mark.parametrize("rows", [0, 5])
async def test_rows_that_no_micro_batch_can_hold_are_a_programming_error(rows: int) -> None:
    bench = Bench()
    with pytest.raises(ValueError, match=f"a task of {rows} rows"):
        await bench.batcher.submit(tensors(1, rows), rows)


async def test_a_wrong_row_count_is_a_programming_error_and_mixes_up_nobody() -> None:
    bench = Bench()
    with pytest.raises(ValueError, match="the inputs do not hold 2 rows"):
        await bench.batcher.submit(tensors(1, 3), 2)
    assert bench.device.waiting_jobs == 0


async def test_a_deadline_that_has_passed_is_refused_without_queueing() -> None:
    bench = Bench()
    with pytest.raises(DeadlineExceeded, match="before the request was queued"):
        await bench.batcher.submit(tensors(1), 1, bench.clock.now_s())
    assert bench.recorder.shed == [ShedRecord("model", 3, "deadline")]
    assert bench.recorder.queue_rows == []
    assert bench.device.waiting_jobs == 0


async def test_one_expired_member_among_live_ones_is_told_at_its_deadline_and_they_run() -> None:
    bench = Bench()
    [blocker] = await bench.asked(9)
    before, late, after = bench.ask(1), bench.ask(2, patience_s=1.5), bench.ask(3)
    await settle_loop()
    assert bench.clock.alarms_s == (1_001.5,)
    bench.clock.advance(1.25)
    await settle_loop()
    assert not late.done()
    bench.clock.advance(0.25)
    await settle_loop()
    with pytest.raises(DeadlineExceeded, match=r"after 1\.500 s in the queue"):
        await late
    await bench.run_device()
    assert [values(await task) for task in (blocker, before, after)] == [[9], [1], [3]]
    assert bench.executed() == [[9, 9], [1, 3]]
    assert bench.recorder.shed_reasons == ["deadline"]
    assert bench.recorder.queue_rows == [3, 2, 0]


async def test_a_task_that_expires_while_its_turn_comes_is_not_executed() -> None:
    bench = Bench()
    await bench.asked(9)
    [late] = await bench.asked(1, patience_s=1.0)
    bench.device.run_next()
    bench.clock._now_s += 2.0  # time passes; the alarm has had no turn yet
    await settle_loop()
    with pytest.raises(DeadlineExceeded):
        await late
    assert bench.executed() == [[9, 9]]


async def test_an_answer_that_comes_after_its_deadline_is_delivered_if_it_was_executing() -> None:
    bench = Bench()
    [task] = await bench.asked(1, patience_s=1.0)
    bench.clock.advance(5.0)
    await bench.run_device()
    assert values(await task) == [1]
    assert bench.recorder.shed == []


async def test_a_deadline_within_the_delay_is_met() -> None:
    bench = Bench(BatchingSettings((2, 4), max_queue_delay_s=10.0, max_queued_rows=8))
    [task] = await bench.asked(1, patience_s=5.0)
    await bench.run_device()
    assert (await task).queue_delay_s == 0.0


# Refusals


async def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    class SlowBackend(ElementwiseBackend):
        def execute(self, inputs: Tensors) -> Tensors:
            bench.clock.advance(0.25)
            return super().execute(inputs)

    bench = Bench(backend=SlowBackend(1))
    [first] = await bench.asked(1)
    await bench.run_device()
    assert (await first).execution_s == 0.25
    tasks = [bench.ask(0, rows=4)]
    await settle_loop()  # it went to the device
    tasks += [bench.ask(1, rows=4), bench.ask(2, rows=4)]
    await settle_loop()
    with pytest.raises(QueueFull, match="holds 8 of 8 rows") as refusal:
        await bench.batcher.submit(tensors(4), 1)
    mean_s = 0.05 + (0.25 - 0.05) * 0.1
    assert refusal.value.retry_after_s == pytest.approx((8 / 4 + 1) * mean_s)
    with pytest.raises(QueueFull):
        bench.batcher.check_room(1)
    assert bench.recorder.shed_reasons == ["queue_full", "queue_full"]
    await bench.run_device()
    assert [(await task).rows for task in tasks] == [4, 4, 4]


async def test_those_who_were_let_in_before_take_room_and_time_of_who_comes_now() -> None:
    bench = Bench()
    assert bench.batcher.refusal(ahead=Ahead(rows=7, own_rows=7)) is None
    refusal = bench.batcher.refusal(ahead=Ahead(rows=8, own_rows=8))
    assert isinstance(refusal, QueueFull)
    # Those of others fill the queue too, but whoever has fewer will have its share of it.
    assert bench.batcher.refusal(ahead=Ahead(rows=8, own_rows=0)) is None


async def test_asking_for_room_queues_nothing() -> None:
    bench = Bench()
    bench.batcher.check_room(8)
    with pytest.raises(QueueFull):
        bench.batcher.check_room(9)
    await settle_loop()
    assert bench.device.waiting_jobs == 0
    assert bench.recorder.queue_rows == []


async def test_a_refused_request_is_not_kept_alive_by_its_refusal() -> None:
    bench = Bench()
    await bench.asked(9)
    inputs = tensors(1)
    trace = weakref.ref(inputs["x"])
    gc.collect()
    gc.disable()
    try:
        deadline_s = bench.clock.now_s() + 1
        late = asyncio.create_task(bench.batcher.submit(inputs, 1, deadline_s))
        del inputs
        await settle_loop()
        bench.clock.advance(1.0)
        await settle_loop()
        assert isinstance(late.exception(), DeadlineExceeded)
        del late
        assert trace() is None
    finally:
        gc.enable()
    await bench.run_device()
