"""Callers with names: who is let in, what each may do, and what others are told."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from batchproof.compat import inference_pb2 as oip
from batchproof.v1 import management_pb2 as management
from batchproof.v1 import management_pb2_grpc as management_grpc
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.application.config import Config
from batchproof_server.callers.settings import CallerSettings
from batchproof_server.rpc.management.settings import ManagementSettings
from batchproof_server.web.settings import WebSettings
from support.bundles_on_disk import RAW, write_bundle
from support.callers import TokensOnDisk
from support.compat_requests import open_inference
from support.fakes import GatedBackend
from support.patience import PATIENCE_S
from support.rest import Reply, ask
from support.running import WARM_UPS, Running, failure, gated_request, request, running, trailer

CALLERS = {
    "shop": CallerSettings(models=("m",)),
    "reader": CallerSettings(methods=("read",)),
    "operator": CallerSettings(methods=("manage",)),
    "rare": CallerSettings(requests_per_s=0.001),
    "small": CallerSettings(rows_per_s=0.5),
}
SECRET_BEGINS = len("bp_0123456789ab_")
Codes = grpc.StatusCode


@pytest.fixture
def tokens(tmp_path: Path) -> TokensOnDisk:
    """Of all callers, and of one who has no section."""
    return TokensOnDisk(tmp_path / "tokens", *CALLERS, "stranger")


@pytest.fixture
async def serving(tmp_path: Path, tokens: TokensOnDisk) -> AsyncIterator[Running]:
    """Two models, and all ports."""
    for name in ("m", "other"):
        write_bundle(tmp_path / "models" / name / "1", RAW)
    config = Config(
        access=tokens.access(CALLERS),
        management=ManagementSettings(enabled=True, port=0),
        web=WebSettings(enabled=True),
    )
    async with running(tmp_path / "models", config) as started:
        yield started


async def test_who_brings_a_token_is_answered(serving: Running, tokens: TokensOnDisk) -> None:
    answer = await serving.stub.Predict(request(model="m"), metadata=tokens.bearing("shop"))
    assert answer.provenance.version == 1


@pytest.mark.parametrize(
    "brought", [None, "Bearer bp_000000000000_x", "Basic c2hvcA==", "", "Bearer"]
)
async def test_who_brings_none_or_an_unknown_one_is_told_what_is_expected(
    serving: Running, brought: str | None
) -> None:
    metadata = () if brought is None else (("authorization", brought),)
    error = await failure(serving.stub.Predict(request(model="m"), metadata=metadata))
    assert error.code() is Codes.UNAUTHENTICATED
    assert "expected authorization: Bearer TOKEN" in str(error.details())
    assert await serving.log.ended(1) == ["UNAUTHENTICATED"]


async def test_a_refusal_bears_the_request_id_and_is_one_record(serving: Running) -> None:
    metadata = (("x-request-id", "mine"),)
    error = await failure(serving.stub.Predict(request(model="m"), metadata=metadata))
    assert trailer(error)["x-request-id"] == "mine"
    (line,) = serving.log.requests()
    assert (line["request_id"], line["method"], line["code"]) == (
        "mine",
        "Predict",
        "UNAUTHENTICATED",
    )


@pytest.mark.parametrize(
    ("name", "model", "says"),
    [
        ("shop", "other", 'caller "shop" asked for the model "other" and may use "m"'),
        ("reader", "m", "asked for a method of the kind predict and may call read"),
        ("stranger", "m", "expected a section [access.callers.stranger]"),
    ],
)
async def test_who_may_not_is_told_what_it_may(
    serving: Running, tokens: TokensOnDisk, name: str, model: str, says: str
) -> None:
    call = serving.stub.Predict(request(model=model), metadata=tokens.bearing(name))
    error = await failure(call)
    assert error.code() is Codes.PERMISSION_DENIED
    assert says in str(error.details())


async def test_a_stream_is_refused_before_its_first_message(
    serving: Running, tokens: TokensOnDisk
) -> None:
    for metadata, code in (
        ((), Codes.UNAUTHENTICATED),
        (tokens.bearing("reader"), Codes.PERMISSION_DENIED),
    ):
        stream = serving.stub.PredictStream(metadata=metadata)
        with pytest.raises(aio.AioRpcError) as refused:
            await stream.read()
        assert refused.value.code() is code


@pytest.mark.parametrize("name", ["", "reader"])
async def test_who_is_refused_need_not_send_a_message(
    serving: Running, tokens: TokensOnDisk, name: str
) -> None:
    metadata = tokens.bearing(name) if name else ()
    call: Any = serving.channel.stream_unary("/tensorflow.serving.PredictionService/Predict")
    error = await failure(call(_nothing(), metadata=metadata))
    expected = Codes.PERMISSION_DENIED if name else Codes.UNAUTHENTICATED
    assert error.code() is expected
    assert serving.log.requests()[-1]["method"] == "tensorflow.Predict"


async def _nothing() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


async def test_health_and_life_are_for_probes_that_have_no_name(serving: Running) -> None:
    live = await open_inference(serving.channel).ServerLive(oip.ServerLiveRequest())
    assert live.live
    error = await failure(serving.stub.ListModels(pb.ListModelsRequest()))
    assert error.code() is Codes.UNAUTHENTICATED


async def test_a_revoked_token_is_unknown_within_moments(
    serving: Running, tokens: TokensOnDisk
) -> None:
    async def code() -> str:
        call = serving.stub.Predict(request(model="m"), metadata=tokens.bearing("shop"))
        return str((await call.code()).name)

    assert await code() == "OK"
    tokens.revoke("shop")
    async with asyncio.timeout(PATIENCE_S):
        while await code() == "OK":  # noqa: ASYNC110 - the server looks at the file by itself
            await asyncio.sleep(0)
    assert await code() == "UNAUTHENTICATED"
    tokens.file.write_text("half a li")
    call = serving.stub.ListModels(pb.ListModelsRequest(), metadata=tokens.bearing("reader"))
    assert await call.code() is Codes.OK


async def test_a_rate_that_is_used_up_is_refused_with_the_time_to_wait(
    serving: Running, tokens: TokensOnDisk
) -> None:
    metadata = tokens.bearing("rare")
    await serving.stub.Predict(request(model="m"), metadata=metadata)
    error = await failure(serving.stub.Predict(request(model="m"), metadata=metadata))
    assert error.code() is Codes.RESOURCE_EXHAUSTED
    assert 'caller "rare" has sent more requests, expected 0.001 at most' in str(error.details())
    assert int(trailer(error)["grpc-retry-pushback-ms"]) > 0
    await serving.stub.Predict(request(model="m"), metadata=tokens.bearing("shop"))


async def test_rows_are_charged_when_they_are_known_and_the_next_request_waits(
    serving: Running, tokens: TokensOnDisk
) -> None:
    metadata = tokens.bearing("small")
    await serving.stub.Predict(request([[1, 2, 3, 4]] * 3, model="m"), metadata=metadata)
    error = await failure(serving.stub.Predict(request(model="m"), metadata=metadata))
    assert error.code() is Codes.RESOURCE_EXHAUSTED
    assert "access.callers.small.rows_per_s" in str(error.details())


async def test_a_caller_has_no_more_requests_under_way_than_it_may(
    tmp_path: Path, tokens: TokensOnDisk
) -> None:
    gate = GatedBackend(1)
    write_bundle(tmp_path / "models" / "slow" / "1", RAW)
    callers = {**CALLERS, "shop": CallerSettings(max_concurrent=1)}
    config = Config(access=tokens.access(callers))
    metadata = tokens.bearing("shop")
    async with running(tmp_path / "models", config, gated={"slow": gate}) as serving:
        first = asyncio.ensure_future(serving.stub.Predict(gated_request(), metadata=metadata))
        await gate.entered(WARM_UPS + 1)
        error = await failure(serving.stub.Predict(gated_request(), metadata=metadata))
        assert error.code() is Codes.RESOURCE_EXHAUSTED
        assert "has 1 requests under way, expected 1 at most" in str(error.details())
        gate.release(100)
        await first
        await serving.stub.Predict(gated_request(), metadata=metadata)


async def test_operators_alone_reach_what_changes_what_is_served(
    serving: Running, tokens: TokensOnDisk
) -> None:
    async with aio.insecure_channel(serving.addresses["management"]) as channel:
        stub: Any = management_grpc.ManagementServiceStub(channel)
        for metadata, code in (
            ((), Codes.UNAUTHENTICATED),
            (tokens.bearing("shop"), Codes.PERMISSION_DENIED),
            (tokens.bearing("operator"), Codes.OK),
        ):
            call = stub.ListVersions(management.ListVersionsRequest(), metadata=metadata)
            assert await call.code() is code


async def test_rest_asks_for_the_same(serving: Running, tokens: TokensOnDisk) -> None:
    body = {"instances": [[0.0, 1.0, 2.0, 3.0]]}
    port = serving.addresses["web"]
    headers = {name: dict(tokens.bearing(name)) for name in tokens.of}

    async def post(model: str, given: dict[str, str]) -> Reply:
        return await ask(port, f"/v1/models/{model}:predict", body, headers=given)

    assert (await ask(port, "/v2/health/live")).status == 200
    nobody = await post("m", {})
    assert nobody.status == 401
    assert "expected authorization: Bearer TOKEN" in nobody.error
    assert serving.log.requests()[-1]["method"].startswith("rest.")
    assert (await post("m", headers["shop"])).status == 200
    assert (await post("other", headers["shop"])).status == 403
    assert (await post("m", headers["reader"])).status == 403
    assert [(await post("m", headers["rare"])).status for _ in range(2)] == [200, 429]


async def test_no_log_and_no_metric_holds_a_token(serving: Running, tokens: TokensOnDisk) -> None:
    for name in tokens.of:
        for _ in range(2):
            await serving.stub.Predict(request(model="m"), metadata=tokens.bearing(name)).code()
    unknown = replace_last(tokens.of["shop"])
    await serving.stub.Predict(
        request(model="m"), metadata=(("authorization", f"Bearer {unknown}"),)
    ).code()
    metrics = await ask(serving.addresses["http"], "/metrics")
    said = str(serving.log.events) + metrics.body.decode()
    for token in (*tokens.of.values(), unknown):
        assert token[SECRET_BEGINS:] not in said


def replace_last(token: str) -> str:
    """Another token."""
    return token[:-1] + ("A" if token[-1] != "A" else "B")
