"""A version that answers nobody, and what operators are told of it."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import aio
from PIL import Image

from batchproof.compat import inference_pb2 as oip
from batchproof.compat import tensorflow_serving_pb2 as tfs
from batchproof.v1 import management_pb2 as management
from batchproof.v1 import management_pb2_grpc as management_grpc
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.__main__ import main
from batchproof_server.application.config import Config
from batchproof_server.base.signature import Array
from batchproof_server.rpc.management.settings import ManagementSettings
from batchproof_server.shadowing.settings import ShadowSettings
from support.bundles_on_disk import LOGITS, PICTURES, write_bundle
from support.compat_requests import model_service, open_inference
from support.running import Running, failure, refused, request, running

CONFIG = Config(
    management=ManagementSettings(enabled=True, port=0),
    shadow=ShadowSettings({"m": 2}, share=1.0),
)
ROWS = 8


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Running]:
    """Version 1 of "m" answers; version 2, whose classes are turned round, is its shadow."""
    write_bundle(tmp_path / "m" / "1", LOGITS)
    write_bundle(tmp_path / "m" / "2", LOGITS, scale=-2.0)
    async with running(tmp_path, CONFIG) as started:
        yield started


@pytest.fixture
async def stub(serving: Running) -> AsyncIterator[Any]:
    """The service of operators."""
    async with aio.insecure_channel(serving.addresses["management"]) as channel:
        make: Any = management_grpc.ManagementServiceStub
        yield make(channel)


async def _metrics(serving: Running) -> str:
    address = f"http://127.0.0.1:{serving.server.operations.port}/metrics"
    page: bytes = await asyncio.to_thread(lambda: urllib.request.urlopen(address).read())
    return page.decode()


async def compared(stub: Any, rows: int) -> management.VersionComparison:
    """The one comparison, when so many rows are in it."""
    asked = management.CompareVersionsRequest(model="m")
    found: list[management.VersionComparison]
    found = list((await stub.CompareVersions(asked)).comparisons)
    while not found or found[0].rows < rows:
        found = list((await stub.CompareVersions(asked)).comparisons)
    (comparison,) = found
    return comparison


async def test_a_shadow_answers_nobody_and_is_compared(serving: Running, stub: Any) -> None:
    for number in range(ROWS):
        answer = await serving.stub.Predict(request(((number, 1, 2, 3),), model="m"))
        assert answer.provenance.version == 1
    comparison = await compared(stub, ROWS)
    assert (comparison.version, comparison.judged, comparison.by_ground_truth) == (1, 2, False)
    assert comparison.different == ROWS
    assert 0.6 < comparison.low <= comparison.estimate == comparison.high == 1
    assert comparison.judgement == "not known"
    assert "only ground truth can tell" in comparison.sentences[0]
    page = await _metrics(serving)
    series = 'batchproof_shadow_rows_total{model="m",result="different",version="2"}'
    assert f"{series} {float(ROWS)}" in page
    listed = await stub.ListVersions(management.ListVersionsRequest())
    shown = {each.version: (each.is_shadow, each.is_default) for each in listed.versions}
    assert shown == {1: (False, True), 2: (True, False)}


async def test_what_was_counted_is_there_after_a_restart_and_says_since_when(
    tmp_path: Path,
) -> None:
    for version in (1, 2):
        write_bundle(tmp_path / "models" / "m" / str(version), LOGITS)
    management_settings = replace(CONFIG.management, state_file=str(tmp_path / "orders.json"))
    config = replace(CONFIG, management=management_settings)
    found = list[management.VersionComparison]()
    make: Any = management_grpc.ManagementServiceStub
    for number in (1, 2):
        async with (
            running(tmp_path / "models", config) as serving,
            aio.insecure_channel(serving.addresses["management"]) as channel,
        ):
            await serving.stub.Predict(request(((0, 1, 2, 3),), model="m"))
            found.append(await compared(make(channel), number))
            assert await serving.server.drain()
    assert [each.rows for each in found] == [1, 2]
    assert found[0].counted_since == found[1].counted_since != ""

    file = tmp_path / "orders.shadows.json"
    file.write_text("{")
    async with (
        running(tmp_path / "models", config) as serving,
        aio.insecure_channel(serving.addresses["management"]) as channel,
    ):
        (said,) = (e for e in serving.log.events if e["event"] == "tallies counted anew")
        assert said["reason"].startswith(f"{file}: (root): no JSON")
        await serving.stub.Predict(request(((0, 1, 2, 3),), model="m"))
        assert (await compared(make(channel), 1)).rows == 1


@pytest.fixture
def profiled(tmp_path: Path) -> Path:
    """Both versions with profiles; that of the shadow is of much darker pictures."""
    models = tmp_path / "models"
    random = np.random.default_rng(1)
    for version, brightest in ((1, 255), (2, 40)):
        images = random.integers(0, brightest + 1, (300, 2, 2, 3), np.uint8)
        data = models.with_name(f"{version}.npz")
        np.savez(data, images=images, labels=images[:, 0, 0].argmax(axis=1))
        bundle = write_bundle(models / "m" / str(version), PICTURES, shape=(2, 2, 3), scale=0.02)
        assert main(["profile", str(bundle), "--data", str(data)]) == 0
    return models


def png(pixels: Array) -> bytes:
    """A picture of these pixels."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


async def test_a_shadow_is_compared_with_its_own_reference_before_it_has_callers(
    profiled: Path,
) -> None:
    random, rows = np.random.default_rng(2), 60
    async with (
        running(profiled, CONFIG) as serving,
        aio.insecure_channel(serving.addresses["management"]) as channel,
    ):
        make: Any = management_grpc.ManagementServiceStub
        for number in range(rows):
            pixels = random.integers(0, 256, (2, 2, 3), np.uint8)
            asked = pb.PredictRequest(images=pb.EncodedImages(contents=[png(pixels)]))
            await serving.stub.Predict(asked)
            await compared(make(channel), number + 1)
        comparison = await compared(make(channel), rows)
        page = await _metrics(serving)

    seen = {each.signal: (each.verdict, each.observations) for each in comparison.drift}
    assert seen["confidence"] == ("significant", rows)
    assert seen["brightness"] == ("not seen", 0)
    assert seen["tensor_mean"] == ("significant", rows)
    told = [each for each in comparison.sentences if "own" in each]
    assert told[0].startswith(
        f"version 2 beside its own reference: significant in {rows} rows since "
    )
    assert "confidence significant (PSI +" in told[0]
    assert told[1].startswith(f"version 1 beside its own: none in {rows} rows since it was loaded")
    counts = [
        float(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line.startswith("batchproof_drift_observations_total{")
        and 'signal="confidence"' in line
        and 'version="2"' in line
    ]
    assert sum(counts) == rows


async def test_whoever_names_the_shadow_is_told(serving: Running) -> None:
    asked = request(model="m")
    asked.model.version = 2
    error = await refused(serving, asked)
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert "is a shadow, which answers nobody" in (error.details() or "")
    stub = open_inference(serving.channel)
    ready = {
        version: (await stub.ModelReady(oip.ModelReadyRequest(name="m", version=version))).ready
        for version in ("", "1", "2")
    }
    assert ready == {"": True, "1": True, "2": False}


async def test_a_shadow_is_not_available_to_clients_of_tensorflow_serving_until_it_is_none(
    serving: Running, stub: Any
) -> None:
    status = model_service(serving.channel)
    asked = tfs.GetModelStatusRequest(model_spec=tfs.ModelSpec(name="m"))

    async def states() -> dict[int, tuple[str, str]]:
        found = (await status.GetModelStatus(asked)).model_version_status
        name = tfs.ModelVersionStatus.State.Name
        return {each.version: (name(each.state), each.status.error_message) for each in found}

    shadow = ("LOADING", "it is a shadow, which answers nobody")
    assert await states() == {1: ("AVAILABLE", ""), 2: shadow}
    await stub.SetShadow(management.SetShadowRequest(model="m"))
    assert await states() == {1: ("AVAILABLE", ""), 2: ("AVAILABLE", "")}


async def test_the_series_of_a_shadow_are_there_before_its_first_row(serving: Running) -> None:
    for result in ("same", "different", "skipped"):
        series = f'batchproof_shadow_rows_total{{model="m",result="{result}",version="2"}} 0.0'
        assert series in await _metrics(serving)
    assert 'shadow_rows_total{model="m",result="same",version="1"}' not in await _metrics(serving)


async def test_health_is_that_of_the_versions_that_answer(serving: Running) -> None:
    health, versions = serving.server.health, serving.server.core.versions
    versions.follow_trouble("m", 1, "it hangs")
    assert (health.state("m"), health.state("")) == (False, False)
    versions.follow_trouble("m", 1, "")
    assert (health.state("m"), health.state("")) == (True, True)
    versions.shadows.set("m", 1)
    versions.follow_trouble("m", 2, "it hangs")
    assert not health.state("m")


async def test_a_shadow_ends_and_begins_again(serving: Running, stub: Any) -> None:
    await stub.SetShadow(management.SetShadowRequest(model="m"))
    assert (await serving.stub.Predict(request(model="m"))).provenance.version == 2
    await stub.SetShadow(management.SetShadowRequest(model="m", version=2))
    assert (await serving.stub.Predict(request(model="m"))).provenance.version == 1


@pytest.mark.parametrize(
    ("asked", "code", "sentence"),
    [
        ({"model": "x", "version": 2}, grpc.StatusCode.NOT_FOUND, 'there is no model "x"'),
        ({"model": "m", "version": 9}, grpc.StatusCode.NOT_FOUND, "has no version 9"),
        ({"model": "m", "version": -1}, grpc.StatusCode.NOT_FOUND, "has no version -1"),
        (
            {"model": "m", "version": 1},
            grpc.StatusCode.INVALID_ARGUMENT,
            'no other version of model "m" answers',
        ),
    ],
)
async def test_bad_orders_are_told_in_a_sentence(
    serving: Running, stub: Any, asked: dict[str, Any], code: grpc.StatusCode, sentence: str
) -> None:
    error = await failure(stub.SetShadow(management.SetShadowRequest(**asked)))
    assert error.code() is code
    assert sentence in (error.details() or "")
    assert serving.server.core.versions.shadows.of("m") == 2


async def test_a_label_is_for_versions_that_answer(stub: Any) -> None:
    labels = management.SetLabelsRequest(model="m", labels={"canary": 2})
    error = await failure(stub.SetLabels(labels))
    assert "version 2 is a shadow" in (error.details() or "")


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, float("nan")])
async def test_a_tolerance_is_a_share(stub: Any, tolerance: float) -> None:
    asked = management.CompareVersionsRequest(model="m", tolerance=tolerance)
    error = await failure(stub.CompareVersions(asked))
    assert "expected 0 to 1" in (error.details() or "")


async def test_ground_truth_says_which_version_is_worse(tmp_path: Path) -> None:
    write_bundle(tmp_path / "m" / "1", LOGITS)
    write_bundle(tmp_path / "m" / "2", LOGITS, scale=-2.0)
    async with (
        running(tmp_path, replace(CONFIG, shadow=ShadowSettings())) as serving,
        aio.insecure_channel(serving.addresses["management"]) as channel,
    ):
        for version in (1, 2):
            for _ in range(ROWS):
                asked = request(((0, 1, 2, 3),), model="m")
                asked.model.version = version
                answer = await serving.stub.Predict(asked)
                outcome = pb.Outcome(handle=answer.rows[0].handle, class_index=2)
                await serving.stub.ReportOutcome(pb.ReportOutcomeRequest(outcomes=[outcome]))
        make: Any = management_grpc.ManagementServiceStub
        asked_for = management.CompareVersionsRequest(model="m")
        (found,) = (await make(channel).CompareVersions(asked_for)).comparisons
    assert (found.version, found.judged, found.by_ground_truth) == (1, 2, True)
    assert found.judgement == "worse"
    assert found.estimate == -1
    assert found.high < 0
    assert f"version 2 was right in 0 of {ROWS} answers" in found.sentences[0]
    assert found.counted_since
