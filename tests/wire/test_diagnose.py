"""Diagnose over real gRPC: what comes back, what is refused, and who goes first."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from batchproof.tensors import to_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.application.config import Config
from batchproof_server.offline.diagnosing.settings import DiagnosisSettings
from support.bundles_on_disk import LOGITS, PICTURES, picture, write_bundle
from support.fakes import until
from support.running import Running, failure, request, running

SIDE = 6


def write_models(path: Path) -> None:
    colours = write_bundle(path / "colours" / "3", PICTURES, shape=(SIDE, SIDE, 3), scale=0.01)
    (colours / "labels.txt").write_text("red\ngreen\nblue\n")
    write_bundle(path / "numbers" / "1", LOGITS)


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Running]:
    write_models(tmp_path)
    async with running(tmp_path, Config(diagnosis=DiagnosisSettings(max_under_way=2))) as started:
        yield started


def about(**more: object) -> pb.DiagnoseRequest:
    model = pb.ModelSelector(name=str(more.pop("model", "colours")))
    content = more.pop("image", picture(size=SIDE))
    return pb.DiagnoseRequest(model=model, image=content, **more)  # type: ignore[arg-type] # of the message


async def refusal(serving: Running, message: pb.DiagnoseRequest) -> tuple[str, str]:
    error = await failure(serving.stub.Diagnose(message))
    return error.code().name, error.details() or ""


async def test_a_diagnosis_comes_as_values_text_json_and_a_page(serving: Running) -> None:
    found = await serving.stub.Diagnose(about(name="one.png", label="green", return_page=True))
    assert (found.model, found.version) == ("colours", 3)
    assert found.text.startswith(f"one.png: {found.answer} ({found.confidence:.1%})")
    document = json.loads(found.json)["diagnoses"][0]
    assert document["verdict"] == found.verdict
    assert document["label"] == "green"
    assert [each["cause"] for each in document["causes"]] == [each.cause for each in found.causes]
    assert found.page.startswith("<!doctype html>")


async def test_a_page_is_written_only_for_who_asks(serving: Running) -> None:
    assert (await serving.stub.Diagnose(about())).page == ""


async def test_the_callers_tensor_is_explained_in_reverse(serving: Running) -> None:
    random = np.random.default_rng(3)
    strange = random.uniform(0, 255, (SIDE, SIDE, 3)).astype(np.float32)
    found = await serving.stub.Diagnose(about(tensor=to_proto(strange)))
    assert found.causes[0].cause == "tensor:other"


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"image": b""}, "the request has no image"),
        ({"image": b"no picture"}, "format"),
        ({"label": "purple"}, 'label: unknown "purple"'),
        ({"scores": to_proto(np.full(2, 0.5))}, "scores has the shape [2], expected 3 numbers"),
        ({"tensor": to_proto(np.zeros(7, np.float32))}, "tensor is float32 [7], expected one row"),
        ({"name": "x" * 1025}, "name has 1025 characters"),
        ({"model": "numbers", "image": b"x"}, "recipe"),
    ],
    ids=["no image", "no picture", "label", "scores", "tensor", "name", "no recipe"],
)
async def test_what_cannot_be_used_is_the_callers_fault(
    serving: Running, field: dict[str, object], said: str
) -> None:
    code, text = await refusal(serving, about(**field))
    assert (code, said in text) == ("INVALID_ARGUMENT", True), text


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("training-curve.json", "{}", "format: missing, and "),
        ("training-curve.json", "{", "(root): no JSON: "),
        ("profile-training.json", "{", "(root): no JSON: "),
    ],
)
async def test_a_file_of_the_bundle_that_cannot_be_used_is_no_fault_of_the_caller(
    serving: Running, tmp_path: Path, file: str, content: str, said: str
) -> None:
    (tmp_path / "colours" / "3" / file).write_text(content)
    code, text = await refusal(serving, about())
    assert (code, f"{file} of the bundle cannot be used: {said}" in text) == (
        "FAILED_PRECONDITION",
        True,
    ), text
    assert str(tmp_path) not in text


async def test_more_than_may_be_under_way_are_refused_and_the_others_answered(
    serving: Running,
) -> None:
    calls = [asyncio.ensure_future(serving.stub.Diagnose(about())) for _ in range(3)]
    answered = await asyncio.gather(*calls, return_exceptions=True)
    codes = [each.code().name for each in answered if isinstance(each, Exception)]  # type: ignore[attr-defined] # of gRPC
    assert codes == ["RESOURCE_EXHAUSTED"]


async def test_a_diagnosis_that_takes_too_long_ends(tmp_path: Path) -> None:
    write_models(tmp_path)
    settings = DiagnosisSettings(time_limit_s=1e-6)
    async with running(tmp_path, Config(diagnosis=settings)) as started:
        code, text = await refusal(started, about())
    assert (code, text) == ("DEADLINE_EXCEEDED", "the diagnosis was not done in 1e-06 s")


async def test_cancelled_diagnoses_take_no_places_from_the_next(serving: Running) -> None:
    for _ in range(3):
        call = serving.stub.Diagnose(about())
        await call.wait_for_connection()
        call.cancel()
    desk = serving.server.desk
    await until(lambda: desk._under_way == 0)
    assert (await serving.stub.Diagnose(about())).answer in {"red", "green", "blue"}


async def test_predictions_are_answered_while_a_picture_is_diagnosed(serving: Running) -> None:
    under_way = asyncio.ensure_future(serving.stub.Diagnose(about()))
    for _ in range(20):
        await serving.stub.Predict(request([[1.0, 2.0, 3.0, 4.0]], model="numbers"))
    assert (await under_way).verdict


async def test_a_server_that_makes_none_says_so(tmp_path: Path) -> None:
    write_models(tmp_path)
    async with running(tmp_path, Config(diagnosis=DiagnosisSettings(max_under_way=0))) as started:
        assert (await refusal(started, about()))[0] == "UNIMPLEMENTED"


async def test_the_option_of_predict_points_to_the_call(serving: Running) -> None:
    message = request([[1.0, 2.0, 3.0, 4.0]], model="numbers")
    message.options.diagnosis.enabled = True
    error = await failure(serving.stub.Predict(message))
    assert error.code().name == "UNIMPLEMENTED"
    assert "Diagnose" in (error.details() or "")
