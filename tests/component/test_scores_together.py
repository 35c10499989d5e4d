"""What was executed together is scored together, and nobody's scores depend on it."""

import asyncio

import numpy as np
import pytest

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.scores import score
from batchproof_server.base.signature import Array
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.serving.request import Prediction
from support.engine_bench import NO_HURRY_S, engine_bench
from support.fakes import ElementwiseBackend, PuppetDevice, settle_loop
from support.scorings import scoring

LOGITS = OutputSettings("logits", "y")
SCORING = scoring("logits", name="y")
WIDE = BatchingSettings(buckets_rows=(4, 8), max_queued_rows=16)


async def answers(classes: int, *inputs: Array) -> list[Prediction | BaseException]:
    """What is answered to requests that ride in one micro-batch."""
    device = PuppetDevice()
    with engine_bench(
        ElementwiseBackend(classes), batching=WIDE, output=LOGITS, device=device
    ) as bench:
        asked = [
            asyncio.ensure_future(
                bench.engine.predict_tensors(bench.model, {"x": each}, NO_HURRY_S)
            )
            for each in inputs
        ]
        await settle_loop()
        with np.errstate(over="ignore"):
            device.run_next()
        return await asyncio.gather(*asked, return_exceptions=True)


def row(*values: float) -> Array:
    return np.array([values], np.float64)


def same_bits(answer: Prediction | BaseException, asked: Array) -> bool:
    assert isinstance(answer, Prediction)
    assert answer.scores is not None
    expected, came = score(2 * asked + 1, "logits"), answer.scores
    names = ("probabilities", "logits", "entropy", "margin", "decided", "confidences")
    return all(getattr(came, n).tobytes() == getattr(expected, n).tobytes() for n in names)


async def test_requests_of_a_micro_batch_share_the_work_and_get_their_own_scores() -> None:
    asked = row(0.1, 0.7, 0.2), np.concatenate([row(3, 1, 2), row(0, 0, 0)]), row(-5, 4, 4)

    first, second, third = came = await answers(3, *asked)

    assert all(map(same_bits, came, asked))
    assert isinstance(first, Prediction)
    co_batched = first.executions[0].co_batched
    assert co_batched is not None
    for place, each in enumerate((first, second, third)):
        assert isinstance(each, Prediction)
        assert each.executions[0].co_batched is co_batched
        assert each.scores is co_batched.scores(place, SCORING, lambda _: False)


async def test_an_output_that_is_not_finite_is_a_matter_of_its_own_request() -> None:
    fine, beyond = row(1, 2, 3), np.concatenate([row(1, 2, 3), row(1e308, 0, 0)])

    first, refused, third = await answers(3, fine, beyond, fine)

    assert same_bits(first, fine)
    assert same_bits(third, fine)
    assert isinstance(refused, InvalidInput)
    with pytest.raises(InvalidInput, match="output for row 1 is not finite"):
        raise refused


async def test_a_request_without_company_shares_nothing() -> None:
    (only,) = await answers(3, row(1, 2, 3))

    assert same_bits(only, row(1, 2, 3))
    assert isinstance(only, Prediction)
    assert only.executions[0].co_batched is None


async def test_many_numbers_are_not_worked_out_at_once_on_the_loop_thread() -> None:
    many = np.linspace(0, 1, 3_000)[np.newaxis]

    came = await answers(3_000, many, many)

    assert all(same_bits(each, many) for each in came)
    assert isinstance(came[0], Prediction)
    co_batched = came[0].executions[0].co_batched
    assert co_batched is not None
    assert co_batched.scores(0, SCORING, lambda _: True) is None
