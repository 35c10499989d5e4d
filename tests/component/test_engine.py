"""The engine: what it refuses before the queue, slices, deadlines, and what it leaves behind."""

import asyncio
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from batchproof_server.base.errors import (
    BackendFailed,
    DeadlineExceeded,
    Draining,
    InvalidInput,
    QueueFull,
)
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.signature import Signature, Tensors, _check_one, check_finite
from batchproof_server.serving.request import RequestLimits
from batchproof_server.serving.rounds import stack_rows
from support.bundles_on_disk import picture
from support.engine_bench import NO_HURRY_S, engine_bench, recipe_for
from support.fakes import (
    ElementwiseBackend,
    FakeClock,
    GatedBackend,
    PoisonBackend,
    PuppetDevice,
    settle_loop,
    spec,
    until,
)

POISON = 666.0


def rows(*values: float) -> Tensors:
    return {"x": np.array(values, np.float64)[:, np.newaxis]}


async def test_rows_are_answered_in_their_order_across_slices() -> None:
    with engine_bench(ElementwiseBackend(1)) as bench:
        asked = rows(*range(9))
        answer = await bench.engine.predict_tensors(bench.model, asked, NO_HURRY_S)
    np.testing.assert_array_equal(answer.outputs["y"], asked["x"] * 2 + 1)
    assert [execution.rows for execution in answer.executions] == [4, 4, 1]
    assert answer.scores is None


async def test_a_failing_slice_fails_the_request_and_leaves_nothing_in_the_queue() -> None:
    device = PuppetDevice()
    with engine_bench(PoisonBackend(1), device=device) as bench:
        asked = rows(POISON, *range(11))
        task = asyncio.ensure_future(bench.engine.predict_tensors(bench.model, asked, NO_HURRY_S))
        await settle_loop()
        assert (device.waiting_jobs, bench.waiting_rows) == (1, 8)
        device.run_next()
        with pytest.raises(BackendFailed):
            await task
        assert bench.waiting_rows == 0
        while device.waiting_jobs:
            device.run_next()
        await settle_loop()
        await bench.model.batcher.drain()


async def test_cancelling_a_sliced_request_leaves_nothing_in_the_queue() -> None:
    device = PuppetDevice()
    with engine_bench(ElementwiseBackend(1), device=device) as bench:
        task = asyncio.ensure_future(
            bench.engine.predict_tensors(bench.model, rows(*range(12)), NO_HURRY_S)
        )
        await settle_loop()
        assert bench.waiting_rows == 8
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert bench.waiting_rows == 0


async def test_a_sliced_request_is_refused_as_a_whole_when_it_does_not_fit() -> None:
    device = PuppetDevice()
    with engine_bench(ElementwiseBackend(1), device=device) as bench:
        filling = asyncio.ensure_future(
            bench.engine.predict_tensors(bench.model, rows(*range(12)), NO_HURRY_S)
        )
        await settle_loop()
        with pytest.raises(QueueFull):
            await bench.engine.predict_tensors(bench.model, rows(*range(9)), NO_HURRY_S)
        assert max(bench.recorder.queue_rows) == bench.waiting_rows == 8
        assert bench.recorder.shed_reasons == ["queue_full"]
        filling.cancel()


async def test_pictures_are_decoded_stacked_and_answered_in_their_order() -> None:
    backend = ElementwiseBackend(2, 2, 3)
    with engine_bench(backend, recipe=recipe_for(2, 2, 3)) as bench:
        images = [picture(level) for level in (1, 2, 3, 4, 5)]
        answer = await bench.engine.predict_images(bench.model, images, NO_HURRY_S)
        one = await bench.engine.predict_images(bench.model, images[:1], NO_HURRY_S)
    assert answer.outputs["y"][:, 0, 0, 0].tolist() == [3, 5, 7, 9, 11]
    np.testing.assert_array_equal(one.outputs["y"][0], answer.outputs["y"][0])
    assert [record.image_format for record in bench.recorder.decoded] == ["png"] * 6


async def test_pictures_of_two_sizes_in_a_request_are_refused_where_any_size_is_taken() -> None:
    recipe = recipe_for(None, None, 3)
    with engine_bench(ElementwiseBackend(None, None, 3), recipe=recipe) as bench:
        images = [picture(size=2), picture(size=3)]
        for image in images:
            await bench.engine.predict_images(bench.model, [image], NO_HURRY_S)
        with pytest.raises(InvalidInput, match=r"rows of \[2, 2, 3\] and \[3, 3, 3\]"):
            await bench.engine.predict_images(bench.model, images, NO_HURRY_S)


async def test_a_model_without_a_recipe_takes_no_pictures() -> None:
    with (
        engine_bench(ElementwiseBackend(1)) as bench,
        pytest.raises(InvalidInput, match="expected input tensors"),
    ):
        await bench.engine.predict_images(bench.model, [picture()], NO_HURRY_S)


@pytest.mark.parametrize(("count", "sentence"), [(0, "0 rows"), (17, "17 rows, expected at most")])
async def test_the_number_of_pictures_is_checked_before_they_are_decoded(
    count: int, sentence: str
) -> None:
    backend = ElementwiseBackend(2, 2, 3)
    with (
        engine_bench(backend, recipe=recipe_for(2, 2, 3)) as bench,
        pytest.raises(InvalidInput, match=sentence),
    ):
        await bench.engine.predict_images(bench.model, [b"junk"] * count, NO_HURRY_S)


async def test_pictures_that_find_no_room_are_refused_before_they_are_decoded() -> None:
    device = PuppetDevice()
    recipe = recipe_for(2, 2, 3)
    with engine_bench(ElementwiseBackend(2, 2, 3), recipe=recipe, device=device) as bench:
        filling = []
        for _ in range(5):
            asked = {"x": np.zeros((4, 2, 2, 3))}
            answer = bench.engine.predict_tensors(bench.model, asked, NO_HURRY_S)
            filling.append(asyncio.ensure_future(answer))
            await settle_loop()
        assert bench.waiting_rows == 16
        with pytest.raises(QueueFull):
            await bench.engine.predict_images(bench.model, [b"junk"], NO_HURRY_S)
        assert bench.recorder.shed_reasons == ["queue_full"]
        for task in filling:
            task.cancel()


async def test_a_deadline_that_passes_during_decoding_sheds_the_request() -> None:
    clock = FakeClock()
    backend = ElementwiseBackend(2, 2, 3)
    with engine_bench(backend, recipe=recipe_for(2, 2, 3), clock=clock) as bench:
        with pytest.raises(DeadlineExceeded, match="while the picture was decoded"):
            await bench.engine.predict_images(bench.model, [picture()], clock.now_s())
        assert bench.recorder.shed_reasons == ["deadline"]
        assert backend.shapes == []


async def test_a_draining_model_refuses() -> None:
    with engine_bench(ElementwiseBackend(1)) as bench:
        await bench.model.batcher.drain()
        for count in (1, 9):
            with pytest.raises(Draining):
                await bench.engine.predict_tensors(bench.model, rows(*range(count)), NO_HURRY_S)


async def test_a_request_that_is_refused_reaches_no_queue() -> None:
    backend = ElementwiseBackend(1)
    with engine_bench(backend) as bench:
        for bad in (rows(1, math.nan), rows(math.inf), {"z": np.zeros((1, 1))}, rows()):
            with pytest.raises(InvalidInput):
                await bench.engine.predict_tensors(bench.model, bad, NO_HURRY_S)
    assert backend.shapes == []
    assert bench.recorder.queue_rows == []


async def test_scores_are_taken_from_the_named_output() -> None:
    output = OutputSettings("logits", "y")
    with engine_bench(ElementwiseBackend(3), output=output) as bench:
        tensors = {"x": np.array([[0.0, 1.0, 2.0]])}
        answer = await bench.engine.predict_tensors(bench.model, tensors, NO_HURRY_S)
    assert answer.scores is not None
    assert answer.scores.ranking(0, 2) == [2, 1]
    np.testing.assert_array_equal(answer.outputs["y"], [[1.0, 3.0, 5.0]])


@pytest.mark.parametrize(
    ("timeout_s", "left_s"), [(None, 60.0), (5.0, 5.0), (600.0, 60.0), (0.0, 0.0)]
)
def test_a_deadline_is_the_callers_or_the_limit(timeout_s: float | None, left_s: float) -> None:
    clock = FakeClock()
    with engine_bench(ElementwiseBackend(1), clock=clock, device=PuppetDevice()) as bench:
        assert bench.engine.deadline_s(timeout_s) == clock.now_s() + left_s


@pytest.mark.parametrize(
    "limits", [{"max_request_rows": 0}, {"max_timeout_s": 0.0}, {"max_timeout_s": math.nan}]
)
def test_limits_without_sense_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(limits))):
        RequestLimits(**limits)  # type: ignore[arg-type] # the keys are fields


def test_the_first_row_that_is_not_finite_is_named() -> None:
    array = np.zeros((3, 2, 2), np.float32)
    array[1:, 0, 1] = np.nan
    with pytest.raises(InvalidInput, match=r'input "x" holds NaN or infinity in row 1'):
        check_finite({"x": array})


def test_integers_and_empty_rows_are_finite() -> None:
    check_finite({"x": np.zeros((2, 3), np.int32)})
    check_finite({"x": np.zeros((2, 0), np.float32)})


async def test_an_open_size_of_zero_is_refused_before_the_model_sees_it() -> None:
    signature = Signature((spec("x", None),), (spec("y", None),))
    with pytest.raises(InvalidInput, match=r"float64 \[2, 0\], expected float64 \[rows, any\]"):
        signature.check({"x": np.zeros((2, 0))})


async def test_slices_of_one_request_ride_with_other_requests() -> None:
    backend = GatedBackend(1)
    with engine_bench(backend) as bench:
        first = asyncio.ensure_future(
            bench.engine.predict_tensors(bench.model, rows(0), NO_HURRY_S)
        )
        await backend.entered()
        large = asyncio.ensure_future(
            bench.engine.predict_tensors(bench.model, rows(*range(6)), NO_HURRY_S)
        )
        await until(lambda: bench.waiting_rows == 6)
        small = asyncio.ensure_future(
            bench.engine.predict_tensors(bench.model, rows(7, 8), NO_HURRY_S)
        )
        await until(lambda: bench.waiting_rows == 8)
        backend.release(3)
        answers = await asyncio.gather(first, large, small)
    assert [answer.outputs["y"][:, 0].tolist() for answer in answers] == [
        [1],
        [1, 3, 5, 7, 9, 11],
        [15, 17],
    ]
    assert [record.rows for record in bench.recorder.batches] == [1, 4, 4]


@pytest.mark.parametrize(("side", "on_loop"), [(4, True), (700, False)])
async def test_what_grows_with_a_request_is_kept_from_the_loop_where_it_is_large(
    monkeypatch: pytest.MonkeyPatch, side: int, *, on_loop: bool
) -> None:
    threads: set[threading.Thread] = set()

    def noted(work: Callable[..., Any]) -> Callable[..., Any]:
        def work_noted(*arguments: Any) -> Any:
            threads.add(threading.current_thread())
            return work(*arguments)

        return work_noted

    monkeypatch.setattr("batchproof_server.serving.rounds.stack_rows", noted(stack_rows))
    monkeypatch.setattr("batchproof_server.base.signature._check_one", noted(_check_one))
    with engine_bench(ElementwiseBackend(side, side, 3), recipe=recipe_for(side, side, 3)) as bench:
        images = [picture(size=side)] * 2
        await bench.engine.predict_images(bench.model, images, NO_HURRY_S)
        tensors = {"x": np.zeros((2, side, side, 3))}
        await bench.engine.predict_tensors(bench.model, tensors, NO_HURRY_S)
        tensors["x"][1, 2, 3, 0] = math.nan
        with pytest.raises(InvalidInput, match="NaN or infinity in row 1"):
            await bench.engine.predict_tensors(bench.model, tensors, NO_HURRY_S)
    assert (threads == {threading.current_thread()}) is on_loop
    assert (threading.current_thread() in threads) is on_loop


async def test_the_scores_of_a_request_are_told_once_and_are_those_of_its_answer() -> None:
    logits = OutputSettings("logits", "y")
    with engine_bench(ElementwiseBackend(3), output=logits) as bench:
        asked = {"x": np.arange(18.0).reshape(6, 3)}
        answer = await bench.engine.predict_tensors(bench.model, asked, NO_HURRY_S, "asked")
        await settle_loop()
    (told,) = bench.recorder.predictions
    assert answer.scores is not None
    assert (told.model, told.version, told.request_id) == ("model", 1, "asked")
    assert told.scores is answer.scores
    assert told.rows == 6


async def test_nothing_is_told_of_the_scores_of_a_model_that_has_none() -> None:
    with engine_bench(ElementwiseBackend(1)) as bench:
        await bench.engine.predict_tensors(bench.model, rows(1), NO_HURRY_S)
    assert bench.recorder.predictions == []
