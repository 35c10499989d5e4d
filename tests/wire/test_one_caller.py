"""One caller never fails another, over a real port."""

import asyncio
from pathlib import Path

import numpy as np
from grpc import aio

from batchproof.tensors import from_proto, to_proto
from batchproof.v1 import prediction_pb2 as pb
from support.bundles_on_disk import RAW, write_bundle
from support.fakes import PoisonBackend
from support.running import running

POISON = 666.0


def _request(value: float) -> pb.PredictRequest:
    tensors = {"x": to_proto(np.full((1, 1), value, np.float64))}
    return pb.PredictRequest(tensors=pb.NamedTensors(tensors=tensors))


async def test_a_row_that_the_model_refuses_is_refused_and_all_others_are_answered(
    tmp_path: Path,
) -> None:
    write_bundle(tmp_path / "picky" / "1", RAW.replace("16", "64"))  # all may come at once
    backend = PoisonBackend(1, poison=POISON)
    values = [POISON if number % 8 == 0 else float(number) for number in range(64)]
    async with running(tmp_path, others={"picky": backend}) as serving:

        async def ask(value: float) -> float | str:
            try:
                response = await serving.stub.Predict(_request(value))
            except aio.AioRpcError as refused:
                return str(refused.details())
            return float(from_proto(response.outputs["y"])[0, 0])

        answers = await asyncio.gather(*map(ask, values))
        codes = sorted(await serving.log.ended(64))
    refused = [answer for answer in answers if isinstance(answer, str)]
    assert len(refused) == values.count(POISON)
    assert all(text.startswith("the model refuses this row") for text in refused)
    expected = [2 * value + 1 for value in values if value != POISON]
    assert [answer for answer in answers if not isinstance(answer, str)] == expected
    assert codes == ["INVALID_ARGUMENT"] * len(refused) + ["OK"] * len(expected)
