"""Tensors that stay in the bytes of their message are answered as small ones are."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import pytest
from PIL import Image

from batchproof.tensors import from_proto, to_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.base.signature import Array
from batchproof_server.rpc.contents import LARGE_BYTES
from support.bundles_on_disk import PICTURES, RAW, picture, write_bundle
from support.compat_requests import (
    content,
    infer,
    infer_images,
    open_inference,
    outputs_of,
    predict,
    prediction,
    scores,
)
from support.running import Running, failure, request, running

SIZE: Final = LARGE_BYTES // 4 + 1
SIDE: Final = 160
ROWS: Final = (np.arange(3 * SIZE) % 251).reshape(3, SIZE).astype(np.float32)
ANSWER: Final = 2 * ROWS[:, :3] + 1
# What an id adds to the message moves the tensor behind it to another byte.
IDS: Final = ("a", "ab", "abc", "abcd")
Ask: TypeAlias = Callable[[Running, Array, str], Awaitable[Array]]


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Running]:
    write_bundle(tmp_path / "raw" / "1", RAW, shape=(SIZE,))
    write_bundle(tmp_path / "pictures" / "1", PICTURES, shape=(SIDE, SIDE, 3), scale=0.01)
    async with running(tmp_path) as started:
        yield started


async def native(serving: Running, rows: Array, request_id: str) -> Array:
    answer = await serving.stub.Predict(request(rows, request_id=request_id, model="raw"))
    return from_proto(answer.outputs["scores"])


async def in_a_stream(serving: Running, rows: Array, request_id: str) -> Array:
    asked = request(rows, request_id=request_id, model="raw")
    call = serving.stub.PredictStream(iter([pb.PredictStreamRequest(request=asked)]))
    (answer,) = [each async for each in call]
    return from_proto(answer.response.outputs["scores"])


async def inferred(serving: Running, rows: Array, request_id: str) -> Array:
    asked = infer(rows, id=request_id)
    answer = await open_inference(serving.channel).ModelInfer(asked)
    scored: Array = outputs_of(answer)["scores"]
    return scored


async def inferred_in_a_stream(serving: Running, rows: Array, request_id: str) -> Array:
    call = open_inference(serving.channel).ModelStreamInfer()
    await call.write(infer(rows, id=request_id))
    answer = await call.read()
    await call.done_writing()
    scored: Array = outputs_of(answer.infer_response)["scores"]
    return scored


async def predicted(serving: Running, rows: Array, request_id: str) -> Array:
    # The request has no id of its own; the name of the signature moves the tensor as well.
    named = "serving_default" if len(request_id) % 2 else ""
    asked = predict(content(rows), signature_name=named)
    answer = await prediction(serving.channel).Predict(asked)
    scored: Array = scores(answer)
    return scored


@pytest.mark.parametrize("ask", [native, in_a_stream, inferred, inferred_in_a_stream, predicted])
async def test_every_protocol_answers_them_wherever_they_begin(serving: Running, ask: Ask) -> None:
    for request_id in IDS:
        np.testing.assert_array_equal(await ask(serving, ROWS[:1], request_id), ANSWER[:1])
        np.testing.assert_array_equal(await ask(serving, ROWS, request_id), ANSWER)


async def test_byte_strings_among_them_are_pictures(serving: Running) -> None:
    files = [picture(size=SIDE), noise()]
    assert len(files[1]) > LARGE_BYTES
    asked = open_inference(serving.channel).ModelInfer
    together = outputs_of(await asked(infer_images(files)))
    alone = [outputs_of(await asked(infer_images([each], typed=True))) for each in files]
    np.testing.assert_array_equal(
        together["scores"], np.concatenate([each["scores"] for each in alone])
    )


def noise() -> bytes:
    """A PNG that is hardly smaller than its pixels."""
    pixels = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(pixels).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


async def test_the_tensors_of_a_diagnosis_may_be_large(serving: Running) -> None:
    asked = pb.DiagnoseRequest(
        model=pb.ModelSelector(name="pictures"),
        image=picture(size=SIDE),
        tensor=to_proto(np.zeros((SIZE,), np.float32)),
    )
    error = await failure(serving.stub.Diagnose(asked))
    expected = f"expected one row of float32 [rows, {SIDE}, {SIDE}, 3]"
    assert error.details() == f"tensor is float32 [{SIZE}], {expected}"


async def test_one_of_another_size_than_its_shape_is_refused_as_such(serving: Running) -> None:
    asked = request(ROWS[:1], model="raw")
    asked.tensors.tensors["image"].content += b"more"
    error = await failure(serving.stub.Predict(asked))
    size = 4 * SIZE
    assert error.details() == (
        f'input "image": content is {size + 4} bytes, expected {size} for float32 [1, {SIZE}]'
    )


async def test_one_that_is_not_finite_is_refused_wherever_it_begins(serving: Running) -> None:
    rows = ROWS[:2].copy()
    rows[1, -1] = np.nan
    for request_id in IDS:
        error = await failure(
            serving.stub.Predict(request(rows, request_id=request_id, model="raw"))
        )
        assert "row 1" in (error.details() or "")
