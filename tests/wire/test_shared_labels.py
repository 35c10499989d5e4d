"""A label that two versions share, over every protocol of the gRPC port."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from batchproof.v1 import management_pb2 as management
from batchproof.v1 import management_pb2_grpc as management_grpc
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.application.config import Config
from batchproof_server.models.weighted_versions import WeightedVersions
from batchproof_server.rpc.management.settings import ManagementSettings
from support.bundles_on_disk import RAW, write_bundle
from support.compat_requests import infer, open_inference, predict, prediction
from support.running import Running, failure, request, running

KEYS = [f"user-{number}" for number in range(24)]
KEY = "x-batchproof-key"
HALVES = WeightedVersions(((1, 1), (2, 1)))
CONFIG = Config(
    version_labels={"m": {"stable": HALVES}}, management=ManagementSettings(enabled=True, port=0)
)


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Running]:
    """Versions 1 and 2 of "m" share the callers of "stable"; version 3 is beside them."""
    for version in (1, 2, 3):
        write_bundle(tmp_path / "m" / str(version), RAW, scale=float(version))
    async with running(tmp_path, CONFIG) as started:
        yield started


def labelled(**fields: Any) -> pb.PredictRequest:
    """A request of the label."""
    asked = request(model="m", **fields)
    asked.model.label = "stable"
    return asked


def expected(key: str) -> int:
    """The version that a key meets."""
    return HALVES.choose("m", "stable", key, (1, 2))


async def native(serving: Running, key: str) -> int:
    answer = await serving.stub.Predict(labelled(), metadata=((KEY, key),))
    return int(answer.provenance.version)


async def oip(serving: Running, key: str) -> int:
    asked = infer(model="m", model_version="stable")
    answer = await open_inference(serving.channel).ModelInfer(asked, metadata=((KEY, key),))
    return int(answer.model_version)


async def tensorflow(serving: Running, key: str) -> int:
    asked = predict(model="m", version_label="stable")
    answer = await prediction(serving.channel).Predict(asked, metadata=((KEY, key),))
    return int(answer.model_spec.version.value)


async def test_a_key_meets_the_same_version_over_every_protocol(serving: Running) -> None:
    meant = [expected(key) for key in KEYS]
    assert set(meant) == {1, 2}
    for ask in (native, oip, tensorflow):
        assert [await ask(serving, key) for key in KEYS] == meant


async def test_without_a_key_the_request_id_decides(serving: Running) -> None:
    for key in KEYS:
        answer = await serving.stub.Predict(labelled(request_id=key))
        assert answer.provenance.version == expected(key)
        asked = predict(model="m", version_label="stable")
        beside = await prediction(serving.channel).Predict(asked, metadata=(("x-request-id", key),))
        assert beside.model_spec.version.value == expected(key)


async def test_requests_without_key_and_id_are_shared_too(serving: Running) -> None:
    answers = [await serving.stub.Predict(labelled()) for _ in range(64)]
    assert {answer.provenance.version for answer in answers} == {1, 2}


async def test_the_requests_of_a_stream_have_its_key_or_each_its_id(serving: Running) -> None:
    async def versions(*metadata: tuple[str, str]) -> list[int]:
        asked = [pb.PredictStreamRequest(request=labelled(request_id=key)) for key in KEYS]
        call = serving.stub.PredictStream(iter(asked), metadata=metadata)
        answers = {each.request_id: each.response.provenance.version async for each in call}
        return [answers[key] for key in KEYS]

    assert await versions() == [expected(key) for key in KEYS]
    assert await versions((KEY, "user-1")) == [expected("user-1")] * len(KEYS)


async def test_whoever_asks_about_the_label_is_told_of_the_version_of_their_key(
    serving: Running,
) -> None:
    for key in KEYS[:6]:
        selector = pb.ModelSelector(name="m", label="stable")
        asked = pb.GetModelRequest(model=selector)
        told = await serving.stub.GetModel(asked, metadata=((KEY, key),))
        assert told.summary.version == expected(key)


@pytest.mark.parametrize("key", ["k" * 257, "k" * 4_000])
async def test_a_long_key_is_refused_with_the_way_out(serving: Running, key: str) -> None:
    error = await failure(serving.stub.Predict(labelled(), metadata=((KEY, key),)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"{KEY} has {len(key)} characters" in (error.details() or "")
    assert "send a digest" in (error.details() or "")
    # Who names no label is not asked for it.
    await serving.stub.Predict(request(model="m"), metadata=((KEY, key),))


async def test_a_key_of_a_megabyte_is_refused_and_harms_nobody(serving: Running) -> None:
    async with aio.insecure_channel(serving.address) as channel:
        call: Any = channel.unary_unary("/batchproof.v1.PredictionService/Predict")
        error = await failure(call(b"", metadata=((KEY, "k" * 1_000_000),)))
    assert error.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
    assert await native(serving, "user-1") == expected("user-1")


async def test_a_version_that_hangs_gives_its_callers_to_the_other(serving: Running) -> None:
    serving.server.core.versions.follow_trouble("m", 2, "it hangs")
    assert {await native(serving, key) for key in KEYS} == {1}
    diverted = [expected(key) for key in KEYS].count(2)
    address = f"http://127.0.0.1:{serving.server.operations.port}/metrics"
    page = await asyncio.to_thread(lambda: urllib.request.urlopen(address).read().decode())
    line = f'batchproof_label_diverted_total{{model="m",version="2"}} {float(diverted)}'
    assert line in page


async def test_an_operator_shares_moves_and_ends_a_canary(serving: Running) -> None:
    async with aio.insecure_channel(serving.addresses["management"]) as channel:
        make: Any = management_grpc.ManagementServiceStub
        stub = make(channel)
        before = {key: await native(serving, key) for key in KEYS}
        weights = management.VersionWeights(weights={1: 1, 2: 9})
        shared = management.SetLabelsRequest(model="m", shared={"stable": weights})
        assert (await stub.SetLabels(shared)).shared["stable"] == weights
        after = {key: await native(serving, key) for key in KEYS}
        assert {(before[key], after[key]) for key in KEYS} == {(1, 1), (1, 2), (2, 2)}
        listed = await stub.ListVersions(management.ListVersionsRequest())
        parts = {each.version: dict(each.label_shares) for each in listed.versions}
        assert parts == {1: {"stable": 0.1}, 2: {"stable": 0.9}, 3: {}}
        alone = management.SetLabelsRequest(model="m", labels={"stable": 2})
        assert not (await stub.SetLabels(alone)).shared
        assert {await native(serving, key) for key in KEYS} == {2}


@pytest.mark.parametrize(
    ("labels", "weights", "sentence"),
    [
        ({}, {1: -1, 2: 5}, 'the label "stable": the weight of version 1 is -1, expected 0 to'),
        ({}, {1: 0, 2: 0}, 'the label "stable": all weights are 0'),
        ({}, {}, 'the label "stable": 0 versions, expected 1 to 16'),
        ({}, {1: 5, 9: 5}, 'model "m" has no version 9; its versions: 1, 2'),
        ({"stable": 1}, {1: 1, 2: 1}, 'the label "stable" is to stand for one version and several'),
    ],
)
async def test_bad_shares_change_nothing(
    serving: Running, labels: dict[str, int], weights: dict[int, int], sentence: str
) -> None:
    shared = {"stable": management.VersionWeights(weights=weights)}
    asked = management.SetLabelsRequest(model="m", labels=labels, shared=shared)
    async with aio.insecure_channel(serving.addresses["management"]) as channel:
        make: Any = management_grpc.ManagementServiceStub
        error = await failure(make(channel).SetLabels(asked))
    assert sentence in (error.details() or "")
    assert serving.server.core.versions.labels.of("m") == {"stable": HALVES}


async def test_a_member_that_does_not_lie_in_the_repository_ends_the_start(tmp_path: Path) -> None:
    write_bundle(tmp_path / "m" / "1", RAW)
    with pytest.raises(ValueError, match=r"version_labels\.m\.stable: there is no version 2 of"):
        async with running(tmp_path, CONFIG):
            pass
