"""A prediction that nothing could answer is refused before its message is read."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from prometheus_client.parser import text_string_to_metric_families

from batchproof_server.application.config import Config
from batchproof_server.rpc.settings import RpcSettings
from support.bundles_on_disk import RAW, write_bundle
from support.fakes import GatedBackend, until
from support.running import WARM_UPS, Running, failure, gated_request, request, running, trailer

PREDICTIONS = {
    "/batchproof.v1.PredictionService/Predict": "Predict",
    "/inference.GRPCInferenceService/ModelInfer": "inference.ModelInfer",
    "/tensorflow.serving.PredictionService/Predict": "tensorflow.Predict",
}
"""From the methods that ask for one prediction to their names in records."""
NO_MESSAGE_OF_ANY_PROTOCOL = b"\xff" * 100


@asynccontextmanager
async def full(path: Path, *others: str) -> AsyncIterator[tuple[Running, GatedBackend]]:
    """A server whose model "slow" executes and has a full queue."""
    slow = GatedBackend(1)
    for name in ("slow", *others):
        write_bundle(path / name / "1", RAW.replace("16", "4"))
    async with running(path, gated={"slow": slow}) as serving:
        executing = asyncio.ensure_future(serving.stub.Predict(gated_request(rows=4)))
        await slow.entered(WARM_UPS + 1)
        waiting = asyncio.ensure_future(serving.stub.Predict(gated_request(rows=4)))
        await until(lambda: serving.waiting_rows("slow") == 4)
        yield serving, slow
        slow.release_all()
        await asyncio.gather(executing, waiting)


async def asked(serving: Running, method: str, message: bytes, **options: Any) -> aio.AioRpcError:
    """The error of a call whose message is sent as it is."""
    call: Any = serving.channel.unary_unary(method)
    return await failure(call(message, **options))


@pytest.mark.parametrize("method", PREDICTIONS)
async def test_a_full_queue_refuses_what_it_could_not_even_parse(
    tmp_path: Path, method: str
) -> None:
    async with full(tmp_path) as (serving, _):
        metadata = (("x-request-id", "mine"),)
        error = await asked(serving, method, NO_MESSAGE_OF_ANY_PROTOCOL, metadata=metadata)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "the queue holds 4 of 4 rows" in (error.details() or "")
        assert int(trailer(error)["grpc-retry-pushback-ms"]) >= 1
        assert trailer(error)["x-request-id"] == "mine"
        [record] = serving.log.requests()
        assert (record["method"], record["model"]) == (PREDICTIONS[method], "slow")


async def shed_for_full_queues(serving: Running) -> dict[str, float]:
    """How many requests were, by model."""
    address = f"http://127.0.0.1:{serving.server.operations.port}/metrics"
    page = await asyncio.to_thread(lambda: urllib.request.urlopen(address).read().decode())
    return {
        sample.labels["model"]: sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "batchproof_shed_total"
        and sample.labels["reason"] == "queue_full"
        and sample.value
    }


async def test_what_is_refused_unread_counts_as_shed_once(tmp_path: Path) -> None:
    async with full(tmp_path) as (serving, _):
        await asked(serving, next(iter(PREDICTIONS)), NO_MESSAGE_OF_ANY_PROTOCOL)
        assert await shed_for_full_queues(serving) == {"slow": 1}


async def test_where_several_models_are_served_it_counts_as_that_of_none(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_bundle(tmp_path / name / "1", RAW)
    slow = GatedBackend(1)
    config = Config(rpc=RpcSettings(max_concurrent_requests=1))
    async with running(tmp_path, config, gated={"one": slow}) as serving:
        first = asyncio.ensure_future(serving.stub.Predict(gated_request(model="one")))
        await slow.entered(WARM_UPS + 1)
        await asked(serving, next(iter(PREDICTIONS)), NO_MESSAGE_OF_ANY_PROTOCOL)
        assert await shed_for_full_queues(serving) == {"": 1}
        slow.release()
        await first


async def test_a_model_with_room_is_not_refused_for_the_queue_of_another(tmp_path: Path) -> None:
    async with full(tmp_path, "free") as (serving, _):
        error = await failure(serving.stub.Predict(gated_request(model="nobody")))
        assert error.code() is grpc.StatusCode.NOT_FOUND


@asynccontextmanager
async def pressed(path: Path) -> AsyncIterator[tuple[Running, GatedBackend]]:
    """A server whose queue holds a whole micro-batch and has room for more."""
    write_bundle(path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    async with running(path, gated={"slow": slow}) as serving:
        executing = asyncio.ensure_future(serving.stub.Predict(gated_request(rows=4)))
        await slow.entered(WARM_UPS + 1)
        waiting = asyncio.ensure_future(serving.stub.Predict(gated_request(rows=4)))
        await until(lambda: serving.waiting_rows("slow") == 4)
        yield serving, slow
        slow.release_all()
        await asyncio.gather(executing, waiting)


async def test_a_pressed_server_with_room_reads_and_answers(tmp_path: Path) -> None:
    async with pressed(tmp_path) as (serving, slow):
        third = asyncio.ensure_future(serving.stub.Predict(gated_request(request_id="third")))
        await until(lambda: serving.waiting_rows("slow") == 5)
        slow.release(3)
        assert (await third).request_id == "third"


async def test_a_pressed_server_tells_a_call_without_a_message_so(tmp_path: Path) -> None:
    async with pressed(tmp_path) as (serving, _):
        call: Any = serving.channel.stream_unary(next(iter(PREDICTIONS)))
        error = await failure(call(iter(())))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_server_that_answers_as_many_as_it_may_refuses_the_next_unread(
    tmp_path: Path,
) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    config = Config(rpc=RpcSettings(max_concurrent_requests=1))
    async with running(tmp_path, config, gated={"slow": slow}) as serving:
        first = asyncio.ensure_future(serving.stub.Predict(gated_request()))
        await slow.entered(WARM_UPS + 1)
        error = await asked(serving, next(iter(PREDICTIONS)), NO_MESSAGE_OF_ANY_PROTOCOL)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        slow.release()
        await first


async def test_a_burst_that_waits_inside_grpc_is_refused_by_us_and_not_cancelled(
    tmp_path: Path,
) -> None:
    # Beyond 1,000 calls without a handler gRPC cancels at random by default.
    write_bundle(tmp_path / "quick" / "1", RAW)
    config = Config(rpc=RpcSettings(max_concurrent_requests=8))
    async with running(tmp_path, config) as serving:
        calls = [serving.stub.Predict(request()) for _ in range(2_500)]
        codes = {await call.code() for call in calls}
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
