"""The caller beside the server sees what any client sees."""

import numpy as np
import pytest

from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.base.errors import InvalidInput, ServingError
from batchproof_server.rpc.fronts.grpc_aio.loopback import Loopback, connected
from support.bundles_on_disk import picture
from support.running import Running


async def test_one_picture_gets_its_scores_and_the_bucket_that_it_was_executed_in(
    serving: Running,
) -> None:
    async with connected(serving.address) as channel:
        answer = await Loopback(channel, "pictures", 1, logits=True).predict(picture(100))
        plain = await Loopback(channel, "pictures", 1, logits=False).predict(picture(100))
    request = pb.PredictRequest(
        model=pb.ModelSelector(name="pictures"),
        images=pb.EncodedImages(contents=[picture(100)]),
        options=pb.PredictOptions(return_probabilities=True, return_logits=True),
    )
    row = (await serving.stub.Predict(request)).rows[0]
    assert answer.logits is not None
    assert answer.logits.tolist() == list(row.logits)
    assert answer.probabilities.tolist() == list(row.probabilities)
    assert answer.probabilities.dtype == answer.logits.dtype == np.float32
    assert answer.top1 == row.classes[0].index
    assert answer.bucket_rows == 2
    assert plain.logits is None


async def test_a_refused_picture_is_told_from_a_failed_call(serving: Running) -> None:
    async with connected(serving.address) as channel:
        with pytest.raises(InvalidInput, match="unknown format"):
            await Loopback(channel, "pictures", 1, logits=True).predict(b"no picture")
        with pytest.raises(ServingError, match="NOT_FOUND: ") as failed:
            await Loopback(channel, "absent", 1, logits=True).predict(picture())
    assert not isinstance(failed.value, InvalidInput)
