"""A version that is unloaded and loaded again, as callers, probes and scrapes see it."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.models.discovery import Place
from support.bundles_on_disk import LOGITS, RAW, write_bundle
from support.fakes import GatedBackend, until
from support.running import Running, failure, gated_request, refused, request, running


async def health(serving: Running, model: str) -> int:
    stub: Any = health_pb2_grpc.HealthStub(serving.channel)
    return int((await stub.Check(health_pb2.HealthCheckRequest(service=model))).status)


def own_series(serving: Running) -> set[str]:
    """The names and labels of the series that are about a model."""
    with urlopen(f"http://127.0.0.1:{serving.server.operations.port}/metrics") as page:
        lines = page.read().decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if 'model="' in line}


async def test_the_older_version_answers_and_the_newer_one_leaves_no_series(
    tmp_path: Path,
) -> None:
    write_bundle(tmp_path / "m" / "1", LOGITS)
    async with running(tmp_path) as serving:
        await serving.stub.Predict(request())
        before = own_series(serving)
        versions = serving.server.core.versions
        newer = Place("m", 2, write_bundle(tmp_path / "m" / "2", LOGITS))
        await versions.load(newer)
        assert (await serving.stub.Predict(request())).provenance.version == 2
        assert own_series(serving) > before
        await versions.unload("m", 2)
        assert (await serving.stub.Predict(request())).provenance.version == 1
        assert own_series(serving) == before
        models = (await serving.stub.ListModels(pb.ListModelsRequest())).models
        states = [(each.version, each.state, each.is_default) for each in models]
        assert states == [(1, pb.MODEL_STATE_READY, True), (2, pb.MODEL_STATE_DRAINING, False)]


async def test_a_model_without_a_version_is_not_found_until_it_is_loaded_again(
    tmp_path: Path,
) -> None:
    write_bundle(tmp_path / "m" / "1")
    async with running(tmp_path) as serving:
        assert await health(serving, "m") == health_pb2.HealthCheckResponse.SERVING
        await serving.server.core.versions.unload("m", 1)
        error = await refused(serving, request())
        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert error.details() == 'model "m" version 1 was unloaded'
        assert await health(serving, "") == health_pb2.HealthCheckResponse.NOT_SERVING
        assert (await failure(health(serving, "m"))).code() is grpc.StatusCode.NOT_FOUND
        await serving.server.core.versions.load(Place("m", 1, tmp_path / "m" / "1"))
        assert (await serving.stub.Predict(request())).provenance.version == 1
        assert await health(serving, "") == health_pb2.HealthCheckResponse.SERVING


async def test_what_was_accepted_is_answered_before_the_version_is_released(
    tmp_path: Path,
) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    async with running(tmp_path, gated={"slow": slow}) as serving:
        waiting = [asyncio.ensure_future(serving.stub.Predict(gated_request(1))) for _ in range(9)]
        await until(lambda: serving.server.pressure._running == len(waiting))
        unloading = asyncio.create_task(serving.server.core.versions.unload("slow", 1))
        error = await refused(serving, gated_request(2))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        released = [slow.is_closed]
        slow.release_all()
        await asyncio.gather(*waiting)
        await unloading
        assert [*released, slow.is_closed] == [False, True]
        assert serving.log.codes().count("OK") == 9
