"""The batcher's contract: faults, the end, and real threads."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from batchproof_server.base.backend import Backend
from batchproof_server.base.clock import MonotonicClock
from batchproof_server.base.errors import (
    BackendFailed,
    DeadlineExceeded,
    Draining,
    InvalidInput,
    ModelNotReady,
    QueueFull,
)
from batchproof_server.base.events import BatchRecord, Event, IsolationRecord
from batchproof_server.base.signature import Tensors
from batchproof_server.batching.batcher import Batcher
from batchproof_server.batching.isolation import MOST_MODEL_FAILURES
from batchproof_server.batching.replies import BatchedRows
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.observing.fan_out import Observers
from support.batcher_bench import POISON, Bench, batcher_on, tensors, values
from support.fakes import (
    ElementwiseBackend,
    GatedBackend,
    PoisonBackend,
    Poisoned,
    Recorder,
    settle_loop,
    until,
)


async def test_a_failure_reaches_whoever_caused_it_and_nobody_else() -> None:
    bench = Bench(backend=PoisonBackend(1))
    [before] = await bench.asked(1)
    fine, spoilt, *more = await bench.asked(2, POISON, 3, 4)
    [after] = await bench.asked(5)
    await bench.run_device()
    answered = (before, fine, *more, after)
    assert [values(await task) for task in answered] == [[1], [2], [3], [4], [5]]
    failure = spoilt.exception()
    assert isinstance(failure, InvalidInput)
    assert isinstance(failure.__cause__, Poisoned)
    assert str(failure).startswith("the model refuses this row")
    assert IsolationRecord("model", 3, 4, refused=1, failed=0) in bench.recorder.isolations


async def test_those_who_wait_take_turns_with_those_who_are_executed_apart() -> None:
    bench = Bench(BatchingSettings((1, 2, 4)), backend=PoisonBackend(1))
    await bench.asked(0)
    await bench.asked(1, POISON, 2, 3)
    await bench.asked(4, 5, 6, 7)
    await bench.asked(8, 9, 10, 11)
    await bench.run_device()
    assert bench.executed() == [
        [0], [1, POISON, 2, 3], [1, POISON], [4, 5, 6, 7], [1], [8, 9, 10, 11], [POISON], [2, 3],
    ]  # fmt: skip


async def test_a_row_that_fails_alone_is_told_from_a_model_that_fails_by_a_known_row() -> None:
    bench = Bench(BatchingSettings((1, 2)), backend=PoisonBackend(1), known_row=tensors(1))
    [lonely] = await bench.asked(POISON)
    await bench.run_device()
    assert isinstance(lonely.exception(), InvalidInput)
    bench = Bench(BatchingSettings((1, 2)), backend=PoisonBackend(1), known_row=tensors(POISON))
    [lonely] = await bench.asked(POISON)
    await bench.run_device()
    assert isinstance(lonely.exception(), BackendFailed)
    assert bench.recorder.isolations == [IsolationRecord("model", 3, 1, refused=0, failed=1)]


async def test_a_model_that_fails_for_every_row_is_not_ready_until_it_works_again() -> None:
    backend = PoisonBackend(1)
    bench = Bench(BatchingSettings((1, 2)), backend=backend, known_row=tensors(1))
    told: list[str] = []
    bench.batcher.listen(told.append)
    backend.poison = 1.0
    for _ in range(MOST_MODEL_FAILURES):
        [failing] = await bench.asked(1)
        await bench.run_device()
        assert isinstance(failing.exception(), BackendFailed)
    assert told == ["the model fails for every row"]
    [refused] = await bench.asked(2)
    assert isinstance(refused.exception(), ModelNotReady)
    assert isinstance(bench.batcher.refusal(), ModelNotReady)
    for _ in range(3):
        bench.clock.advance(1.0)
        await settle_loop()
        await bench.run_device()
    assert told == ["the model fails for every row"]
    backend.poison = POISON
    for _ in range(2):
        bench.clock.advance(1.0)
        await settle_loop()
        await bench.run_device()
    assert told == ["the model fails for every row", ""]
    [answered] = await bench.asked(2)
    await bench.run_device()
    assert values(await answered) == [2]


async def test_an_execution_that_hangs_is_given_up_and_refuses_who_waits() -> None:
    bench = Bench(BatchingSettings((1, 2)), execution_limit_s=5.0)
    told: list[str] = []
    bench.batcher.listen(told.append)
    [hanging] = await bench.asked(1)
    waiting = await bench.asked(2, 3, 4)
    bench.clock.advance(4.9)
    await settle_loop()
    assert not hanging.done()
    bench.clock.advance(0.1)
    await settle_loop()
    assert isinstance(hanging.exception(), BackendFailed)
    assert [type(task.exception()) for task in waiting] == [ModelNotReady] * 3
    assert told == ["an execution did not end within 5 s"]
    [refused] = await bench.asked(5)
    assert isinstance(refused.exception(), ModelNotReady)
    bench.clock.advance(1.0)
    await settle_loop()
    assert len(told) == 1
    await bench.run_device()  # what hung comes back
    bench.clock.advance(1.0)
    await settle_loop()
    assert told[1:] == [""]
    [answered] = await bench.asked(6)
    await bench.run_device()
    assert values(await answered) == [6]
    await bench.batcher.drain()


async def test_an_execution_in_time_is_never_given_up() -> None:
    bench = Bench(BatchingSettings((1, 2)), execution_limit_s=5.0)
    for value in (1, 2, 3):
        [task] = await bench.asked(value)
        bench.clock.advance(4.0)
        await bench.run_device()
        assert values(await task) == [value]
        bench.clock.advance(4.0)
        await settle_loop()
    assert bench.batcher.refusal() is None


async def test_closing_refuses_those_that_wait_to_be_executed_apart() -> None:
    bench = Bench(BatchingSettings((1, 2, 4)), backend=PoisonBackend(1))
    await bench.asked(0)
    members = await bench.asked(1, POISON, 2, 3)
    await bench.run_next()
    await bench.run_next()
    bench.batcher.close()
    await bench.run_device()
    fates = [type(task.exception()) for task in members]
    assert set(fates) <= {type(None), Draining, BackendFailed, InvalidInput}
    assert Draining in fates
    await bench.batcher.drain()


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (lambda outputs: {"y": outputs["y"][:1]}, r"has shape \[1, 1\], expected 2 rows"),
        (lambda outputs: {"y": np.concatenate([outputs["y"]] * 2)}, "expected 2 rows"),
        (lambda outputs: {"z": outputs["y"]}, r"outputs are \['z'\], expected \['y'\]"),
        (lambda _: {}, r"outputs are \[\], expected \['y'\]"),
        (lambda _: None, "NoneType"),
        (lambda outputs: {"y": outputs["y"].tolist()}, "list"),
    ],
)
async def test_a_malformed_answer_fails_its_micro_batch_and_the_next_succeeds(
    answer: Callable[[Tensors], Any], cause: str
) -> None:
    bench = Bench(backend=PoisonBackend(1, answer=answer))
    spoilt = await bench.asked(POISON, 1)
    later = await bench.asked(2)
    await bench.run_device()
    for task in spoilt:
        with pytest.raises(BackendFailed, match="the model failed") as failure:
            await task
        assert re.search(cause, str(failure.value.__cause__))
    assert [values(await task) for task in later] == [[2]]


async def test_a_failure_does_not_spoil_the_estimate_of_the_execution_time() -> None:
    bench = Bench(backend=PoisonBackend(1))
    [spoilt] = await bench.asked(POISON)
    await bench.run_device()
    assert isinstance(spoilt.exception(), BackendFailed)
    with pytest.raises(QueueFull) as refusal:
        bench.batcher.check_room(9)
    assert refusal.value.retry_after_s == 0.05


async def test_even_an_exit_inside_the_engine_is_an_answer() -> None:
    class LeavingBackend(ElementwiseBackend):
        def execute(self, inputs: Tensors) -> Tensors:
            raise SystemExit(inputs["x"].shape)

    bench = Bench(backend=LeavingBackend(1))
    [task] = await bench.asked(1)
    await bench.run_device()
    assert isinstance(task.exception(), BackendFailed)


async def test_a_device_that_was_shut_down_fails_requests_and_hangs_none() -> None:
    bench = Bench()
    running = await bench.asked(1)
    waiting = await bench.asked(2)
    bench.device.shutdown(cancel_futures=True)
    await settle_loop()
    later = await bench.asked(3)
    failures = [task.exception() for task in (*running, *waiting, *later)]
    assert [type(failure) for failure in failures] == [BackendFailed] * 3
    await bench.batcher.drain()


async def test_an_observer_that_raises_changes_nothing() -> None:
    class Raising(Recorder):
        def notify(self, event: Event) -> None:
            raise KeyError(event)

    failures: list[Exception] = []
    recorder = Recorder()
    bench = Bench(observer=Observers([Raising(), recorder], failures.append))
    first = await bench.asked(1)
    second = await bench.asked(2, 3)
    [late] = await bench.asked(4, patience_s=1.0)
    bench.clock.advance(1.0)
    await bench.run_device()
    assert [values(await task) for task in (*first, *second)] == [[1], [2], [3]]
    assert isinstance(late.exception(), DeadlineExceeded)
    assert [batch.rows for batch in recorder.batches] == [1, 2]
    assert len(failures) == len(recorder.batches + recorder.shed + recorder.queue_rows)


async def test_records_say_what_was_executed() -> None:
    bench = Bench()
    await bench.asked(9)
    bench.ask(1, rows=2)
    await settle_loop()
    bench.clock.advance(0.5)
    await bench.asked(2)
    bench.clock.advance(0.25)
    await bench.run_device()
    assert bench.recorder.batches == [
        BatchRecord("model", 3, 1, 2, (0.0,), 0.0, failed=False),
        BatchRecord("model", 3, 3, 4, (0.75, 0.25), 0.0, failed=False),
    ]
    assert bench.recorder.queue_rows == [2, 3, 0]


async def test_an_idle_batcher_is_drained_at_once_and_refuses_from_then_on() -> None:
    bench = Bench()
    await bench.batcher.drain()
    with pytest.raises(Draining):
        await bench.batcher.submit(tensors(1), 1)
    with pytest.raises(Draining):
        await bench.batcher.submit(tensors(1), 1, bench.clock.now_s() - 1)
    with pytest.raises(Draining):
        bench.batcher.check_room(1)
    assert bench.recorder.shed_reasons == ["draining"] * 3


async def test_draining_answers_all_that_was_accepted_and_then_returns() -> None:
    bench = Bench(BatchingSettings((2, 4), max_queue_delay_s=60.0, max_queued_rows=8))
    tasks = await bench.asked(1, 2, 3, 4, 5)
    order: list[str] = []
    for task in tasks:
        task.add_done_callback(lambda _: order.append("answer"))
    drained = asyncio.create_task(bench.batcher.drain())
    drained.add_done_callback(lambda _: order.append("drained"))
    await settle_loop()
    assert not drained.done()
    await bench.run_device()
    await drained
    assert [values(await task) for task in tasks] == [[1], [2], [3], [4], [5]]
    assert order == ["answer"] * 5 + ["drained"]


async def test_draining_needs_no_further_event_than_the_last_members_departure() -> None:
    bench = Bench()
    [running] = await bench.asked(1)
    [waiting] = await bench.asked(2)
    drained = asyncio.create_task(bench.batcher.drain())
    await settle_loop()
    waiting.cancel()
    await bench.run_device()
    await drained
    assert values(await running) == [1]


async def test_draining_ends_when_the_last_waiting_task_expires() -> None:
    bench = Bench()
    [running] = await bench.asked(1)
    [late] = await bench.asked(2, patience_s=1.0)
    drained = asyncio.create_task(bench.batcher.drain())
    bench.clock.advance(1.0)
    await bench.run_device()
    await drained
    assert isinstance(late.exception(), DeadlineExceeded)
    assert values(await running) == [1]


async def test_giving_up_waiting_for_the_drain_disturbs_neither_requests_nor_others() -> None:
    bench = Bench()
    [task] = await bench.asked(1)
    impatient, patient = (asyncio.create_task(bench.batcher.drain()) for _ in range(2))
    await settle_loop()
    impatient.cancel()
    await settle_loop()
    assert not patient.done()
    await bench.run_device()
    await patient
    await bench.batcher.drain()
    assert values(await task) == [1]
    assert impatient.cancelled()


async def test_closing_refuses_what_waits_and_answers_what_runs() -> None:
    bench = Bench()
    [running] = await bench.asked(1)
    [waiting] = await bench.asked(2, patience_s=60.0)
    bench.batcher.close()
    await settle_loop()
    with pytest.raises(Draining, match="before the request was executed"):
        await waiting
    with pytest.raises(Draining):
        await bench.batcher.submit(tensors(3), 1)
    assert bench.clock.alarms_s == ()
    assert bench.recorder.queue_rows == [1, 0]
    assert bench.recorder.shed_reasons == ["draining", "draining"]
    await bench.run_device()
    assert values(await running) == [1]
    await bench.batcher.drain()


async def test_closing_twice_and_after_a_drain_is_harmless() -> None:
    bench = Bench()
    await bench.batcher.drain()
    bench.batcher.close()
    bench.batcher.close()
    await bench.batcher.drain()
    assert bench.recorder.shed == []


async def test_the_settings_can_be_read_back() -> None:
    settings = BatchingSettings()
    assert Bench(settings).batcher.settings is settings


def threaded(backend: Backend, device: Executor) -> Batcher:
    settings = BatchingSettings((2, 4), max_queued_rows=8)
    return batcher_on([device], backend, settings, clock=MonotonicClock(), observer=Recorder())


async def test_on_a_real_thread_the_loop_is_free_while_the_device_works() -> None:
    backend = GatedBackend(1)
    with ThreadPoolExecutor(1) as device:
        batcher = threaded(backend, device)
        first = [asyncio.create_task(batcher.submit(tensors(v), 1)) for v in range(3)]
        await backend.entered(1)
        first[0].cancel()
        second = [asyncio.create_task(batcher.submit(tensors(v), 1)) for v in range(3, 5)]
        await until(lambda: batcher._queue.waiting_rows == 2)
        backend.release(2)
        answers = await asyncio.gather(*first, *second, return_exceptions=True)
        await batcher.drain()
        batcher.close()
    assert isinstance(answers[0], asyncio.CancelledError)
    assert [values(a) for a in answers if isinstance(a, BatchedRows)] == [[1], [2], [3], [4]]
    assert backend.shapes == [(4, 1), (2, 1)]


def test_a_loop_that_ends_before_the_device_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = GatedBackend(1)
    with ThreadPoolExecutor(1) as device:

        async def leave_early() -> None:
            batcher = threaded(backend, device)
            task = asyncio.create_task(batcher.submit(tensors(1), 1))
            await backend.entered(1)
            assert not task.done()

        asyncio.run(leave_early())
        backend.release()
    assert backend.shapes == [(2, 1)]
    assert caplog.records == []


async def test_an_alarm_of_the_real_clock_ends_the_delay() -> None:
    with ThreadPoolExecutor(1) as device:
        backend = ElementwiseBackend(1)
        settings = BatchingSettings((2,), max_queue_delay_s=1e-3, max_queued_rows=2)
        batcher = batcher_on(
            [device], backend, settings, clock=MonotonicClock(), observer=Recorder()
        )
        answer = await batcher.submit(tensors(1), 1)
    assert values(answer) == [1]
    assert answer.queue_delay_s >= 1e-3
