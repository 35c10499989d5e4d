"""What models are and did, in the messages of the Open Inference Protocol v2 and of Triton."""

import numpy as np

from batchproof.compat import inference_pb2 as pb
from batchproof_server.base.signature import TensorSpec
from batchproof_server.models.served import ServedModel
from batchproof_server.models.version_states import VersionStatus
from batchproof_server.models.versions import Versions
from batchproof_server.observing.statistics import Statistics, Total
from batchproof_server.rpc.open_inference.tensors import datatype_of
from batchproof_server.rpc.version_states import STATE_NAMES

_US_PER_S = 1_000_000


def write_metadata(model: ServedModel, versions: Versions) -> pb.ModelMetadataResponse:
    """Names, types and shapes, and what else a caller must know."""
    signature = model.loaded.backend.signature
    ready = [served.version for served in versions.ready() if served.name == model.name]
    return pb.ModelMetadataResponse(
        name=model.name,
        versions=[str(version) for version in ready],
        platform=_platform(model),
        inputs=[_tensor(spec) for spec in signature.inputs],
        outputs=[_tensor(spec) for spec in signature.outputs],
        properties=_properties(model),
    )


def _tensor(spec: TensorSpec) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(
        name=spec.name, datatype=datatype_of(np.dtype(spec.dtype)), shape=[-1, *_sizes(spec)]
    )


def _sizes(spec: TensorSpec) -> list[int]:
    return [-1 if size is None else size for size in spec.row_shape]


def _platform(model: ServedModel) -> str:
    return f"batchproof_{model.loaded.bundle.backend}"


def _properties(model: ServedModel) -> dict[str, str]:
    loaded = model.loaded
    properties = {
        "model_digest": loaded.bundle.model_digest,
        "engine": loaded.backend.engine,
        "output_kind": loaded.output.kind,
    }
    if loaded.output.threshold is not None:
        properties["output_threshold"] = str(loaded.output.threshold)
    if loaded.output.thresholds is not None:
        properties["output_thresholds"] = ",".join(map(str, loaded.output.thresholds))
    for head in loaded.heads:
        properties[f"output_kind.{head.name}"] = head.output.kind
    if loaded.recipe is not None:
        properties["recipe_digest"] = loaded.recipe.digest
        pixels_by = (f"{name} {version}" for name, version in loaded.recipe.libraries.items())
        properties["recipe_libraries"] = ",".join(pixels_by)
        properties["encoded_images"] = ",".join(loaded.recipe.formats)
    return properties


def write_config(model: ServedModel) -> pb.ModelConfig:
    """What Triton's clients want to know of batching, and the signature once more."""
    signature = model.loaded.backend.signature
    return pb.ModelConfig(
        name=model.name,
        platform=_platform(model),
        backend=_platform(model),
        max_batch_size=model.max_request_rows,
        input=[
            pb.ModelInput(name=spec.name, data_type=_data_type(spec), dims=_sizes(spec))
            for spec in signature.inputs
        ],
        output=[
            pb.ModelOutput(name=spec.name, data_type=_data_type(spec), dims=_sizes(spec))
            for spec in signature.outputs
        ],
        dynamic_batching=_batching(model),
        model_transaction_policy=pb.ModelTransactionPolicy(decoupled=False),
        response_cache=pb.ModelResponseCache(enable=False),
    )


def _data_type(spec: TensorSpec) -> pb.DataType:
    return _DATA_TYPES[datatype_of(np.dtype(spec.dtype))]


_DATA_TYPES = {
    "BOOL": pb.TYPE_BOOL,
    "INT8": pb.TYPE_INT8,
    "INT16": pb.TYPE_INT16,
    "INT32": pb.TYPE_INT32,
    "INT64": pb.TYPE_INT64,
    "UINT8": pb.TYPE_UINT8,
    "UINT16": pb.TYPE_UINT16,
    "UINT32": pb.TYPE_UINT32,
    "UINT64": pb.TYPE_UINT64,
    "FP16": pb.TYPE_FP16,
    "FP32": pb.TYPE_FP32,
    "FP64": pb.TYPE_FP64,
}


def _batching(model: ServedModel) -> pb.ModelDynamicBatching:
    settings = model.batcher.settings
    return pb.ModelDynamicBatching(
        preferred_batch_size=settings.buckets_rows,
        max_queue_delay_microseconds=round(settings.max_queue_delay_s * _US_PER_S),
        default_queue_policy=pb.ModelQueuePolicy(
            allow_timeout_override=True, max_queue_size=settings.max_queued_rows
        ),
    )


def write_statistics(name: str, version: int, statistics: Statistics) -> pb.ModelStatistics:
    """What a version did since the server started.

    Assembling a micro-batch and splitting its answers are part of ``compute_infer``.
    """
    did = statistics.of(name, version)
    nothing = pb.StatisticDuration()
    # Of requests that were answered, but took no time that was measured apart.
    unmeasured = pb.StatisticDuration(count=did.compute.count)
    return pb.ModelStatistics(
        name=name,
        version=str(version),
        last_inference=did.last_inference_ms,
        inference_count=did.inference_rows,
        execution_count=did.executions,
        inference_stats=pb.InferStatistics(
            success=_duration(did.success),
            fail=_duration(did.fail),
            queue=_duration(did.queue),
            compute_input=unmeasured,
            compute_infer=_duration(did.compute),
            compute_output=unmeasured,
            cache_hit=nothing,
            cache_miss=nothing,
        ),
        batch_stats=[
            _batch(bucket_rows, total) for bucket_rows, total in sorted(did.by_bucket_rows.items())
        ],
    )


def _batch(bucket_rows: int, total: Total) -> pb.InferBatchStatistics:
    unmeasured = pb.StatisticDuration(count=total.count)
    return pb.InferBatchStatistics(
        batch_size=bucket_rows,
        compute_input=unmeasured,
        compute_infer=_duration(total),
        compute_output=unmeasured,
    )


def _duration(total: Total) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=total.count, ns=total.ns)


def write_index(status: VersionStatus) -> pb.RepositoryIndexResponse.ModelIndex:
    """The state of a version, and why it does not answer."""
    names = STATE_NAMES[status.state]
    return pb.RepositoryIndexResponse.ModelIndex(
        name=status.name,
        version=str(status.version),
        state=names.open_inference,
        reason="; ".join(status.findings) or names.reason,
    )
