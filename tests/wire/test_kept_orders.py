"""Orders of operators outlive the server, where a file keeps them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from batchproof.compat import inference_pb2 as oip
from batchproof.v1 import management_pb2 as pb
from batchproof.v1 import management_pb2_grpc as pb_grpc
from batchproof_server.application.config import Config
from batchproof_server.models.policies import RepositorySettings, VersionPolicy
from batchproof_server.rpc.management.settings import ManagementSettings
from support.bundles_on_disk import RAW, write_bundle
from support.compat_requests import open_inference
from support.running import Running, failure, request, running

Entries = dict[tuple[str, int], pb.VersionEntry]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Three versions of "m", one of "n"."""
    for model, version in (("m", 1), ("m", 2), ("m", 3), ("n", 1)):
        write_bundle(tmp_path / "models" / model / str(version), RAW, scale=float(version))
    return tmp_path / "models"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The newest version of each model, and a file of orders."""
    settings = ManagementSettings(enabled=True, port=0, state_file=str(tmp_path / "orders.json"))
    newest = RepositorySettings(policy=VersionPolicy(latest=1))
    return Config(management=settings, repository=newest, version_labels={"m": {"stable": 3}})


@asynccontextmanager
async def started(models: Path, config: Config) -> AsyncIterator[tuple[Running, Any]]:
    """A server, and the service of operators."""
    async with (
        running(models, config) as serving,
        aio.insecure_channel(serving.addresses["management"]) as channel,
    ):
        make: Any = pb_grpc.ManagementServiceStub
        yield serving, make(channel)


async def listed(operators: Any) -> Entries:
    """Every version."""
    found = (await operators.ListVersions(pb.ListVersionsRequest())).versions
    return {(each.model, each.version): each for each in found}


async def test_what_was_ordered_is_so_after_a_restart(models: Path, config: Config) -> None:
    async with started(models, config) as (_, operators):
        await operators.RollBack(pb.RollBackRequest(model="m"))
        await operators.LoadVersion(pb.LoadVersionRequest(model="m", version=1))
        shared = {"canary": pb.VersionWeights(weights={1: 1, 2: 9})}
        await operators.SetLabels(pb.SetLabelsRequest(model="m", shared=shared))
        await operators.UnloadVersion(pb.UnloadVersionRequest(model="n"))
    for _ in range(2):  # what was restored is kept as well
        async with started(models, config) as (serving, operators):
            entries = await listed(operators)
            states = {key: (each.state, each.is_refused) for key, each in entries.items()}
            assert states == {
                ("m", 1): ("ready", False),
                ("m", 2): ("ready", False),
                ("m", 3): ("unloaded", True),
                ("n", 1): ("unloaded", True),
            }
            assert list(entries["m", 2].labels) == ["canary", "stable"]
            assert dict(entries["m", 1].label_shares) == {"canary": 0.1}
            answer = await serving.stub.Predict(request(model="m"))
            assert answer.provenance.version == 2


async def test_a_server_that_was_told_to_serve_nothing_starts_and_takes_orders(
    models: Path, config: Config
) -> None:
    config = replace(config, version_labels={})
    async with started(models, config) as (serving, operators):
        for model in ("m", "n"):
            await operators.UnloadVersion(pb.UnloadVersionRequest(model=model))
    async with started(models, config) as (serving, operators):
        states = {key: each.state for key, each in (await listed(operators)).items()}
        assert (states["m", 3], states["n", 1]) == ("unloaded", "unloaded")
        assert "ready" not in states.values()
        await operators.LoadVersion(pb.LoadVersionRequest(model="n"))
        assert (await serving.stub.Predict(request(model="n"))).provenance.version == 1


async def test_shadows_are_kept_and_ended(models: Path, config: Config) -> None:
    config = replace(config, version_labels={})
    async with started(models, config) as (_, operators):
        await operators.LoadVersion(pb.LoadVersionRequest(model="m", version=2))
        await operators.SetShadow(pb.SetShadowRequest(model="m", version=3))
    async with started(models, config) as (serving, operators):
        entries = await listed(operators)
        assert entries["m", 3].is_shadow
        assert (await serving.stub.Predict(request(model="m"))).provenance.version == 2
        await operators.SetShadow(pb.SetShadowRequest(model="m"))
    async with started(models, config) as (_, operators):
        assert not any(each.is_shadow for each in (await listed(operators)).values())


async def test_what_the_configuration_says_since_holds(models: Path, config: Config) -> None:
    async with started(models, config) as (_, operators):
        await operators.LoadVersion(pb.LoadVersionRequest(model="m", version=1))
        await operators.SetLabels(pb.SetLabelsRequest(model="m", labels={"stable": 1}))
    changed = replace(config, version_labels={"m": {"stable": 2}})
    async with started(models, changed) as (_, operators):
        assert list((await listed(operators))["m", 2].labels) == ["stable"]
    async with started(models, config) as (_, operators):
        assert list((await listed(operators))["m", 3].labels) == ["stable"]


async def test_versions_that_are_gone_are_told_and_nobody_is_stopped_by_them(
    models: Path, config: Config
) -> None:
    async with started(models, config) as (_, operators):
        await operators.LoadVersion(pb.LoadVersionRequest(model="m", version=1))
        await operators.SetLabels(pb.SetLabelsRequest(model="m", labels={"old": 1}))
    for file in (models / "m" / "1").iterdir():
        file.unlink()
    (models / "m" / "1").rmdir()
    async with started(models, config) as (serving, operators):
        said = [each["reason"] for each in serving.log.events if each["event"] == "order ignored"]
        assert said == [
            'the label "old" of model "m" was for version 1, which is not there',
            'version 1 of model "m" was loaded and is not there',
        ]
        assert {key for key in await listed(operators) if key[0] == "m"} == {("m", 2), ("m", 3)}
    async with started(models, config) as (serving, _):
        assert not [each for each in serving.log.events if each["event"] == "order ignored"]


async def test_an_order_that_cannot_be_written_says_so_and_was_carried_out(
    models: Path, config: Config, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    settings = replace(config.management, state_file=str(folder / "orders.json"))
    async with started(models, replace(config, management=settings)) as (_, operators):
        folder.rmdir()
        order = operators.LoadVersion(pb.LoadVersionRequest(model="m", version=1))
        error = await failure(order)
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "carried out and will be forgotten at the next start" in str(error.details())
        assert (await listed(operators))["m", 1].state == "ready"


async def test_clients_of_triton_give_orders_that_are_kept_too(
    models: Path, config: Config
) -> None:
    config = replace(config, management=replace(config.management, on_grpc_port=True))
    async with started(models, config) as (serving, _):
        triton = open_inference(serving.channel)
        await triton.RepositoryModelUnload(oip.RepositoryModelUnloadRequest(model_name="n"))
    async with started(models, config) as (_, operators):
        assert (await listed(operators))["n", 1].state == "unloaded"
