"""Priorities of callers with names, over every port and protocol."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.application.config import Config
from batchproof_server.callers.settings import CallerSettings
from batchproof_server.rpc.access import PRIORITY
from batchproof_server.web.settings import WebSettings
from support.bundles_on_disk import RAW, write_bundle
from support.callers import TokensOnDisk
from support.compat_requests import infer, open_inference, predict, prediction
from support.fakes import GatedBackend, until
from support.rest import ask
from support.running import WARM_UPS, Running, failure, gated_request, request, running

CALLERS = {
    "door": CallerSettings(priority="critical"),
    "shop": CallerSettings(highest_priority="critical"),
    "nightly": CallerSettings(priority="best_effort"),
}
Codes = grpc.StatusCode
QUEUE_ROWS = 16


@pytest.fixture
def tokens(tmp_path: Path) -> TokensOnDisk:
    return TokensOnDisk(tmp_path / "tokens", *CALLERS)


@pytest.fixture
async def serving(tmp_path: Path, tokens: TokensOnDisk) -> AsyncIterator[Running]:
    """One model, the gRPC port and that of REST."""
    write_bundle(tmp_path / "models" / "raw" / "1", RAW)
    config = Config(access=tokens.access(CALLERS), web=WebSettings(enabled=True))
    async with running(tmp_path / "models", config) as started:
        yield started


def asking(tokens: TokensOnDisk, name: str, priority: str | None) -> tuple[tuple[str, str], ...]:
    """The metadata of a call."""
    wanted = () if priority is None else ((PRIORITY, priority),)
    return (*tokens.bearing(name), *wanted)


async def counted(serving: Running) -> dict[tuple[str, str], float]:
    """Requests by priority and code, of those that there were."""
    page = await ask(serving.addresses["http"], "/metrics")
    return {
        (sample.labels["priority"], sample.labels["code"]): sample.value
        for family in parse(page.body.decode())
        for sample in family.samples
        if sample.name == "batchproof_priority_requests_total" and sample.value
    }


@pytest.mark.parametrize(
    ("name", "asked", "priority"),
    [
        ("door", None, "critical"),
        ("door", "default", "default"),
        ("shop", None, "default"),
        ("shop", "critical", "critical"),
        ("nightly", None, "best_effort"),
        ("nightly", "best_effort", "best_effort"),
    ],
)
async def test_every_protocol_knows_the_priority_of_a_request(
    serving: Running, tokens: TokensOnDisk, name: str, asked: str | None, priority: str
) -> None:
    metadata = asking(tokens, name, asked)
    await serving.stub.Predict(request(model="raw"), metadata=metadata)
    stream = serving.stub.PredictStream(metadata=metadata)
    await stream.write(pb.PredictStreamRequest(request=request(model="raw")))
    await stream.done_writing()
    assert (await stream.read()).WhichOneof("outcome") == "response"
    await open_inference(serving.channel).ModelInfer(infer(), metadata=metadata)
    await prediction(serving.channel).Predict(predict(), metadata=metadata)
    for path, body in (
        ("/v1/models/raw:predict", {"instances": [[0.0, 1.0, 2.0, 3.0]]}),
        (
            "/v2/models/raw/infer",
            {
                "inputs": [
                    {"name": "image", "datatype": "FP32", "shape": [1, 4], "data": [0, 1, 2, 3]}
                ]
            },
        ),
    ):
        reply = await ask(serving.web, path, body, headers=dict(metadata))
        assert reply.status == 200, reply.body
    await serving.log.ended(6)
    assert await counted(serving) == {(priority, "OK"): 6}


async def test_who_asks_for_more_than_it_may_is_told_where_that_stands(
    serving: Running, tokens: TokensOnDisk
) -> None:
    metadata = asking(tokens, "nightly", "default")
    error = await failure(serving.stub.Predict(request(model="raw"), metadata=metadata))
    assert error.code() is Codes.PERMISSION_DENIED
    assert "access.callers.nightly.highest_priority says so" in str(error.details())
    reply = await ask(serving.web, "/v2/models/raw", headers=dict(metadata))
    assert reply.status == 403


async def test_a_word_that_is_no_priority_is_refused_by_every_port(
    serving: Running, tokens: TokensOnDisk
) -> None:
    metadata = asking(tokens, "door", "urgent")
    error = await failure(serving.stub.Predict(request(model="raw"), metadata=metadata))
    assert error.code() is Codes.INVALID_ARGUMENT
    assert 'the priority is "urgent", expected one of critical' in str(error.details())
    body = {"instances": [[0.0, 1.0, 2.0, 3.0]]}
    reply = await ask(serving.web, "/v1/models/raw:predict", body, headers=dict(metadata))
    assert (reply.status, "expected one of critical" in reply.error) == (400, True)


async def test_a_full_queue_gives_up_best_effort_rows_and_loses_nothing(
    tmp_path: Path, tokens: TokensOnDisk
) -> None:
    write_bundle(tmp_path / "models" / "slow" / "1", RAW)
    slow = GatedBackend(1)
    config = Config(access=tokens.access(CALLERS))
    async with running(tmp_path / "models", config, gated={"slow": slow}) as serving:

        def send(name: str, value: float) -> "asyncio.Future[Any]":
            call = serving.stub.Predict(gated_request(value), metadata=tokens.bearing(name))
            sent: asyncio.Future[Any] = asyncio.ensure_future(call)
            return sent

        first = send("nightly", 0.0)
        await slow.entered(WARM_UPS + 1)
        patient = [send("nightly", float(value)) for value in range(1, QUEUE_ROWS + 1)]
        await until(lambda: serving.waiting_rows("slow") == QUEUE_ROWS)
        urgent = [send("door", float(value)) for value in range(100, 104)]
        await until(lambda: sum(each.done() for each in patient) == len(urgent))
        slow.release(100)

        answers = await asyncio.gather(first, *urgent, *patient, return_exceptions=True)
        refused = [each for each in answers if isinstance(each, grpc.RpcError)]
        assert [each.code() for each in refused] == [Codes.RESOURCE_EXHAUSTED] * len(urgent)
        assert all("a higher priority" in str(each.details()) for each in refused)
        await serving.log.ended(len(answers))
        assert await counted(serving) == {
            ("critical", "OK"): 4,
            ("best_effort", "OK"): QUEUE_ROWS + 1 - 4,
            ("best_effort", "RESOURCE_EXHAUSTED"): 4,
        }


async def test_without_callers_nobody_looks_at_the_key(tmp_path: Path) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW)
    async with running(tmp_path) as serving:
        metadata = ((PRIORITY, "urgent"),)
        await serving.stub.Predict(request(model="raw"), metadata=metadata)
        assert await counted(serving) == {}
