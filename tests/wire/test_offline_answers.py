"""What offline commands are answered is what a client is answered over gRPC."""

import pytest

from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.base.errors import InvalidInput
from batchproof_server.models.selection import ModelSelector
from batchproof_server.offline.evaluation.paths import single_asker
from support.bundles_on_disk import picture
from support.running import Running


async def test_one_picture_gets_its_scores_and_the_bucket_that_it_was_executed_in(
    serving: Running,
) -> None:
    core = serving.server.core
    with core.versions.lease(ModelSelector("pictures")) as model:
        answer = await single_asker(model, core.predictor.predict)(picture(100))
    request = pb.PredictRequest(
        model=pb.ModelSelector(name="pictures"),
        images=pb.EncodedImages(contents=[picture(100)]),
        options=pb.PredictOptions(return_probabilities=True, return_logits=True),
    )
    row = (await serving.stub.Predict(request)).rows[0]
    assert answer.logits is not None
    assert answer.logits.tolist() == list(row.logits)
    assert answer.probabilities.tolist() == list(row.probabilities)
    assert answer.top1 == row.classes[0].index
    assert answer.bucket_rows == 2


async def test_a_refused_picture_is_told_from_a_failed_call(serving: Running) -> None:
    core = serving.server.core
    with core.versions.lease(ModelSelector("pictures")) as model:
        ask = single_asker(model, core.predictor.predict)
        with pytest.raises(InvalidInput, match="unknown format"):
            await ask(b"no picture")
