"""What server, models and repository say of themselves in the Open Inference Protocol v2."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import grpc
import numpy as np
import PIL
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from batchproof.compat import inference_pb2 as pb
from support.bundles_on_disk import RAW, write_bundle
from support.compat_requests import infer
from support.running import Running, failure, running

NOT_FOUND = grpc.StatusCode.NOT_FOUND
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("model", "version", "sentence"),
    [
        ("other", "", 'there is no model "other"'),
        ("raw", "9", 'model "raw" has no version 9'),
        ("raw", "newest", 'model "raw" has no version label "newest"'),
        ("raw", "9" * 40, 'model "raw" has no version label "999'),
    ],
)
async def test_unknown_models_and_versions_are_not_found(
    stub: Any, model: str, version: str, sentence: str
) -> None:
    calls = [
        stub.ModelInfer(infer(model=model, model_version=version)),
        stub.ModelMetadata(pb.ModelMetadataRequest(name=model, version=version)),
        stub.ModelConfig(pb.ModelConfigRequest(name=model, version=version)),
        stub.ModelStatistics(pb.ModelStatisticsRequest(name=model, version=version)),
    ]
    for call in calls:
        error = await failure(call)
        assert error.code() is NOT_FOUND
        assert sentence in (error.details() or "")
    ready = await stub.ModelReady(pb.ModelReadyRequest(name=model, version=version))
    assert not ready.ready


async def test_the_server_says_what_it_is(stub: Any) -> None:
    assert (await stub.ServerLive(pb.ServerLiveRequest())).live
    assert (await stub.ServerReady(pb.ServerReadyRequest())).ready
    assert (await stub.ModelReady(pb.ModelReadyRequest(name="raw"))).ready
    server = await stub.ServerMetadata(pb.ServerMetadataRequest())
    assert server.name == "batchproof"
    assert server.version
    assert list(server.extensions) == ["classification", "model_configuration", "statistics"]


async def test_a_server_without_models_is_live_and_not_ready(
    tmp_path: Path, service: Callable[[Running], Any]
) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW)
    async with running(tmp_path, load=False) as serving:
        stub = service(serving)
        assert (await stub.ServerLive(pb.ServerLiveRequest())).live
        assert not (await stub.ServerReady(pb.ServerReadyRequest())).ready
        assert not (await stub.ModelReady(pb.ModelReadyRequest(name="raw"))).ready
        error = await failure(stub.ModelMetadata(pb.ModelMetadataRequest(name="raw")))
        assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_metadata_and_config_say_names_types_and_shapes(stub: Any) -> None:
    metadata = await stub.ModelMetadata(pb.ModelMetadataRequest(name="pictures"))
    assert (metadata.name, list(metadata.versions)) == ("pictures", ["1"])
    (taken,), (given,) = metadata.inputs, metadata.outputs
    assert (taken.name, taken.datatype, list(taken.shape)) == ("image", "FP32", [-1, 2, 2, 3])
    assert (given.name, given.datatype, list(given.shape)) == ("scores", "FP32", [-1, 3])
    assert "png" in metadata.properties["encoded_images"]
    assert metadata.properties["recipe_libraries"] == f"pillow {PIL.__version__}"
    config = (await stub.ModelConfig(pb.ModelConfigRequest(name="pictures"))).config
    assert (config.name, config.max_batch_size) == ("pictures", 6)
    (taken,), (given,) = config.input, config.output
    assert (taken.name, taken.data_type, list(taken.dims)) == ("image", pb.TYPE_FP32, [2, 2, 3])
    assert (given.name, given.data_type, list(given.dims)) == ("scores", pb.TYPE_FP32, [3])
    assert list(config.dynamic_batching.preferred_batch_size) == [1, 2, 4]
    assert not config.model_transaction_policy.decoupled


async def test_the_index_lists_every_version_with_its_state(
    tmp_path: Path, service: Callable[[Running], Any]
) -> None:
    write_bundle(tmp_path / "good" / "1")
    write_bundle(tmp_path / "bad" / "1", "format = 9\n")
    async with running(tmp_path) as serving:
        stub = service(serving)
        every = await stub.RepositoryIndex(pb.RepositoryIndexRequest())
        ready = await stub.RepositoryIndex(pb.RepositoryIndexRequest(ready=True))
    states = {(model.name, model.version, model.state) for model in every.models}
    assert states == {("good", "1", "READY"), ("bad", "1", "UNAVAILABLE")}
    assert [model.reason != "" for model in every.models] == [True, False]
    assert [model.name for model in ready.models] == ["good"]


@pytest.mark.only_grpc
async def test_the_index_of_another_repository_is_unimplemented(stub: Any) -> None:
    error = await failure(stub.RepositoryIndex(pb.RepositoryIndexRequest(repository_name="x")))
    assert error.code() is UNIMPLEMENTED


async def test_statistics_count_rows_requests_and_executions(stub: Any) -> None:
    """Rows, not requests: peers were asked about a batch of 3 that counted as 1."""
    await stub.ModelInfer(infer(np.ones((3, 4)), "several"))
    await stub.ModelInfer(infer(np.ones((2, 4)), "several"))
    await failure(stub.ModelInfer(infer(np.ones((2, 5)), "several")))
    asked = pb.ModelStatisticsRequest(name="several", version="2")
    (did,) = (await stub.ModelStatistics(asked)).model_stats
    assert (did.name, did.version) == ("several", "2")
    assert (did.inference_count, did.execution_count) == (5, 2)
    assert did.last_inference > 1_600_000_000_000
    stats = did.inference_stats
    assert (stats.success.count, stats.fail.count) == (2, 1)
    assert stats.success.ns >= stats.compute_infer.ns + stats.queue.ns > 0
    for part in (stats.queue, stats.compute_input, stats.compute_infer, stats.compute_output):
        assert part.count == 2
    assert (stats.cache_hit.count, stats.cache_miss.count) == (0, 0)
    assert [(each.batch_size, each.compute_infer.count) for each in did.batch_stats] == [
        (2, 1),
        (4, 1),
    ]


async def test_statistics_of_no_model_are_of_all_versions(stub: Any) -> None:
    everything = await stub.ModelStatistics(pb.ModelStatisticsRequest())
    assert [(did.name, did.version) for did in everything.model_stats] == [
        ("logits", "1"),
        ("pictures", "1"),
        ("probabilities", "1"),
        ("raw", "1"),
        ("several", "1"),
        ("several", "2"),
    ]
    both = await stub.ModelStatistics(pb.ModelStatisticsRequest(name="several"))
    assert [did.version for did in both.model_stats] == ["1", "2"]
    assert all(did.inference_count == 0 for did in everything.model_stats)


@pytest.mark.parametrize(
    "method",
    [
        "RepositoryModelLoad",
        "RepositoryModelUnload",
        "SystemSharedMemoryStatus",
        "SystemSharedMemoryRegister",
        "SystemSharedMemoryUnregister",
        "CudaSharedMemoryStatus",
        "CudaSharedMemoryRegister",
        "CudaSharedMemoryUnregister",
        "TraceSetting",
        "LogSettings",
    ],
)
async def test_what_is_not_offered_says_so(serving: Running, stub: Any, method: str) -> None:
    error = await failure(getattr(stub, method)(getattr(pb, f"{method}Request", pb.Unsupported)()))
    assert error.code() is UNIMPLEMENTED
    assert (error.details() or "").startswith(f"{method}: ")
    await serving.log.ended(1)
    name = serving.log.requests()[0]["method"]
    assert name == f"rest.inference.{method}" if serving.web else f"inference.{method}"


@pytest.mark.only_grpc
async def test_reflection_describes_the_service_under_its_public_name(serving: Running) -> None:
    asked = reflection_pb2.ServerReflectionRequest(
        file_containing_symbol="inference.GRPCInferenceService"
    )
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast("Any", serving.channel))
    (answer,) = [each async for each in stub.ServerReflectionInfo(iter([asked]))]
    (file, *_) = answer.file_descriptor_response.file_descriptor_proto
    described = descriptor_pb2.FileDescriptorProto.FromString(file)
    assert described.package == "inference"
    assert [service.name for service in described.service] == ["GRPCInferenceService"]
