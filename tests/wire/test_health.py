"""grpc.health.v1 over the life of the server, and reflection."""

from pathlib import Path
from typing import Any, cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from support.bundles_on_disk import write_bundle
from support.running import Running, failure, running

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def states(serving: Running) -> dict[str, int]:
    """The health of the server and of both models."""
    stub: Any = health_pb2_grpc.HealthStub(serving.channel)
    return {
        name: (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status
        for name in ("", "bad", "good")
    }


async def test_health_follows_load_and_drain_for_each_model(tmp_path: Path) -> None:
    write_bundle(tmp_path / "good" / "1")
    write_bundle(tmp_path / "bad" / "1", "format = 9\n")
    async with running(tmp_path, load=False) as serving:
        health = serving.server.health
        assert await states(serving) == {"": NOT_SERVING, "bad": NOT_SERVING, "good": NOT_SERVING}
        told = [health.is_serving]
        assert await serving.server.load()
        assert await states(serving) == {"": SERVING, "bad": NOT_SERVING, "good": SERVING}
        told.append(health.is_serving)
        await health.start_draining()
        assert await states(serving) == {"": NOT_SERVING, "bad": NOT_SERVING, "good": NOT_SERVING}
        told.append(health.is_serving)
        await health.end_loading()
        assert await states(serving) == {"": NOT_SERVING, "bad": NOT_SERVING, "good": NOT_SERVING}
        told.append(health.is_serving)
    assert told == [False, True, False, False]


async def test_a_server_without_a_model_that_answers_never_serves(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bad" / "1", "format = 9\n")
    write_bundle(tmp_path / "good" / "1", "format = 9\n")
    async with running(tmp_path, load=False) as serving:
        assert not await serving.server.load()
        assert set((await states(serving)).values()) == {NOT_SERVING}


async def test_the_health_of_an_unknown_model_is_not_found(tmp_path: Path) -> None:
    write_bundle(tmp_path / "good" / "1")
    async with running(tmp_path) as serving:
        stub: Any = health_pb2_grpc.HealthStub(serving.channel)
        error = await failure(stub.Check(health_pb2.HealthCheckRequest(service="other")))
    assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_the_services(tmp_path: Path) -> None:
    write_bundle(tmp_path / "good" / "1")
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    async with running(tmp_path) as serving:
        stub = reflection_pb2_grpc.ServerReflectionStub(cast("Any", serving.channel))
        ask: Any = stub.ServerReflectionInfo
        call = ask(iter([asked]))
        answers = [answer async for answer in call]
    services = {service.name for service in answers[0].list_services_response.service}
    assert services == {
        "batchproof.v1.PredictionService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
    }


async def test_a_watch_is_told_every_change_and_ends_with_the_server(tmp_path: Path) -> None:
    write_bundle(tmp_path / "good" / "1")
    async with running(tmp_path, load=False) as serving:
        stub: Any = health_pb2_grpc.HealthStub(serving.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="good"))
        told = [(await watch.read()).status]
        await serving.server.load()
        told.append((await watch.read()).status)
        await serving.server.health.start_draining()
        told.append((await watch.read()).status)
        assert told == [NOT_SERVING, SERVING, NOT_SERVING]
        serving.server.health.end_watches()
        assert (await failure(watch.read())).code() is grpc.StatusCode.UNAVAILABLE
        late = stub.Watch(health_pb2.HealthCheckRequest(service="good"))
        assert (await late.read()).status == NOT_SERVING
        assert (await failure(late.read())).code() is grpc.StatusCode.UNAVAILABLE


async def test_an_unknown_model_can_be_watched(tmp_path: Path) -> None:
    write_bundle(tmp_path / "good" / "1")
    async with running(tmp_path) as serving:
        stub: Any = health_pb2_grpc.HealthStub(serving.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="other"))
        unknown = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        assert (await watch.read()).status == unknown
        watch.cancel()
