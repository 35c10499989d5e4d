"""TensorFlow Serving's protocol over a real port: tensors, pictures, versions, models."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from batchproof.compat import tensorflow_pb2 as tf
from batchproof.compat import tensorflow_serving_pb2 as pb
from batchproof.v1 import prediction_pb2 as own
from batchproof_server.application.config import Config
from batchproof_server.rpc.settings import RpcSettings
from support.bundles_on_disk import LOGITS, RAW, picture, write_bundle
from support.compat_requests import (
    content,
    infer_images,
    model_service,
    open_inference,
    outputs_of,
    predict,
    prediction,
    scores,
    shaped,
    strings,
)
from support.fakes import GatedBackend, until
from support.patience import HOPELESS_S
from support.running import WARM_UPS, Running, failure, gated_request, running, trailer

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED


@pytest.fixture
def stub(serving: Running) -> Any:
    """The prediction service of the server with one model of each kind."""
    return prediction(serving.channel)


def typed(dtype: tf.DataType, *shape: int, **values: Any) -> tf.TensorProto:
    """A tensor of typed values."""
    return tf.TensorProto(dtype=dtype, tensor_shape=shaped(*shape), **values)


async def test_numbers_are_answered_in_typed_fields_with_who_answered(stub: Any) -> None:
    call = stub.Predict(predict(content([[1, 2, 3, 4], [5, 6, 7, 8]]), "logits"))
    answer = await call
    assert answer.outputs["scores"].dtype == tf.DT_FLOAT
    assert not answer.outputs["scores"].tensor_content
    np.testing.assert_array_equal(scores(answer), [[3, 5, 7], [11, 13, 15]])
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("logits", 1, "serving_default")
    trailing = dict(tuple(await call.trailing_metadata()))
    assert len(trailing["x-request-id"]) == 32
    assert len(trailing["x-model-digest"]) == 64
    assert trailing["x-recipe-digest"] == ""


async def test_the_callers_request_id_is_taken_and_echoed(serving: Running, stub: Any) -> None:
    call = stub.Predict(predict(), metadata=(("x-request-id", "mine"),))
    await call
    assert dict(tuple(await call.trailing_metadata()))["x-request-id"] == "mine"
    await serving.log.ended(1)
    (record,) = serving.log.requests()
    known = {"method", "request_id", "model", "version", "rows", "code"}
    assert {key: record[key] for key in known} == {
        "method": "tensorflow.Predict",
        "request_id": "mine",
        "model": "raw",
        "version": 1,
        "rows": 1,
        "code": "OK",
    }


SPLATS = {
    "one for each": (typed(tf.DT_FLOAT, 1, 4, float_val=[1, 2, 3, 4]), [3, 5, 7]),
    "one for all": (typed(tf.DT_FLOAT, 1, 4, float_val=[4]), [9, 9, 9]),
    "the last for the rest": (typed(tf.DT_FLOAT, 1, 4, float_val=[1, 2]), [3, 5, 5]),
    "none, which is 0": (typed(tf.DT_FLOAT, 1, 4), [1, 1, 1]),
}


@pytest.mark.parametrize("case", SPLATS)
async def test_the_last_typed_value_stands_for_the_rest(stub: Any, case: str) -> None:
    tensor, expected = SPLATS[case]
    np.testing.assert_array_equal(scores(await stub.Predict(predict(tensor))), [expected])


@pytest.mark.parametrize(
    ("dtype", "number", "field"),
    [
        ("float64", tf.DT_DOUBLE, "double_val"),
        ("uint8", tf.DT_UINT8, "int_val"),
        ("int32", tf.DT_INT32, "int_val"),
        ("int64", tf.DT_INT64, "int64_val"),
    ],
)
async def test_typed_values_are_answered_like_bytes(
    tmp_path: Path, dtype: str, number: tf.DataType, field: str
) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW, input_dtype=dtype)
    values = typed(number, 1, 4, **{field: [1, 2, 3, 4]})
    async with running(tmp_path) as serving:
        service = prediction(serving.channel)
        answers = [
            await service.Predict(predict(tensor))
            for tensor in (values, content([[1, 2, 3, 4]], dtype))
        ]
    assert answers[0] == answers[1]
    np.testing.assert_array_equal(scores(answers[0]), [[3, 5, 7]])


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
@pytest.mark.parametrize("signature", ["", "serving_default", "encoded_images"])
async def test_strings_are_pictures_for_the_recipe(
    stub: Any, shape: tuple[int, ...], signature: str
) -> None:
    tensor = strings([picture(3), picture(4)], *shape)
    answer = await stub.Predict(predict(tensor, "pictures", signature_name=signature))
    np.testing.assert_array_equal(scores(answer), [[7] * 3, [9] * 3])
    assert answer.model_spec.signature_name == (signature or "serving_default")


async def test_one_string_stands_for_the_rest(stub: Any) -> None:
    answer = await stub.Predict(predict(strings([picture(3)], 3), "pictures"))
    np.testing.assert_array_equal(scores(answer), [[7] * 3] * 3)


async def test_the_filter_selects_outputs_and_reaches_the_extras(stub: Any) -> None:
    asked = predict(model="logits", output_filter=("probabilities", "label"))
    answer = await stub.Predict(asked)
    assert set(answer.outputs) == {"probabilities", "label"}
    assert list(answer.outputs["label"].string_val) == [b"owl"]
    assert answer.outputs["label"].dtype == tf.DT_STRING
    assert sum(answer.outputs["probabilities"].float_val) == pytest.approx(1)


@pytest.mark.parametrize(
    ("spec", "version"),
    [
        ({}, 2),
        ({"version": 1}, 1),
        ({"version_label": "stable"}, 1),
        ({"version_label": "2"}, 2),
        ({"version_label": "1"}, 1),
    ],
)
async def test_a_version_is_a_number_or_a_label_or_a_number_sent_as_a_label(
    stub: Any, spec: dict[str, Any], version: int
) -> None:
    """A perf_analyzer of Triton's sends the version as a label."""
    answer = await stub.Predict(predict(model="several", **spec))
    assert answer.model_spec.version.value == version


async def test_a_label_goes_before_a_version_of_the_same_name(tmp_path: Path) -> None:
    write_bundle(tmp_path / "several" / "1", RAW)
    write_bundle(tmp_path / "several" / "2", RAW)
    config = Config(version_labels={"several": {"2": 1}})
    async with running(tmp_path, config) as serving:
        asked = predict(model="several", version_label="2")
        answer = await prediction(serving.channel).Predict(asked)
    assert answer.model_spec.version.value == 1


def _unknown_rank() -> tf.TensorProto:
    tensor = content([[1, 2, 3, 4]])
    tensor.tensor_shape.unknown_rank = True
    return tensor


def _two_inputs() -> pb.PredictRequest:
    request = predict()
    request.inputs["more"].CopyFrom(content([[1]]))
    return request


FLOAT = "expected float32 [rows, 4]"
BAD = {
    "byte count": (
        predict(typed(tf.DT_FLOAT, 1, 4, tensor_content=b"123")),
        'input "image": tensor_content is 3 bytes, expected 16',
    ),
    "dtype": (predict(content([[1] * 4], "float64")), f"is float64 [1, 4], {FLOAT}"),
    "unknown dtype": (predict(typed(14, 1, 4)), "dtype is 14, expected one of"),  # type: ignore[arg-type] # on purpose
    "no dtype": (predict(tf.TensorProto()), "dtype is 0, expected one of DT_BOOL"),
    "missing input": (
        predict(name="other"),
        (
            "input size does not match signature: 1!=1 len({other}) != len({image}). "
            "Sent extra: {other}. Missing but required: {image}."
        ),
    ),
    "extra input": (_two_inputs(), "2!=1 len({image,more}) != len({image}). Sent extra: {more}."),
    "unknown output": (
        predict(output_filter=("x",)),
        "output tensor alias not found in signature: x Outputs expected to be in the set {scores}.",
    ),
    "output twice": (
        predict(output_filter=("scores", "scores")),
        "duplicate output tensor alias: scores",
    ),
    "rank": (predict(content([1, 2, 3, 4])), f"is float32 [4], {FLOAT}"),
    "scalar": (predict(typed(tf.DT_FLOAT, float_val=[1])), f"is float32 [], {FLOAT}"),
    "unknown rank": (predict(_unknown_rank()), "its rank is unknown, expected a shape"),
    "negative size": (predict(typed(tf.DT_FLOAT, -1, 4)), "shape is [-1, 4], expected sizes of 0"),
    "hostile splat": (
        predict(typed(tf.DT_FLOAT, 1 << 40, 4, float_val=[1])),
        "has 1099511627776 rows, expected at most 6",
    ),
    "endless shape": (
        predict(typed(tf.DT_FLOAT, 1 << 62, 4, float_val=[1])),
        "expected a size that fits into memory",
    ),
    "rows": (predict(content(np.ones((7, 4)))), "the request has 7 rows, expected at most 6"),
    "no rows": (predict(content(np.ones((0, 4)))), "the request has 0 rows, expected 1 or more"),
    "too many values": (
        predict(typed(tf.DT_FLOAT, 1, 4, float_val=[1] * 5)),
        "float_val has 5 values, expected at most 4",
    ),
    "other field": (
        predict(typed(tf.DT_FLOAT, 1, 4, double_val=[1] * 4)),
        "values are in double_val, expected float_val or tensor_content",
    ),
    "two contents": (
        predict(typed(tf.DT_FLOAT, 1, 4, float_val=[1], tensor_content=bytes(16))),
        "values are in float_val, tensor_content, expected float_val or tensor_content",
    ),
    "no name": (predict(model=""), "ModelSpec has no name specified."),
    "unknown label": (
        predict(model="several", version_label="newest"),
        "Unrecognized servable version label: newest",
    ),
    "unknown signature": (
        predict(signature_name="other"),
        'Serving signature key "other" not found; expected one of "serving_default"',
    ),
    "pictures for tensors": (
        predict(strings([picture()])),
        'model "raw" has no recipe for images',
    ),
    "pictures in a square": (
        predict(strings([picture()] * 4, 2, 2), "pictures"),
        "expected encoded pictures, [rows] or [rows, 1]",
    ),
    "no pictures": (
        predict(typed(tf.DT_STRING, 2), "pictures"),
        "string_val is empty, expected encoded pictures",
    ),
    "pictures as content": (
        predict(typed(tf.DT_STRING, 1, tensor_content=b"1"), "pictures"),
        "string_val is empty, expected encoded pictures",
    ),
    "too many pictures": (
        predict(strings([picture()] * 2, 1), "pictures"),
        "string_val has 2 values, expected at most 1",
    ),
    "hostile pictures": (
        predict(strings([picture()], 1 << 50), "pictures"),
        "expected at most 6",
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_requests_are_refused_with_what_came_and_what_was_expected(
    serving: Running, stub: Any, case: str
) -> None:
    bad, sentence = BAD[case]
    error = await failure(stub.Predict(bad))
    assert error.code() is INVALID
    assert sentence in (error.details() or "")
    assert await serving.log.ended(1) == ["INVALID_ARGUMENT"]
    assert not serving.log.unforeseen()


@pytest.mark.parametrize("value", [-1, 256])
async def test_values_beyond_their_dtype_are_refused(tmp_path: Path, value: int) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW, input_dtype="uint8")
    bad = predict(typed(tf.DT_UINT8, 1, 4, int_val=[value]))
    async with running(tmp_path) as serving:
        error = await failure(prediction(serving.channel).Predict(bad))
    assert (error.code(), error.details()) == (INVALID, 'input "image": a value is beyond uint8')


async def test_values_stand_for_no_more_than_a_message_could_hold(tmp_path: Path) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW, shape=(512, 512))
    config = Config(rpc=RpcSettings(max_message_bytes=1 << 20))
    async with running(tmp_path, config) as serving:
        service = prediction(serving.channel)
        answer = await service.Predict(predict(typed(tf.DT_FLOAT, 1, 512, 512, float_val=[1])))
        np.testing.assert_array_equal(scores(answer), [[3, 3, 3]])
        bad = predict(typed(tf.DT_FLOAT, 2, 512, 512, float_val=[1, 2]))
        error = await failure(service.Predict(bad))
    assert error.code() is INVALID
    assert "2 values stand for 2097152 bytes, expected 1048576 at most" in (error.details() or "")


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"model": "other"}, "Servable not found for request: Latest(other)"),
        ({"model": "raw", "version": 9}, "Servable not found for request: Specific(raw, 9)"),
        ({"model": "raw", "version_label": "9"}, 'model "raw" has no version 9'),
        ({"model": "other", "version_label": "x"}, "Servable not found for request: Latest(other)"),
    ],
)
async def test_unknown_models_and_versions_are_not_found(
    stub: Any, spec: dict[str, Any], sentence: str
) -> None:
    error = await failure(stub.Predict(predict(**spec)))
    assert error.code() is NOT_FOUND
    assert sentence in (error.details() or "")


async def test_metadata_is_the_signature_under_its_public_type(stub: Any) -> None:
    request = pb.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "pictures"
    answer = await stub.GetModelMetadata(request)
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("pictures", 1)
    packed = answer.metadata["signature_def"]
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signatures = pb.SignatureDefMap.FromString(packed.value).signature_def
    assert set(signatures) == {"serving_default", "encoded_images"}
    taken = signatures["serving_default"].inputs["image"]
    assert taken.dtype == tf.DT_FLOAT
    assert [dim.size for dim in taken.tensor_shape.dim] == [-1, 2, 2, 3]
    given = signatures["serving_default"].outputs["scores"]
    assert (given.dtype, [dim.size for dim in given.tensor_shape.dim]) == (tf.DT_FLOAT, [-1, 3])
    images = signatures["encoded_images"].inputs["image"]
    assert (images.dtype, [dim.size for dim in images.tensor_shape.dim]) == (tf.DT_STRING, [-1])
    assert signatures["serving_default"].method_name == "tensorflow/serving/predict"


@pytest.mark.parametrize(
    ("fields", "model", "code", "sentence"),
    [
        ([], "raw", INVALID, "must specify at least one metadata_field"),
        (["graph"], "raw", INVALID, "Metadata field graph is not supported"),
        (["signature_def"], "", INVALID, "ModelSpec has no name specified."),
        (["signature_def"], "x", NOT_FOUND, "Servable not found for request: Latest(x)"),
    ],
)
async def test_bad_questions_for_metadata_are_refused(
    stub: Any, fields: list[str], model: str, code: grpc.StatusCode, sentence: str
) -> None:
    request = pb.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = model
    error = await failure(stub.GetModelMetadata(request))
    assert error.code() is code
    assert sentence in (error.details() or "")


async def test_status_tells_the_state_of_every_version(tmp_path: Path) -> None:
    write_bundle(tmp_path / "model" / "1")
    write_bundle(tmp_path / "model" / "2", "format = 9\n")
    state = pb.ModelVersionStatus.State
    request = pb.GetModelStatusRequest(model_spec=pb.ModelSpec(name="model"))
    async with running(tmp_path, load=False) as serving:
        stub = model_service(serving.channel)
        loading = await stub.GetModelStatus(request)
        await serving.server.load()
        both = (await stub.GetModelStatus(request)).model_version_status
        request.model_spec.version.value = 1
        one = await stub.GetModelStatus(request)
        serving.server.core.versions.start_draining()
        draining = await stub.GetModelStatus(request)
    assert [each.state for each in loading.model_version_status] == [state.LOADING] * 2
    assert [(each.version, each.state) for each in both] == [(2, state.END), (1, state.AVAILABLE)]
    assert [each.status.error_code for each in both] == [9, 0]
    assert "format" in both[0].status.error_message
    assert [each.version for each in one.model_version_status] == [1]
    assert [each.state for each in draining.model_version_status] == [state.UNLOADING]


@pytest.mark.parametrize(
    ("spec", "code", "sentence"),
    [
        ({"name": "x"}, NOT_FOUND, "Could not find any versions of model x"),
        ({"name": "raw", "version": {"value": 9}}, NOT_FOUND, "Could not find version 9 of model"),
        ({"name": "raw", "version_label": "x"}, INVALID, "Unrecognized servable version label: x"),
        ({}, INVALID, "ModelSpec has no name specified."),
    ],
)
async def test_the_status_of_what_is_unknown_is_refused(
    serving: Running, spec: dict[str, Any], code: grpc.StatusCode, sentence: str
) -> None:
    request = pb.GetModelStatusRequest(model_spec=pb.ModelSpec(**spec))
    error = await failure(model_service(serving.channel).GetModelStatus(request))
    assert error.code() is code
    assert sentence in (error.details() or "")


@pytest.mark.parametrize(
    "method", ["Classify", "Regress", "MultiInference", "HandleReloadConfigRequest"]
)
async def test_what_is_not_offered_says_so(serving: Running, stub: Any, method: str) -> None:
    service = model_service(serving.channel) if method.startswith("Handle") else stub
    error = await failure(getattr(service, method)(pb.ReloadConfigRequest()))
    assert error.code() is UNIMPLEMENTED
    assert (error.details() or "").startswith(f"{method}: ")
    await serving.log.ended(1)
    assert serving.log.requests()[0]["method"] == f"tensorflow.{method}"


async def test_deadlines_limits_and_pushback_are_those_of_the_own_service(tmp_path: Path) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW.replace("16", "4"))
    slow = GatedBackend(1)
    four = predict(content(np.ones((4, 1)), "float64"), "slow", name="x")
    async with running(tmp_path, gated={"slow": slow}) as serving:
        stub = prediction(serving.channel)
        executing = stub.Predict(four)
        await slow.entered(WARM_UPS + 1)
        late = await failure(stub.Predict(four, timeout=HOPELESS_S))
        assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: serving.waiting_rows("slow") == 0)
        waiting = stub.Predict(four)
        await until(lambda: serving.waiting_rows("slow") == 4)
        error = await failure(stub.Predict(four))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert int(trailer(error)["grpc-retry-pushback-ms"]) >= 1
        slow.release(2)
        await asyncio.gather(executing, waiting)


async def test_a_client_that_vanishes_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    async with running(tmp_path, gated={"slow": slow}) as serving:
        stub = prediction(serving.channel)
        first = serving.stub.Predict(gated_request())
        await slow.entered(WARM_UPS + 1)
        asked = [predict(content([[value]], "float64"), "slow", name="x") for value in range(4)]
        members = [stub.Predict(each) for each in asked]
        await until(lambda: serving.waiting_rows("slow") == 4)
        slow.release()
        await slow.entered(WARM_UPS + 2)
        members[0].cancel()
        slow.release()
        await first
        answers = await asyncio.gather(*members[1:])
    assert [answer.outputs["y"].double_val[0] for answer in answers] == [3, 5, 7]


async def test_the_answer_to_a_picture_agrees_bit_for_bit_over_all_three_protocols(
    tmp_path: Path,
) -> None:
    write_bundle(
        tmp_path / "pictures" / "1",
        LOGITS + "[recipe]\n",
        shape=(2, 2, 3),
        scale=0.1234567,
        offset=-7.7654321,
    )
    images = [picture(level) for level in range(5)]
    async with running(tmp_path) as serving:
        mine = await serving.stub.Predict(
            own.PredictRequest(
                images=own.EncodedImages(contents=images),
                options=own.PredictOptions(return_logits=True, return_probabilities=True),
            )
        )
        names = ("scores", "probabilities")
        asked = infer_images(images)
        for name in names:
            asked.outputs.add(name=name)
        inferred = outputs_of(await open_inference(serving.channel).ModelInfer(asked))
        predicted = await prediction(serving.channel).Predict(
            predict(strings(images), "pictures", output_filter=names)
        )
    bits = [
        (
            np.array([row.logits for row in mine.rows], np.float32).tobytes(),
            np.array([row.probabilities for row in mine.rows], np.float32).tobytes(),
        ),
        tuple(inferred[name].tobytes() for name in names),
        tuple(scores(predicted, name).tobytes() for name in names),
    ]
    assert len(bits[0][0]) == 5 * 3 * 4
    assert bits[0] == bits[1] == bits[2]
