"""The batcher's contract: self-checks run when nobody waits, and change nothing for anybody."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from batchproof_server.base.errors import Draining
from batchproof_server.base.events import SelfCheckRecord
from batchproof_server.base.signature import Tensors
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.selfcheck.choosing import MAX_WAITING, PATIENCE_S, QUIET_S, SelfChecks
from batchproof_server.selfcheck.settings import SelfCheckSettings
from support.batcher_bench import POISON, Bench, tensors, values
from support.fakes import ElementwiseBackend, settle_loop

CLASSES = ((2, 4),)


def checking_bench(
    backend: ElementwiseBackend | None = None,
    share: float = 1.0,
    settings: BatchingSettings | None = None,
) -> Bench:
    checks = SelfChecks(SelfCheckSettings(share), CLASSES)
    return Bench(
        settings or BatchingSettings(buckets_rows=(2, 4), max_queued_rows=8),
        backend or ElementwiseBackend(1),
        self_checks=checks,
    )


async def answered(bench: Bench, *wanted: float) -> None:
    """Each value is a request that is alone in its micro-batch."""
    for value in wanted:
        [task] = await bench.asked(value)
        bench.device.run_next()
        await settle_loop()
        assert values(await task) == [value]


async def quiet(bench: Bench) -> None:
    """The device has had nothing to do for long enough."""
    bench.clock.advance(QUIET_S)
    await settle_loop()


async def test_an_answer_is_tried_again_beside_another_request_in_another_place() -> None:
    bench = checking_bench()
    submit = bench.batcher.submit(tensors(1), 1, None, "request 1")
    first = asyncio.create_task(submit)
    await settle_loop()
    await bench.run_device()
    await first
    await answered(bench, 2)
    assert bench.recorder.self_checks == []
    await quiet(bench)
    bench.device.run_next()
    await settle_loop()
    assert bench.executed() == [[1, 1], [2, 2], [2, 1]]
    assert bench.recorder.self_checks == [
        SelfCheckRecord("model", 3, "identical", "request 1", 2, 2)
    ]


async def test_nothing_is_tried_again_without_a_share() -> None:
    bench = checking_bench(share=0)
    await answered(bench, 1, 2, 3)
    await quiet(bench)
    assert bench.device.waiting_jobs == 0
    assert bench.clock.alarms_s == ()


async def test_a_check_waits_for_a_quiet_device() -> None:
    bench = checking_bench()
    await answered(bench, 1, 2)
    assert bench.clock.alarms_s == (bench.clock.now_s() + QUIET_S,)
    bench.clock.advance(QUIET_S / 2)
    await answered(bench, 3)  # the quiet begins again
    bench.clock.advance(QUIET_S / 2)
    await settle_loop()
    assert bench.device.waiting_jobs == 0
    await quiet(bench)
    assert bench.device.waiting_jobs == 1


async def test_under_load_a_check_that_has_waited_runs_in_the_first_gap() -> None:
    bench = checking_bench(share=0.001)
    await answered(bench, 1, 2)
    [later] = await bench.asked(3)
    bench.clock.advance(PATIENCE_S)
    bench.device.run_next()
    await settle_loop()
    assert values(await later) == [3]
    assert bench.device.waiting_jobs == 1  # nothing waited
    await bench.run_device()
    assert [record.result for record in bench.recorder.self_checks] == ["identical"]


async def test_a_check_is_never_taken_while_a_task_waits() -> None:
    delayed = BatchingSettings((2, 4), max_queue_delay_s=5.0, max_queued_rows=8)
    bench = checking_bench(settings=delayed)
    for value in (1.0, 2.0):
        tasks = [bench.ask(value, rows=4)]
        await settle_loop()
        await bench.run_device()
        await asyncio.gather(*tasks)
    [waiting] = await bench.asked(3)
    bench.clock.advance(4.9)  # quiet and impatient, but a task waits for others
    await settle_loop()
    assert bench.device.waiting_jobs == 0
    bench.clock.advance(0.1)
    await settle_loop()
    bench.device.run_next()
    await settle_loop()
    assert values(await waiting) == [3]
    assert bench.executed()[-1] == [3, 3]


async def test_a_task_that_comes_during_a_check_is_the_next_to_run() -> None:
    bench = checking_bench()
    await answered(bench, 1, 2)
    await quiet(bench)
    bench.clock.advance(PATIENCE_S)
    [later] = await bench.asked(3)
    bench.device.run_next()  # the check
    await settle_loop()
    bench.device.run_next()
    await settle_loop()
    assert values(await later) == [3]
    assert bench.executed()[2:] == [[2, 1], [3, 3]]


async def test_no_record_of_requests_knows_of_checks() -> None:
    bench = checking_bench()
    await answered(bench, 1, 2)
    records, rows = list(bench.recorder.batches), list(bench.recorder.queue_rows)
    await quiet(bench)
    await bench.run_device()
    assert len(bench.recorder.self_checks) == 1
    assert (bench.recorder.batches, bench.recorder.queue_rows) == (records, rows)
    assert bench.recorder.shed == []
    bench.batcher.check_room(8)


class OtherTimes(ElementwiseBackend):
    """Answers as ``spoil`` makes it from the third execution on."""

    def __init__(self, spoil: Callable[[Tensors], Tensors]) -> None:
        super().__init__(1)
        self._spoil = spoil

    def execute(self, inputs: Tensors) -> Tensors:
        """Computes, at first."""
        outputs = super().execute(inputs)
        return outputs if len(self.shapes) <= 2 else self._spoil(outputs)


async def test_another_answer_is_recorded_with_the_request_and_the_greatest_difference() -> None:
    bench = checking_bench(OtherTimes(lambda outputs: {"y": outputs["y"] + 0.25}))
    await answered(bench, 1, 2)
    await quiet(bench)
    await bench.run_device()
    [record] = bench.recorder.self_checks
    assert (record.result, record.greatest_difference) == ("different", 0.25)


def _raise(outputs: Tensors) -> Tensors:
    raise MemoryError(str(outputs.keys()))


@pytest.mark.parametrize("spoil", [_raise, lambda _: {}, lambda outputs: {"y": outputs["y"][:1]}])
async def test_a_check_that_fails_is_skipped_and_nobody_hears_of_it(
    spoil: Callable[[Tensors], Tensors],
) -> None:
    bench = checking_bench(OtherTimes(spoil))
    await answered(bench, 1, 2)
    await quiet(bench)
    await bench.run_device()
    [record] = bench.recorder.self_checks
    assert (record.result, record.reason) == ("skipped", "failed")
    assert [each.failed for each in bench.recorder.batches] == [False, False]


async def test_what_fails_or_is_cancelled_is_not_tried_again() -> None:
    class Failing(ElementwiseBackend):
        def execute(self, inputs: Tensors) -> Tensors:
            if (inputs["x"] == POISON).any():
                raise RuntimeError("poison")
            return super().execute(inputs)

    bench = checking_bench(Failing(1))
    [failing] = await bench.asked(POISON)
    await bench.run_device()
    assert failing.exception() is not None
    [leaving] = await bench.asked(7)
    leaving.cancel()
    await settle_loop()
    await bench.run_device()
    await quiet(bench)
    assert bench.device.waiting_jobs == 0
    assert bench.recorder.self_checks == []


async def test_callers_may_use_their_memory_again_once_they_are_answered() -> None:
    bench = checking_bench()
    for value in (1.0, 2.0):
        mine = tensors(value)
        task = asyncio.create_task(bench.batcher.submit(mine, 1))
        await settle_loop()
        await bench.run_device()
        answer = await task
        np.asarray(mine["x"]).fill(99)
        np.asarray(answer.outputs["y"]).fill(99)
    await quiet(bench)
    await bench.run_device()
    assert bench.executed()[-1] == [2, 1]
    assert [record.result for record in bench.recorder.self_checks] == ["identical"]


async def test_drain_drops_what_waits_and_ends_only_when_no_check_runs() -> None:
    bench = checking_bench()
    await answered(bench, 1, 2, 3)
    await quiet(bench)
    draining = asyncio.create_task(bench.batcher.drain())
    await settle_loop()
    assert [record.reason for record in bench.recorder.self_checks] == ["draining"] * 2
    assert not draining.done()
    await bench.run_device()
    await draining
    assert [record.result for record in bench.recorder.self_checks[2:]] == ["identical"]
    bench.clock.advance(PATIENCE_S)
    await settle_loop()
    assert bench.device.waiting_jobs == 0
    assert bench.clock.alarms_s == ()


async def test_close_leaves_nothing_behind() -> None:
    bench = checking_bench()
    await answered(bench, 1, 2)
    [executing] = await bench.asked(3)
    bench.batcher.close()
    with pytest.raises(Draining):
        await bench.batcher.submit(tensors(4), 1)
    await bench.run_device()
    assert values(await executing) == [3]
    assert bench.clock.alarms_s == ()
    assert [record.reason for record in bench.recorder.self_checks] == ["draining"] * 2


async def test_a_device_that_is_gone_fails_the_check_only() -> None:
    bench = checking_bench()
    await answered(bench, 1, 2)
    bench.device.shutdown()
    await quiet(bench)
    assert [record.reason for record in bench.recorder.self_checks] == ["failed"]


async def test_a_busy_server_skips_what_it_cannot_try_again() -> None:
    bench = checking_bench()
    await answered(bench, *range(MAX_WAITING + 3))
    assert [record.reason for record in bench.recorder.self_checks] == ["busy"] * 3


class Untrue(ElementwiseBackend):
    """Breaks the promise in the way that ``spoil`` does it, given inputs, outputs and a number."""

    def __init__(self, spoil: Callable[[Tensors, Tensors, int], Tensors]) -> None:
        super().__init__(1)
        self._spoil = spoil

    def execute(self, inputs: Tensors) -> Tensors:
        """Computes and spoils."""
        return self._spoil(inputs, super().execute(inputs), len(self.shapes))


def by_neighbour(inputs: Tensors, outputs: Tensors, number: int) -> Tensors:
    del number
    return {"y": outputs["y"] + 1e-9 * inputs["x"].mean()}


def by_position(inputs: Tensors, outputs: Tensors, number: int) -> Tensors:
    del inputs, number
    return {"y": outputs["y"] + 1e-9 * np.arange(len(outputs["y"]))[:, np.newaxis]}


def from_time_to_time(inputs: Tensors, outputs: Tensors, number: int) -> Tensors:
    del inputs
    return {"y": np.nextafter(outputs["y"], np.inf) if number % 5 == 0 else outputs["y"]}


@pytest.mark.parametrize(
    ("spoil", "requests"), [(by_neighbour, 100), (by_position, 100), (from_time_to_time, 12_000)]
)
async def test_a_backend_that_is_not_deterministic_is_caught_in_two_minutes_of_usual_load(
    spoil: Callable[[Tensors, Tensors, int], Tensors], requests: int
) -> None:
    """100 requests a second and the default share: 12,000 requests, 12 checks."""
    checks = SelfChecks(SelfCheckSettings(), CLASSES)
    bench = Bench(backend=Untrue(spoil), self_checks=checks)
    for number in range(requests):
        task = bench.ask(number)
        for _ in range(4):
            await asyncio.sleep(0)
            if bench.device.waiting_jobs:
                bench.device.run_next()
        await task
        bench.clock.advance(0.01)
        while bench.device.waiting_jobs:
            bench.device.run_next()
            await asyncio.sleep(0)
        if any(record.result == "different" for record in bench.recorder.self_checks):
            break
    results = [record.result for record in bench.recorder.self_checks]
    assert results[-1] == "different"
    assert "skipped" not in results
