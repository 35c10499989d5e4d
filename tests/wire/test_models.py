"""Which model answers: selection, states, ListModels and GetModel."""

from pathlib import Path

import grpc
import pytest

from batchproof.v1 import prediction_pb2 as pb
from support.bundles_on_disk import write_bundle
from support.running import (
    Running,
    failure,
    refused,
    request,
    running,
    tensors,
)

NAMES = '"logits", "pictures", "probabilities", "raw", "several"'
SELECTORS = {
    "name": (pb.ModelSelector(name="x"), "NOT_FOUND", f'no model "x"; served: {NAMES}'),
    "empty": (pb.ModelSelector(), "INVALID_ARGUMENT", f"name is empty, expected one of {NAMES}"),
    "version": (
        pb.ModelSelector(name="several", version=7),
        "NOT_FOUND",
        'model "several" has no version 7; its versions: 1, 2',
    ),
    "label": (
        pb.ModelSelector(name="several", label="beta"),
        "NOT_FOUND",
        'model "several" has no version label "beta"; its labels: stable',
    ),
    "no labels": (pb.ModelSelector(name="raw", label="x"), "NOT_FOUND", "its labels: none"),
}


@pytest.mark.parametrize("case", SELECTORS)
async def test_what_is_not_served_is_not_found_and_the_answer_lists_what_is(
    serving: Running, case: str
) -> None:
    selector, code, sentence = SELECTORS[case]
    asked = pb.PredictRequest(model=selector, tensors=tensors([[1] * 4]))
    described = serving.stub.GetModel(pb.GetModelRequest(model=selector))
    for error in (await refused(serving, asked), await failure(described)):
        assert error.code().name == code
        assert sentence in (error.details() or "")
    assert await serving.log.ended(2) == [code, code]


@pytest.mark.parametrize(
    ("selector", "version"),
    [
        (pb.ModelSelector(name="several"), 2),
        (pb.ModelSelector(name="several", version=1), 1),
        (pb.ModelSelector(name="several", label="stable"), 1),
    ],
)
async def test_version_and_label_select_and_the_newest_is_the_default(
    serving: Running, selector: pb.ModelSelector, version: int
) -> None:
    answer = await serving.stub.Predict(
        pb.PredictRequest(model=selector, tensors=tensors([[1] * 4]))
    )
    assert answer.provenance.version == version
    described = await serving.stub.GetModel(pb.GetModelRequest(model=selector))
    assert described.summary.version == version


async def test_the_name_may_be_empty_when_there_is_one_model(tmp_path: Path) -> None:
    write_bundle(tmp_path / "only" / "1")
    async with running(tmp_path) as serving:
        answer = await serving.stub.Predict(request())
    assert answer.provenance.model == "only"


async def test_a_version_that_is_being_loaded_is_unavailable(tmp_path: Path) -> None:
    write_bundle(tmp_path / "slow" / "1")
    async with running(tmp_path, load=False) as serving:
        error = await refused(serving, request())
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert 'model "slow" version 1 is being loaded' in (error.details() or "")
        listed = await serving.stub.ListModels(pb.ListModelsRequest())
        assert [model.state for model in listed.models] == [pb.MODEL_STATE_LOADING]


async def test_a_version_that_failed_is_refused_with_its_findings(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bad" / "1", "format = 1\nnonsense = 1\n")
    write_bundle(tmp_path / "good" / "1")
    finding = "batchproof.toml: nonsense: unknown key"
    async with running(tmp_path) as serving:
        error = await refused(serving, request(model="bad"))
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert finding in (error.details() or "")
        assert (await serving.stub.Predict(request(model="good"))).rows
        listed = await serving.stub.ListModels(pb.ListModelsRequest())
        states = {model.name: (model.state, list(model.findings)) for model in listed.models}
        assert states == {
            "bad": (pb.MODEL_STATE_FAILED, [finding]),
            "good": (pb.MODEL_STATE_READY, []),
        }
        described = await serving.stub.GetModel(
            pb.GetModelRequest(model=pb.ModelSelector(name="bad"))
        )
        assert described.summary.state == pb.MODEL_STATE_FAILED
        assert described.model_digest == ""


async def test_a_draining_version_is_unavailable_even_beside_a_newer_one_that_failed(
    tmp_path: Path,
) -> None:
    write_bundle(tmp_path / "model" / "1")
    write_bundle(tmp_path / "model" / "2", "format = 99\n")
    async with running(tmp_path) as serving:
        assert (await serving.stub.Predict(request())).provenance.version == 1
        serving.server.core.versions.start_draining()
        error = await refused(serving, request())
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "is going away" in (error.details() or "")
        listed = await serving.stub.ListModels(pb.ListModelsRequest())
        assert [model.state for model in listed.models] == [
            pb.MODEL_STATE_DRAINING,
            pb.MODEL_STATE_FAILED,
        ]


async def test_the_models_are_listed_with_state_default_and_labels(serving: Running) -> None:
    metadata = (("x-request-id", "listing"),)
    listed = await serving.stub.ListModels(pb.ListModelsRequest(), metadata=metadata)
    several = [model for model in listed.models if model.name == "several"]
    assert [(m.version, m.is_default, list(m.version_labels)) for m in several] == [
        (1, False, ["stable"]),
        (2, True, []),
    ]
    assert {model.state for model in listed.models} == {pb.MODEL_STATE_READY}
    await serving.log.ended(1)
    assert serving.log.requests()[0]["request_id"] == "listing"


async def test_a_model_is_described_in_full(serving: Running) -> None:
    selector = pb.ModelSelector(name="pictures")
    described = await serving.stub.GetModel(pb.GetModelRequest(model=selector))
    assert described.inputs[0] == pb.TensorSpec(
        name="image", data_type=pb.DATA_TYPE_FLOAT32, shape=[-1, 2, 2, 3]
    )
    assert described.outputs[0].name == "scores"
    assert described.output_kind == pb.OUTPUT_KIND_LOGITS
    assert list(described.buckets_rows) == [1, 2, 4]
    assert described.max_request_rows == 6
    assert "png" in described.image_formats
    assert described.recipe_json.startswith("{")
    assert len(described.recipe_digest) == len(described.model_digest) == 64
