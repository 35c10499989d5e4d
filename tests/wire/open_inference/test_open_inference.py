"""The Open Inference Protocol v2 over a real port: tensors, pictures, outputs, options, models."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from batchproof.compat import inference_pb2 as pb
from batchproof.v1 import prediction_pb2 as own
from batchproof_server.application.config import Config
from batchproof_server.base.errors import InvalidInput
from batchproof_server.rpc.contents import NO_CONTENTS
from batchproof_server.rpc.open_inference.tensors import read_inputs
from batchproof_server.rpc.settings import RpcSettings
from support.bundles_on_disk import RAW, picture, write_bundle
from support.compat_requests import framed, infer, infer_images, open_inference, outputs_of
from support.fakes import GatedBackend, until
from support.patience import PATIENCE_S
from support.running import WARM_UPS, Running, failure, gated_request, running, trailer

INVALID = grpc.StatusCode.INVALID_ARGUMENT
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED


async def test_raw_numbers_are_answered_raw_with_the_models_own_outputs(stub: Any) -> None:
    answer = await stub.ModelInfer(infer([[1, 2, 3, 4], [5, 6, 7, 8]], "logits", id="mine"))
    assert (answer.model_name, answer.model_version, answer.id) == ("logits", "1", "mine")
    (output,) = answer.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("scores", "FP32", [2, 3])
    np.testing.assert_array_equal(outputs_of(answer)["scores"], [[3, 5, 7], [11, 13, 15]])
    assert len(answer.parameters["model_digest"].string_param) == 64


@pytest.mark.parametrize(
    ("dtype", "datatype", "field"),
    [
        ("float32", "FP32", "fp32_contents"),
        ("float64", "FP64", "fp64_contents"),
        ("uint8", "UINT8", "uint_contents"),
        ("int32", "INT32", "int_contents"),
        ("int64", "INT64", "int64_contents"),
    ],
)
async def test_typed_values_are_answered_like_raw_ones(
    tmp_path: Path, dtype: str, datatype: str, field: str, service: Callable[[Running], Any]
) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW, input_dtype=dtype)
    typed = pb.ModelInferRequest(model_name="raw")
    tensor = typed.inputs.add(name="image", datatype=datatype, shape=[1, 4])
    getattr(tensor.contents, field).extend([1, 2, 3, 4])
    async with running(tmp_path) as serving:
        stub = service(serving)
        answers = [await stub.ModelInfer(each) for each in (typed, infer(dtype=dtype))]
    assert answers[0].raw_output_contents == answers[1].raw_output_contents
    np.testing.assert_array_equal(outputs_of(answers[0])["scores"], [[3, 5, 7]])


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("shape", [(2,), (2, 1)])
async def test_byte_strings_are_pictures_for_the_recipe(
    stub: Any, shape: tuple[int, ...], *, typed: bool
) -> None:
    asked = infer_images([picture(3), picture(4)], shape=shape, typed=typed)
    answer = await stub.ModelInfer(asked)
    np.testing.assert_array_equal(outputs_of(answer)["scores"], [[7] * 3, [9] * 3])
    assert len(answer.parameters["recipe_digest"].string_param) == 64


async def test_probabilities_and_labels_are_given_when_asked_for_by_name(stub: Any) -> None:
    asked = infer([[1, 2, 3, 4]], "logits", outputs=("label", "probabilities"))
    asked.parameters["top_k"].int64_param = 2
    answer = await stub.ModelInfer(asked)
    outputs = outputs_of(answer)
    assert [output.name for output in answer.outputs] == ["label", "probabilities"]
    assert outputs["label"].tolist() == [[b"owl", b"dog"]]
    assert outputs["probabilities"].sum() == pytest.approx(1)


async def test_classification_names_the_best_classes_of_each_row(stub: Any) -> None:
    asked = infer([[1, 2, 3, 4], [9, 2, 3, 4]], "logits", outputs=("scores",))
    asked.outputs[0].parameters["classification"].int64_param = 2
    answer = await stub.ModelInfer(asked)
    assert (answer.outputs[0].datatype, list(answer.outputs[0].shape)) == ("BYTES", [2, 2])
    assert outputs_of(answer)["scores"].tolist() == [
        [b"7.000000:2:owl", b"5.000000:1:dog"],
        [b"19.000000:0:cat", b"7.000000:2:owl"],
    ]


async def test_classes_without_labels_are_numbers(stub: Any) -> None:
    asked = infer([[1, 2, 3, 4]], outputs=("scores",))
    asked.outputs[0].parameters["classification"].int64_param = 9
    answer = await stub.ModelInfer(asked)
    best = [[b"7.000000:2", b"5.000000:1", b"3.000000:0"]]
    assert outputs_of(answer)["scores"].tolist() == best


async def test_a_version_is_a_number_or_a_label(stub: Any) -> None:
    versions = {"": "2", "1": "1", "2": "2", "stable": "1"}
    for asked, answered in versions.items():
        answer = await stub.ModelInfer(infer(model="several", model_version=asked))
        assert answer.model_version == answered


def _typed(shape: list[int], datatype: str = "FP32", **contents: Any) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="raw")
    request.inputs.add(
        name="image",
        datatype=datatype,
        shape=shape,
        contents=pb.InferTensorContents(**contents),
    )
    return request


def _raw(shape: list[int], *raws: bytes, datatype: str = "FP32") -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="raw", raw_input_contents=raws)
    request.inputs.add(name="image", datatype=datatype, shape=shape)
    return request


def _mixed() -> pb.ModelInferRequest:
    request = infer()
    request.inputs[0].contents.fp32_contents.extend([1, 2, 3, 4])
    return request


def _twice() -> pb.ModelInferRequest:
    request = infer()
    request.inputs.append(request.inputs[0])
    request.raw_input_contents.append(request.raw_input_contents[0])
    return request


def _parameter(name: str, **value: Any) -> pb.ModelInferRequest:
    request = infer()
    request.parameters[name].MergeFrom(pb.InferParameter(**value))
    return request


def _classified(output: str, classes: int, model: str = "logits") -> pb.ModelInferRequest:
    request = infer(model=model, outputs=(output,))
    request.outputs[0].parameters["classification"].int64_param = classes
    return request


BAD = {
    "byte count": (_raw([1, 4], b"123"), "content is 3 bytes, expected 16"),
    "datatype": (infer(dtype="float64"), "is float64 [1, 4], expected float32 [rows, 4]"),
    "unknown datatype": (_raw([1, 4], b"", datatype="BF16"), 'datatype is "BF16", expected one'),
    "missing input": (pb.ModelInferRequest(model_name="raw"), "inputs are none, expected exactly"),
    "unknown input": (infer(name="picture"), 'inputs are "picture", expected exactly "image"'),
    "input twice": (_twice(), 'input "image" comes twice'),
    "unknown output": (infer(outputs=("x",)), 'unexpected inference output "x" for model "raw"'),
    "output twice": (infer(outputs=("scores",) * 2), 'output "scores" is asked for twice'),
    "scores of a raw model": (infer(outputs=("label",)), 'unexpected inference output "label"'),
    "rank": (infer([1, 2, 3, 4]), "is float32 [4], expected float32 [rows, 4]"),
    "too many ranks": (_raw([1] * 33, b"1234"), "shape has 33 sizes, expected 32 at most"),
    "negative size": (_raw([-1, 4], b""), "shape is [-1, 4], expected sizes of 0 or more"),
    "hostile shape": (_raw([1 << 40, 4], b""), "has 1099511627776 rows, expected at most 6"),
    "endless shape": (_raw([1 << 62, 4], b""), "expected a size that fits into memory"),
    "rows": (infer(np.ones((7, 4))), "the request has 7 rows, expected at most 6"),
    "no rows": (_raw([0, 4], b""), "the request has 0 rows, expected 1 or more"),
    "mixed contents": (_mixed(), "has typed contents beside raw_input_contents"),
    "raw entries": (_raw([1, 4], b"", b""), "raw_input_contents has 2 entries, expected 1"),
    "no contents": (_typed([1, 4]), "fp32_contents has 0 values, expected 4"),
    "typed count": (_typed([1, 4], fp32_contents=[1]), "fp32_contents has 1 values, expected 4"),
    "typed field": (
        _typed([1, 4], fp64_contents=[1] * 4),
        "values are in fp64_contents, expected fp32_contents",
    ),
    "pictures for tensors": (
        infer_images([picture()], "raw"),
        'model "raw" has no recipe for images, expected numbers, not byte strings',
    ),
    "timeout": (_parameter("timeout", int64_param=-1), '"timeout" is -1 us, expected 0 or more'),
    "timeout in words": (_parameter("timeout", string_param="1"), "expected int64_param"),
    "top_k without labels": (_parameter("top_k", int64_param=1), 'needs the output "label"'),
    "top_k of 0": (_parameter("top_k", int64_param=0), '"top_k" is 0, expected 1 or more'),
    "classes of labels": (_classified("label", 1), 'output "label" cannot be classified'),
    "negative classes": (_classified("scores", -1), "classification is -1, expected 1 or more"),
    "not readable": (infer(id="no\nline"), "unprintable"),
}


ONLY_MESSAGES = {
    "mixed contents",
    "raw entries",
    "no contents",
    "typed count",
    "typed field",
}
"""JSON has no fields of values, and no bytes without an input."""


@pytest.mark.parametrize("case", BAD)
async def test_bad_requests_are_refused_with_what_came_and_what_was_expected(
    serving: Running, stub: Any, case: str, only_messages: Callable[[bool], None]
) -> None:
    only_messages(case in ONLY_MESSAGES)
    bad, sentence = BAD[case]
    error = await failure(stub.ModelInfer(bad))
    assert error.code() is INVALID
    assert sentence in (error.details() or "")
    assert await serving.log.ended(1) == ["INVALID_ARGUMENT"]
    assert not serving.log.unforeseen()


def _pictures(raw: bytes, *shape: int) -> pb.ModelInferRequest:
    request = infer_images([b""], shape=shape)
    request.raw_input_contents[0] = raw
    return request


BAD_PICTURES = {
    "no length": (_pictures(b"12", 1), "the bytes end before element 0 of 1"),
    "one missing": (_pictures(framed([b"x"]), 2), "the bytes end before element 1 of 2"),
    "too long": (_pictures(framed([b"xyz"])[:-1], 1), "element 0 is 3 bytes, only 2 are left"),
    "left over": (_pictures(framed([b"", b""]), 1), "4 bytes come after the last of 1 elements"),
    "rank": (_pictures(b"", 1, 1, 1), "[1, 1, 1], expected encoded pictures, [rows] or [rows, 1]"),
    "columns": (_pictures(b"", 1, 2), "expected encoded pictures, [rows] or [rows, 1]"),
    "rows": (_pictures(b"", 1 << 50), "expected at most 6"),
    "no rows": (_pictures(b"", 0), "the request has 0 rows, expected 1 or more"),
    "no picture": (infer_images([b"123"]), "expected"),
    "count": (infer_images([b"1"], shape=(2,), typed=True), "has 1 values, expected 2"),
}


@pytest.mark.parametrize("case", BAD_PICTURES)
async def test_bad_byte_strings_are_refused(serving: Running, stub: Any, case: str) -> None:
    bad, sentence = BAD_PICTURES[case]
    error = await failure(stub.ModelInfer(bad))
    assert error.code() is INVALID
    assert sentence in (error.details() or "")
    assert not serving.log.unforeseen()


async def test_an_input_of_another_name_is_not_the_picture(stub: Any) -> None:
    asked = infer_images([picture()])
    asked.inputs[0].name = "other"
    error = await failure(stub.ModelInfer(asked))
    assert (error.code(), error.details()) == (
        INVALID,
        'inputs are "other", expected exactly "image"',
    )


async def test_values_beyond_their_datatype_are_refused(
    tmp_path: Path, service: Callable[[Running], Any]
) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW, input_dtype="uint8")
    bad = _typed([1, 4], "UINT8", uint_contents=[1, 2, 256, 4])
    async with running(tmp_path) as serving:
        error = await failure(service(serving).ModelInfer(bad))
    assert (error.code(), error.details()) == (INVALID, 'input "image": a value is beyond UINT8')


def test_typed_halves_are_refused() -> None:
    request = _typed([1, 4], "FP16", fp32_contents=[1] * 4)
    tensor = read_inputs(request, NO_CONTENTS)["image"]
    with pytest.raises(InvalidInput, match="FP16 values are typed, expected raw_input_contents"):
        tensor.array()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", {"uint64_param": 1}),
        ("sequence_id", {"int64_param": 7}),
        ("diagnosis", {"bool_param": True}),
    ],
)
async def test_options_that_are_not_offered_are_unimplemented(
    stub: Any, name: str, value: dict[str, Any]
) -> None:
    error = await failure(stub.ModelInfer(_parameter(name, **value)))
    assert error.code() is UNIMPLEMENTED
    assert f'parameter "{name}"' in (error.details() or "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", {"uint64_param": 0}),
        ("timeout", {"int64_param": 0}),
        ("timeout", {"uint64_param": 60_000_000}),
        ("content_type", {"string_param": "np"}),
        ("tta", {}),
        ("tta", {"string_param": ""}),
    ],
)
async def test_defaults_and_foreign_parameters_change_nothing(
    stub: Any, name: str, value: dict[str, Any]
) -> None:
    answer = await stub.ModelInfer(_parameter(name, **value))
    np.testing.assert_array_equal(outputs_of(answer)["scores"], [[3, 5, 7]])


async def test_shared_memory_is_unimplemented(stub: Any) -> None:
    asked = infer(outputs=("scores",))
    asked.outputs[0].parameters["shared_memory_region"].string_param = "mine"
    error = await failure(stub.ModelInfer(asked))
    assert (error.code(), "shared memory" in (error.details() or "")) == (UNIMPLEMENTED, True)


@pytest.mark.only_grpc
async def test_a_stream_answers_in_order_and_a_bad_request_fails_alone(tmp_path: Path) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW)
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    async with running(tmp_path, gated={"slow": slow}) as serving:
        call = open_inference(serving.channel).ModelStreamInfer()
        await call.write(infer([[5]], "slow", name="x", dtype="float64", id="slow"))
        await call.write(infer(id="fast"))
        await call.write(infer(model="other", id="unknown"))
        await call.write(infer([[1, 2]], id="shape"))
        await call.done_writing()
        await until(lambda: len(serving.log.requests()) == 3)
        slow.release()
        answers = [answer async for answer in call]
    assert [answer.infer_response.id for answer in answers] == ["slow", "fast", "unknown", "shape"]
    assert [answer.error_message != "" for answer in answers] == [False, False, True, True]
    assert answers[2].error_message.startswith('there is no model "other"')
    assert answers[3].infer_response.parameters["code"].string_param == "INVALID_ARGUMENT"
    assert answers[0].infer_response.parameters["triton_final_response"].bool_param
    np.testing.assert_array_equal(outputs_of(answers[0].infer_response)["y"], [[11]])


@pytest.mark.only_grpc
async def test_a_stream_that_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    async with running(tmp_path, gated={"slow": slow}) as serving:
        call = open_inference(serving.channel).ModelStreamInfer()
        for _ in range(3):
            await call.write(infer([[5]], "slow", name="x", dtype="float64"))
        await slow.entered(WARM_UPS + 1)
        await until(lambda: serving.waiting_rows("slow") == 2)
        call.cancel()
        assert await serving.log.ended(3) == ["CANCELLED"] * 3
        slow.release(9)
        answer = await serving.stub.Predict(gated_request(3.0))
        assert answer.provenance.model == "slow"


async def test_a_client_that_vanishes_in_the_middle_of_a_batch_takes_nobody_along(
    tmp_path: Path, service: Callable[[Running], Any]
) -> None:
    """This hangs MLServer's whole batch, at every position but the last."""
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    async with running(tmp_path, gated={"slow": slow}) as serving:
        stub = service(serving)
        first = stub.ModelInfer(infer([[0]], "slow", name="x", dtype="float64"))
        await slow.entered(WARM_UPS + 1)
        members = [
            stub.ModelInfer(infer([[value]], "slow", name="x", dtype="float64"))
            for value in range(4)
        ]
        await until(lambda: serving.waiting_rows("slow") == 4)
        slow.release()
        await slow.entered(WARM_UPS + 2)
        members[1].cancel()
        slow.release()
        await first
        answers = await asyncio.gather(*(members[index] for index in (0, 2, 3)))
        values = [outputs_of(answer)["y"].item() for answer in answers]
        assert values == [1, 5, 7]


async def test_the_timeout_parameter_lowers_the_deadline(
    tmp_path: Path, service: Callable[[Running], Any]
) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    async with running(tmp_path, gated={"slow": slow}) as serving:
        stub = service(serving)
        executing = serving.stub.Predict(gated_request())
        await slow.entered(WARM_UPS + 1)
        late = infer([[1]], "slow", name="x", dtype="float64")
        late.parameters["timeout"].int64_param = 1
        error = await failure(stub.ModelInfer(late, timeout=PATIENCE_S))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        slow.release()
        await executing


async def test_limits_codes_and_pushback_are_those_of_the_own_service(
    tmp_path: Path, service: Callable[[Running], Any]
) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW.replace("16", "4"))
    slow = GatedBackend(1)
    config = Config(rpc=RpcSettings(max_message_bytes=1 << 20))
    async with running(tmp_path, config, gated={"slow": slow}) as serving:
        stub = service(serving)
        four = infer(np.ones((4, 1)), "slow", name="x", dtype="float64")
        executing = stub.ModelInfer(four)
        await slow.entered(WARM_UPS + 1)
        waiting = stub.ModelInfer(four)
        await until(lambda: serving.waiting_rows("slow") == 4)
        error = await failure(
            stub.ModelInfer(
                infer([[1]], "slow", name="x", dtype="float64"),
                metadata=(("x-request-id", "late"),),
            )
        )
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert int(trailer(error)["grpc-retry-pushback-ms"]) >= 1
        assert trailer(error)["x-request-id"] == "late"
        large = await failure(stub.ModelInfer(_raw([1, 4], bytes(2 << 20))))
        assert large.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        slow.release(2)
        await asyncio.gather(executing, waiting)


async def test_the_own_answer_and_this_one_agree_bit_for_bit(serving: Running, stub: Any) -> None:
    images = [picture(level) for level in (0, 77, 255)]
    options = own.PredictOptions(return_logits=True, return_probabilities=True)
    mine = await serving.stub.Predict(
        own.PredictRequest(
            model=own.ModelSelector(name="pictures"),
            images=own.EncodedImages(contents=images),
            options=options,
        )
    )
    asked = infer_images(images)
    asked.outputs.add(name="scores")
    asked.outputs.add(name="probabilities")
    theirs = outputs_of(await stub.ModelInfer(asked))
    logits = np.array([row.logits for row in mine.rows], np.float32)
    probabilities = np.array([row.probabilities for row in mine.rows], np.float32)
    assert theirs["scores"].tobytes() == logits.tobytes()
    assert theirs["probabilities"].tobytes() == probabilities.tobytes()


async def test_a_stream_ends_with_the_server(tmp_path: Path) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW)
    async with running(tmp_path) as serving:
        call = open_inference(serving.channel).ModelStreamInfer()
        await call.write(infer(id="one"))
        assert (await call.read()).infer_response.id == "one"
        serving.server.streams.start_draining()
        error = await failure(call.read())
        assert error.code() is grpc.StatusCode.UNAVAILABLE
