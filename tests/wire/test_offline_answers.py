"""What offline commands are answered is what a client is answered over gRPC."""

import pytest

from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.base.errors import InvalidInput
from batchproof_server.models.selection import ModelSelector
from batchproof_server.offline.evaluation.paths import single_asker
from batchproof_server.serving.request import (
    NO_DEADLINE_S,
    Prediction,
    PredictRequest,
    Refusal,
)
from support.bundles_on_disk import picture
from support.running import Running


async def test_one_picture_gets_its_scores_and_the_bucket_that_it_was_executed_in(
    serving: Running,
) -> None:
    core = serving.server.core
    with core.versions.lease(ModelSelector("pictures")) as model:
        answer = await single_asker(model, core.predict)(picture(100))
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
    assert answer.bucket_rows == 1


async def test_a_refused_picture_is_told_from_a_failed_call(serving: Running) -> None:
    core = serving.server.core
    with core.versions.lease(ModelSelector("pictures")) as model:
        ask = single_asker(model, core.predict)
        with pytest.raises(InvalidInput, match="unknown format"):
            await ask(b"no picture")


async def test_a_refused_request_spoils_none_of_those_that_are_asked_for_with_it(
    serving: Running,
) -> None:
    core = serving.server.core
    sent = [picture(100), b"no picture", picture(200)]
    with core.versions.lease(ModelSelector("pictures")) as model:
        alone = [await single_asker(model, core.predict)(sent[place]) for place in (0, 2)]
        requests = [PredictRequest(model, NO_DEADLINE_S, images=[each]) for each in sent]
        first, refused, last = await core.predict(requests)
    assert isinstance(refused, Refusal)
    assert "unknown format" in str(refused.error)
    for answer, expected in zip((first, last), alone, strict=True):
        assert isinstance(answer, Prediction)
        assert answer.scores is not None
        assert answer.scores.probabilities[0].tobytes() == expected.probabilities.tobytes()
