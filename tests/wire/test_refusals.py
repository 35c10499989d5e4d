"""Bad tensors and bad pictures: each is refused with what came and what was expected."""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from batchproof.v1 import prediction_pb2 as pb
from support.bundles_on_disk import LOGITS, picture, write_bundle
from support.running import (
    Running,
    failure,
    refused,
    request,
    running,
    tensors,
    trailer,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FINITE = "holds NaN or infinity in row 1"
FLOAT = "float32 [rows, 4]"
BAD_TENSORS = {
    "dtype": (tensors([[1] * 4], dtype="float64"), f"float64 [1, 4], expected {FLOAT}"),
    "shape": (tensors([[1] * 5]), f"float32 [1, 5], expected {FLOAT}"),
    "no rows axis": (tensors([1] * 4), f"float32 [4], expected {FLOAT}"),
    "scalar": (tensors(1), f"float32 [], expected {FLOAT}"),
    "zero rows": (tensors(np.empty((0, 4))), "the request has 0 rows, expected 1 or more"),
    "missing": (pb.NamedTensors(), 'inputs are none, expected exactly "image"'),
    "unknown": (tensors([[1] * 4], "picture"), 'inputs are "picture", expected exactly "image"'),
    "nan": (tensors([[1] * 4, [1, 2, np.nan, 4]]), NOT_FINITE),
    "inf": (tensors([[1] * 4, [-np.inf, 2, 3, 4]]), NOT_FINITE),
    "bytes": (
        pb.NamedTensors(
            tensors={
                "image": pb.Tensor(data_type=pb.DATA_TYPE_FLOAT32, shape=[1, 4], content=b"123")
            }
        ),
        'input "image": content is 3 bytes, expected 16',
    ),
    "data type": (pb.NamedTensors(tensors={"image": pb.Tensor(shape=[1, 4])}), "data_type is 0"),
    "too many rows": (tensors(np.ones((7, 4))), "the request has 7 rows, expected at most 6"),
    "beyond the model": (tensors([[3e38] * 4]), "the model's output for row 0 is not finite"),
}


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # "beyond the model"
@pytest.mark.parametrize("case", BAD_TENSORS)
async def test_bad_tensors_are_refused_with_what_came_and_what_was_expected(
    serving: Running, case: str
) -> None:
    bad, sentence = BAD_TENSORS[case]
    asked = pb.PredictRequest(request_id="mine", model=pb.ModelSelector(name="logits"), tensors=bad)
    error = await refused(serving, asked)
    assert error.code() is INVALID
    assert sentence in (error.details() or "")
    assert trailer(error) == {"x-request-id": "mine"}
    assert await serving.log.ended(1) == ["INVALID_ARGUMENT"]
    assert not serving.log.unforeseen()


async def test_a_request_without_input_is_refused(serving: Running) -> None:
    error = await refused(serving, pb.PredictRequest(model=pb.ModelSelector(name="raw")))
    assert error.code() is INVALID
    assert error.details() == "the request has no input, expected images or tensors"


@pytest.mark.parametrize(
    ("model", "images", "sentence"),
    [
        ("logits", [picture()], 'model "logits" has no recipe for images, expected input tensors'),
        ("pictures", [], "the request has 0 rows, expected 1 or more"),
        ("pictures", [picture()] * 7, "the request has 7 rows, expected at most 6"),
        ("pictures", [picture(), picture(size=3)], "image 1: the picture is 3 x 3 pixels"),
        ("pictures", [b""], "empty"),
    ],
)
async def test_bad_pictures_are_refused(
    serving: Running, model: str, images: list[bytes], sentence: str
) -> None:
    contents = pb.EncodedImages(contents=images)
    asked = pb.PredictRequest(model=pb.ModelSelector(name=model), images=contents)
    error = await refused(serving, asked)
    assert error.code() is INVALID
    assert sentence in (error.details() or "")
    assert await serving.log.ended(1) == ["INVALID_ARGUMENT"]


async def test_the_manifest_and_the_queue_lower_the_limit_of_rows(tmp_path: Path) -> None:
    write_bundle(tmp_path / "manifest" / "1", "max_request_rows = 3\n" + LOGITS)
    write_bundle(tmp_path / "queue" / "1")
    async with running(tmp_path) as serving:
        for model, limit in {"manifest": 3, "queue": 16}.items():
            error = await refused(serving, request(np.ones((limit + 1, 4)), model=model))
            assert error.code() is INVALID
            assert (error.details() or "").endswith(f"expected at most {limit}")
            await serving.stub.Predict(request(np.ones((limit, 4)), model=model))


NO_MESSAGE_OF_ANY_PROTOCOL = b"\xff" * 100


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("/batchproof.v1.PredictionService/Predict", "Predict"),
        ("/batchproof.v1.PredictionService/GetModel", "GetModel"),
        ("/inference.GRPCInferenceService/ModelInfer", "inference.ModelInfer"),
        ("/tensorflow.serving.PredictionService/Predict", "tensorflow.Predict"),
    ],
)
async def test_bytes_that_are_no_message_are_the_callers_fault_and_counted(
    serving: Running, method: str, name: str
) -> None:
    call: Any = serving.channel.unary_unary(method)
    error = await failure(call(NO_MESSAGE_OF_ANY_PROTOCOL, metadata=(("x-request-id", "mine"),)))
    assert error.code() is INVALID
    assert (error.details() or "").startswith("the message cannot be read")
    assert trailer(error) == {"x-request-id": "mine"}
    assert await serving.log.ended(1) == ["INVALID_ARGUMENT"]
    assert serving.log.requests()[0]["method"] == name
    assert not serving.log.unforeseen()


async def test_bytes_that_are_no_message_spoil_no_other_request_of_a_stream(
    serving: Running,
) -> None:
    call: Any = serving.channel.stream_stream("/batchproof.v1.PredictionService/PredictStream")
    good = pb.PredictStreamRequest(request=request(request_id="good", model="raw"))
    stream = call(iter([NO_MESSAGE_OF_ANY_PROTOCOL, good.SerializeToString()]))
    answers = [pb.PredictStreamResponse.FromString(answer) async for answer in stream]
    codes = {answer.request_id == "good": answer.error.code for answer in answers}
    assert codes == {True: 0, False: grpc.StatusCode.INVALID_ARGUMENT.value[0]}


@pytest.mark.parametrize("method", ["Check", "Watch"])
async def test_a_question_for_health_that_cannot_be_read_is_the_callers_fault(
    serving: Running, method: str
) -> None:
    call: Any = serving.channel.unary_stream(f"/grpc.health.v1.Health/{method}")
    error = await failure(call(NO_MESSAGE_OF_ANY_PROTOCOL).read())
    assert error.code() is INVALID


async def test_an_unknown_method_is_unimplemented(serving: Running) -> None:
    call: Any = serving.channel.unary_unary("/batchproof.v1.PredictionService/Guess")
    error = await failure(call(b""))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
