"""The management port: its own calls, those of others' protocols, and what callers cannot do."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from batchproof.compat import inference_pb2 as oip
from batchproof.compat import tensorflow_serving_pb2 as tfs
from batchproof.v1 import management_pb2 as pb
from batchproof.v1 import management_pb2_grpc as pb_grpc
from batchproof_server.application.config import Config
from batchproof_server.models.policies import RepositorySettings, VersionPolicy
from batchproof_server.rpc.management.settings import ManagementSettings
from support.bundles_on_disk import RAW, write_bundle
from support.compat_requests import model_service, open_inference
from support.running import Running, failure, request, running

CONFIG = Config(
    management=ManagementSettings(enabled=True, port=0),
    repository=RepositorySettings(settle_s=0.05, policy=VersionPolicy(latest=1)),
)
Codes = grpc.StatusCode


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Running]:
    """Versions 1 and 2 of "m", of which the newest is served."""
    for version in (1, 2):
        write_bundle(tmp_path / "m" / str(version), RAW, scale=float(version))
    async with running(tmp_path, CONFIG) as running_server:
        yield running_server


@pytest.fixture
async def channel(serving: Running) -> AsyncIterator[aio.Channel]:
    """To the management port."""
    async with aio.insecure_channel(serving.addresses["management"]) as opened:
        yield opened


@pytest.fixture
def stub(channel: aio.Channel) -> Any:
    """The service of operators."""
    make: Any = pb_grpc.ManagementServiceStub
    return make(channel)


def shown(entries: Any) -> dict[int, str]:
    """The states by version."""
    return {entry.version: entry.state for entry in entries}


async def answering(serving: Running) -> int:
    """The version that answers who names none."""
    answer = await serving.stub.Predict(request())
    return int(answer.provenance.version)


async def test_versions_are_loaded_rolled_back_and_unloaded(serving: Running, stub: Any) -> None:
    listed = await stub.ListVersions(pb.ListVersionsRequest())
    assert shown(listed.versions) == {1: "", 2: "ready"}
    assert await stub.RollBack(pb.RollBackRequest(model="m")) == pb.RollBackResponse(
        version=1, unloaded=2
    )
    assert await answering(serving) == 1
    loaded = await stub.LoadVersion(pb.LoadVersionRequest(model="m", version=2))
    assert shown(loaded.versions)[2] == "ready"
    assert await answering(serving) == 2
    gone = await stub.UnloadVersion(pb.UnloadVersionRequest(model="m", version=2))
    assert shown(gone.versions)[2] == "unloaded"


async def test_labels_move_and_callers_follow(serving: Running, stub: Any) -> None:
    await stub.LoadVersion(pb.LoadVersionRequest(model="m", version=1))
    labelled = request(model="m")
    labelled.model.label = "stable"
    for version in (1, 2):
        moved = await stub.SetLabels(pb.SetLabelsRequest(model="m", labels={"stable": version}))
        assert dict(moved.labels) == {"stable": version}
        assert (await serving.stub.Predict(labelled)).provenance.version == version
    removed = await stub.SetLabels(pb.SetLabelsRequest(model="m", labels={"stable": 0}))
    assert dict(removed.labels) == {}


async def test_a_reload_finds_a_new_version_and_waits_for_it(
    serving: Running, stub: Any, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "m" / "3", RAW, scale=3.0)
    reloaded = await stub.Reload(pb.ReloadRequest())
    assert (reloaded.failure, shown(reloaded.versions)[3]) == ("", "ready")
    assert await answering(serving) == 3


async def test_a_version_that_fails_is_refused_with_its_findings(
    serving: Running, stub: Any, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "m" / "3", "format = 7")
    error = await failure(stub.LoadVersion(pb.LoadVersionRequest(model="m", version=3)))
    assert error.code() is Codes.FAILED_PRECONDITION
    assert "batchproof.toml: format: unknown 7" in (error.details() or "")
    assert await answering(serving) == 2


@pytest.mark.parametrize(
    ("method", "asked", "code", "sentence"),
    [
        ("LoadVersion", pb.LoadVersionRequest(), Codes.INVALID_ARGUMENT, "name is empty"),
        ("LoadVersion", pb.LoadVersionRequest(model="x"), Codes.NOT_FOUND, 'which has "m"'),
        ("LoadVersion", pb.LoadVersionRequest(model="m", version=9), Codes.NOT_FOUND, "has 1, 2"),
        ("LoadVersion", pb.LoadVersionRequest(model="m", version=-1), Codes.NOT_FOUND, "has 1, 2"),
        ("LoadVersion", pb.LoadVersionRequest(model="../m"), Codes.NOT_FOUND, 'which has "m"'),
        ("UnloadVersion", pb.UnloadVersionRequest(model="m", version=9), Codes.NOT_FOUND, "1, 2"),
        ("RollBack", pb.RollBackRequest(model="x"), Codes.NOT_FOUND, 'which has "m"'),
        ("ListVersions", pb.ListVersionsRequest(model="x"), Codes.NOT_FOUND, 'which has "m"'),
        (
            "SetLabels",
            pb.SetLabelsRequest(model="m", labels={"a": 1}),
            Codes.UNAVAILABLE,
            "version 1 is not loaded",
        ),
        (
            "SetLabels",
            pb.SetLabelsRequest(model="m", labels={"": 2}),
            Codes.INVALID_ARGUMENT,
            "1 to",
        ),
        ("SetLogLevel", pb.SetLogLevelRequest(level="all"), Codes.INVALID_ARGUMENT, "debug, info"),
    ],
)
async def test_bad_orders_say_what_was_expected(
    stub: Any, method: str, asked: Any, code: grpc.StatusCode, sentence: str
) -> None:
    error = await failure(getattr(stub, method)(asked))
    assert error.code() is code
    assert sentence in (error.details() or "")


async def test_the_log_level_changes_what_is_written(serving: Running, stub: Any) -> None:
    await stub.SetLogLevel(pb.SetLogLevelRequest(level="error"))
    written = len(serving.log.events)
    await serving.stub.Predict(request())
    await stub.SetLogLevel(pb.SetLogLevelRequest(level="debug"))
    await serving.stub.Predict(request())
    await serving.log.ends()
    events = [event["event"] for event in serving.log.events[written:]]
    assert events[0] == "log level"
    assert "micro-batch executed" in events


async def test_triton_loads_and_unloads_models(
    serving: Running, channel: aio.Channel, tmp_path: Path
) -> None:
    triton = open_inference(channel)
    unload = oip.RepositoryModelUnloadRequest(model_name="m")
    unload.parameters["unload_dependents"].bool_param = False
    await triton.RepositoryModelUnload(unload)
    index = await triton.RepositoryIndex(oip.RepositoryIndexRequest(ready=True))
    assert list(index.models) == []
    write_bundle(tmp_path / "m" / "3", RAW, scale=3.0)
    await triton.RepositoryModelLoad(oip.RepositoryModelLoadRequest(model_name="m"))
    assert await answering(serving) == 3
    foreign = oip.RepositoryModelLoadRequest(model_name="m")
    foreign.parameters["file:1/model.onnx"].bytes_param = b"x"
    error = await failure(triton.RepositoryModelLoad(foreign))
    assert error.code() is Codes.INVALID_ARGUMENT
    assert "as it lies in the repository" in (error.details() or "")


def configuration(base: Path, **policy: Any) -> tfs.ReloadConfigRequest:
    """TensorFlow Serving's request for the model "m"."""
    model = tfs.ModelConfig(
        name="m", base_path=str(base), model_platform="tensorflow", version_labels={"stable": 1}
    )
    model.model_version_policy.specific.versions.extend(policy.get("versions", [1]))
    models = tfs.ModelConfigList(config=[model])
    return tfs.ReloadConfigRequest(config=tfs.ModelServerConfig(model_config_list=models))


async def test_tensorflow_serving_sets_policies_and_labels(
    serving: Running, channel: aio.Channel, tmp_path: Path
) -> None:
    service = model_service(channel)
    answer = await service.HandleReloadConfigRequest(configuration(tmp_path / "m"))
    assert answer.status.error_code == 0
    assert await answering(serving) == 1


@pytest.mark.parametrize(
    ("path", "sentence"), [("elsewhere/m", "paths are set where"), ("", "expected an absolute")]
)
async def test_tensorflow_serving_names_no_other_path(
    serving: Running, channel: aio.Channel, tmp_path: Path, path: str, sentence: str
) -> None:
    asked = configuration(tmp_path / path)
    if not path:
        asked.config.model_config_list.config[0].base_path = "s3://bucket/m"
    error = await failure(model_service(channel).HandleReloadConfigRequest(asked))
    assert error.code() is Codes.INVALID_ARGUMENT
    assert sentence in (error.details() or "")
    assert await answering(serving) == 2


@pytest.mark.parametrize("on_grpc_port", [False, True])
async def test_the_port_of_callers_takes_orders_only_where_that_is_configured(
    tmp_path: Path, *, on_grpc_port: bool
) -> None:
    write_bundle(tmp_path / "m" / "1", RAW)
    config = replace(CONFIG, management=ManagementSettings(on_grpc_port=on_grpc_port))
    async with running(tmp_path, config) as callers:
        assert sorted(callers.addresses) == ["grpc", "http"]
        triton = open_inference(callers.channel)
        unload = triton.RepositoryModelUnload(oip.RepositoryModelUnloadRequest(model_name="m"))
        if on_grpc_port:
            await unload
            assert (await failure(callers.stub.Predict(request()))).code() is Codes.NOT_FOUND
        else:
            error = await failure(unload)
            assert error.code() is Codes.UNIMPLEMENTED
            assert "[management]" in (error.details() or "")
        own: Any = pb_grpc.ManagementServiceStub(callers.channel)
        listing = await failure(own.ListVersions(pb.ListVersionsRequest()))
        assert listing.code() is Codes.UNIMPLEMENTED


async def test_the_port_of_operators_answers_no_predictions(channel: aio.Channel) -> None:
    error = await failure(open_inference(channel).ModelInfer(oip.ModelInferRequest()))
    assert error.code() is Codes.UNIMPLEMENTED


async def test_orders_are_logged(serving: Running, stub: Any) -> None:
    await stub.RollBack(pb.RollBackRequest(model="m"))
    await serving.log.ended(1)
    assert serving.log.requests()[0]["method"] == "management.RollBack"
    assert json.loads(json.dumps(serving.log.events))
