"""A shadow executes answered rows while nobody waits, and changes nothing for anybody."""

import asyncio
from typing import Any

import numpy as np
import pytest

from batchproof_server.base.errors import InvalidInput, ModelNotFound
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.models.selection import ModelSelector
from batchproof_server.selfcheck.choosing import PATIENCE_S, QUIET_S
from batchproof_server.shadowing.holding import MOST_ROWS
from batchproof_server.shadowing.settings import ShadowSettings
from support.fakes import ElementwiseBackend, settle_loop
from support.shadowing import ScriptedBackend, Shadowed


async def shadowed(shadow: Any = lambda y: y, **settings: Any) -> Shadowed:
    """A shadow that makes this of what version 1 answers."""
    return await Shadowed((ScriptedBackend(), ScriptedBackend(shadow)), **settings).load()


async def test_an_answered_row_is_executed_alone_in_the_smallest_bucket() -> None:
    bench = await shadowed()
    await bench.answered(1.0, 2.0, 3.0)
    await bench.pass_time(QUIET_S)
    assert not bench.told
    await bench.run_shadow()
    assert bench.backends[1].batches[0].tolist() == [[1.0, 2.0, 3.0]] * 2
    (record,) = bench.told
    assert (record.version, record.shadow, record.result) == (1, 2, "same")
    assert (record.distance, record.reason) == (0.0, "")
    assert record.answered_s is not None
    # Nobody is told of it as of a micro-batch that was answered.
    assert [each.version for each in bench.recorder.batches] == [1]


async def test_another_answer_is_told_with_its_distance() -> None:
    bench = await shadowed(lambda y: -y)
    answer = await bench.answered(0.0, 1.0, 2.0)
    await bench.pass_time(QUIET_S)
    await bench.run_shadow()
    (record,) = bench.told
    assert record.result == "different"
    logits = answer.outputs["y"][0]
    one, other = (np.exp(each) / np.exp(each).sum() for each in (logits, -logits))
    assert record.distance == pytest.approx(np.abs(one - other).sum() / 2, abs=1e-6)


async def test_a_shadow_answers_nobody() -> None:
    bench = await shadowed()
    assert bench.versions.select(ModelSelector("m")).version == 1
    assert bench.versions.select(ModelSelector("")).version == 1
    assert [each.version for each in bench.versions.ready()] == [1]
    with pytest.raises(ModelNotFound, match='version 2 of model "m" is a shadow, which answers no'):
        bench.versions.lease(ModelSelector("m", version=2))
    await bench.answered()
    assert not bench.backends[1].batches


async def test_nothing_is_executed_while_a_request_is_under_way() -> None:
    bench = await shadowed()
    await bench.answered()
    bench.asking += 1  # read, decoded, or on its way back
    await bench.pass_time(10 * PATIENCE_S)
    assert bench.devices[1].waiting_jobs == 0
    bench.asking -= 1
    await bench.pass_time(QUIET_S)
    assert bench.devices[1].waiting_jobs == 1


async def test_nothing_is_executed_while_a_task_waits_or_is_executed() -> None:
    delayed = BatchingSettings((2, 4), max_queue_delay_s=5.0, max_queued_rows=8)
    bench = await shadowed(batching=delayed)
    first = bench.ask()
    await settle_loop()
    await bench.pass_time(5)
    bench.devices[0].run_next()
    await settle_loop()
    await first
    waiting = bench.ask()
    await settle_loop()
    bench.asking -= 1  # as if nobody knew of it but the queue
    await bench.pass_time(4)
    assert bench.devices[1].waiting_jobs == 0
    await bench.pass_time(1)
    assert bench.devices[0].waiting_jobs == 1
    await bench.pass_time(10 * PATIENCE_S)
    assert bench.devices[1].waiting_jobs == 0
    bench.devices[0].run_next()
    await settle_loop()
    bench.asking += 1
    await waiting
    await bench.pass_time(QUIET_S)
    assert bench.devices[1].waiting_jobs == 1


async def test_one_row_is_executed_at_a_time_and_pauses_are_kept() -> None:
    bench = await shadowed()
    for _ in range(3):
        await bench.answered()
    await bench.pass_time(PATIENCE_S)
    assert bench.devices[1].waiting_jobs == 1
    await bench.pass_time(10 * PATIENCE_S)
    assert bench.devices[1].waiting_jobs == 1
    await bench.run_shadow()
    assert bench.devices[1].waiting_jobs == 0
    await bench.pass_time(QUIET_S)
    assert bench.devices[1].waiting_jobs == 1


async def test_whoever_comes_while_the_shadow_executes_is_executed_beside_it() -> None:
    bench = await shadowed()
    await bench.answered()
    await bench.pass_time(QUIET_S)
    assert bench.devices[1].waiting_jobs == 1
    answer = await bench.answered(4.0, 5.0, 6.0)
    assert answer.queue_delay_s == 0
    assert bench.devices[1].waiting_jobs == 1


def _raise(_y: Any) -> Any:
    raise RuntimeError("no")


@pytest.mark.parametrize(
    "answer",
    [_raise, lambda y: y[:, :1], lambda y: np.full_like(y, np.nan), lambda _y: None],
    ids=["raises", "other shape", "not finite", "nothing"],
)
async def test_a_shadow_that_fails_harms_nobody_and_is_counted(answer: Any) -> None:
    bench = await shadowed(answer)
    for _ in range(3):
        answer_of_caller = await bench.answered(1.0, 2.0, 3.0)
        assert answer_of_caller.outputs["y"].tolist() == [[3.0, 5.0, 7.0]]
        await bench.pass_time(QUIET_S)
        await bench.run_shadow()
    assert bench.reasons == ["failed"] * 3
    assert {each.result for each in bench.told} == {"skipped"}
    assert not bench.recorder.isolations
    assert bench.versions.select(ModelSelector("m")).version == 1


async def test_rows_beyond_the_bounds_are_skipped_and_counted() -> None:
    row_bytes = 2 * 3 * 8
    two = ShadowSettings({"m": 2}, share=1.0, max_held_bytes=2 * row_bytes)
    bench = await shadowed(settings=two)
    for _ in range(3):
        await bench.answered()
    assert bench.reasons == ["busy"]
    none = ShadowSettings({"m": 2}, share=1.0, max_held_bytes=row_bytes - 1)
    bench = await shadowed(settings=none)
    await bench.answered()
    assert bench.reasons == ["too_large"]
    bench = await shadowed()
    for _ in range(MOST_ROWS + 1):
        await bench.answered()
    assert bench.reasons == ["busy"]


async def test_rows_are_copies() -> None:
    bench = await shadowed()
    row = np.array([[1.0, 2.0, 3.0]])
    bench.asking += 1
    task = asyncio.create_task(bench._ask(row))
    await settle_loop()
    bench.devices[0].run_next()
    await settle_loop()
    await task
    row[:] = 9.0
    await bench.pass_time(QUIET_S)
    await bench.run_shadow()
    assert bench.backends[1].batches[0][0].tolist() == [1.0, 2.0, 3.0]


async def test_a_share_of_the_tasks_is_selected() -> None:
    bench = await shadowed(settings=ShadowSettings({"m": 2}, share=0.25))
    for _ in range(16):
        await bench.answered()
    for _ in range(16):
        await bench.pass_time(QUIET_S)
        if bench.devices[1].waiting_jobs:
            await bench.run_shadow()
    assert len(bench.told) in (4, 5)


async def test_a_shadow_that_takes_other_inputs_is_not_compared() -> None:
    bench = await Shadowed((ScriptedBackend(), ScriptedBackend(classes=4))).load()
    await bench.answered()
    await bench.pass_time(QUIET_S)
    assert bench.reasons == ["not_comparable"]
    assert bench.devices[1].waiting_jobs == 0


async def test_raw_outputs_are_not_compared() -> None:
    bench = await Shadowed((ElementwiseBackend(3), ElementwiseBackend(3)), kind="raw").load()
    await bench.answered()
    await bench.pass_time(QUIET_S)
    assert bench.reasons == ["not_comparable"]


async def test_a_shadow_that_cannot_answer_is_left_alone() -> None:
    bench = await shadowed()
    (shadow,) = [each for each in bench.versions.loaded() if each.version == 2]
    await shadow.batcher.drain()
    await bench.answered()
    await bench.pass_time(QUIET_S)
    assert bench.reasons == ["not_ready"]


async def test_a_shadow_begins_and_ends_while_the_server_serves() -> None:
    bench = await shadowed()
    bench.shadowing.set("m", None)
    assert bench.versions.select(ModelSelector("m")).version == 2
    bench.shadowing.set("m", 2)
    await bench.answered()
    bench.shadowing.set("m", None)
    await bench.pass_time(PATIENCE_S)
    assert not bench.told
    assert bench.devices[1].waiting_jobs == 0
    bench.versions.labels.move("m", {"stable": 2})
    with pytest.raises(InvalidInput, match='the label "stable" stands for version 2'):
        bench.shadowing.set("m", 2)


async def test_an_end_is_an_end() -> None:
    bench = await shadowed()
    await bench.answered()
    bench.shadowing.end()
    await bench.pass_time(PATIENCE_S)
    assert bench.devices[1].waiting_jobs == 0


async def test_without_a_shadow_nobody_is_told_of_answers() -> None:
    bench = await shadowed(settings=ShadowSettings())
    for each in bench.versions.loaded():
        assert each.batcher._accounts.tell_answered is None


def test_a_shadow_that_does_not_lie_in_the_repository_ends_the_start() -> None:
    with pytest.raises(
        ValueError, match=r'shadow\.versions\.m: there is no version 9 of a model "m"'
    ):
        Shadowed(settings=ShadowSettings({"m": 9}))
