"""What models are, in the messages of ``batchproof.v1``; no logic."""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from batchproof.tensors import data_type_of
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.signature import TensorSpec
from batchproof_server.drift.profile_form import canonical_json
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.served import ServedModel
from batchproof_server.models.version_states import VersionStatus
from batchproof_server.models.versions import Versions
from batchproof_server.rpc.native.tta import write_policies
from batchproof_server.rpc.version_states import STATE_NAMES

_OUTPUT_KINDS: Final = {
    "logits": pb.OUTPUT_KIND_LOGITS,
    "probabilities": pb.OUTPUT_KIND_PROBABILITIES,
    "binary_logit": pb.OUTPUT_KIND_BINARY_LOGIT,
    "binary_probability": pb.OUTPUT_KIND_BINARY_PROBABILITY,
    "multilabel_logits": pb.OUTPUT_KIND_MULTILABEL_LOGITS,
    "multilabel_probabilities": pb.OUTPUT_KIND_MULTILABEL_PROBABILITIES,
    "raw": pb.OUTPUT_KIND_RAW,
}
_VERDICTS: Final = {
    "proven": pb.VERDICT_PROVEN,
    "probed": pb.VERDICT_PROBED,
    "unproven": pb.VERDICT_UNPROVEN,
}


def write_summary(status: VersionStatus, versions: Versions) -> pb.ModelSummary:
    """The state of a version."""
    default = versions.find(ModelSelector(status.name))
    return pb.ModelSummary(
        name=status.name,
        version=status.version,
        state=STATE_NAMES[status.state].native,
        findings=status.findings,
        is_default=default.version == status.version,
        version_labels=versions.labels.on(status.name, status.version),
        verdict=_verdict(status),
    )


def _verdict(status: VersionStatus) -> pb.Verdict:
    certificate = None if status.served is None else status.served.loaded.certificate
    return pb.VERDICT_UNSPECIFIED if certificate is None else _VERDICTS[certificate.verdict]


def write_model(status: VersionStatus, versions: Versions) -> pb.GetModelResponse:
    """Everything that is known of a version; of one that is not loaded, its state only."""
    response = pb.GetModelResponse(summary=write_summary(status, versions))
    if status.served is None:
        return response
    loaded = status.served.loaded
    response.description = loaded.bundle.manifest.description
    response.model_digest = loaded.bundle.model_digest
    response.engine = loaded.backend.engine
    response.inputs.extend(_write_spec(spec) for spec in loaded.backend.signature.inputs)
    response.outputs.extend(_write_spec(spec) for spec in loaded.backend.signature.outputs)
    _write_outputs(response, status.served)
    response.buckets_rows.extend(loaded.batching.buckets_rows)
    response.max_request_rows = status.served.max_request_rows
    if loaded.recipe is not None:
        response.recipe_digest = loaded.recipe.digest
        response.recipe_json = loaded.recipe.canonical_json
        response.image_formats.extend(loaded.recipe.formats)
    if loaded.certificate is not None:
        response.certificate_json = loaded.certificate.to_json()
        response.certificate_digest = loaded.certificate_digest
        response.consistency = loaded.certificate.consistency
    if loaded.profile is not None:
        response.profile_digest = loaded.profile.digest
        response.profile_json = canonical_json(loaded.profile.profile)
    if loaded.recipe is not None and loaded.output.kind != "raw":
        write_policies(response, status.served)
    return response


def _write_spec(spec: TensorSpec) -> pb.TensorSpec:
    sizes = [-1 if size is None else size for size in (None, *spec.row_shape)]
    return pb.TensorSpec(name=spec.name, data_type=data_type_of(np.dtype(spec.dtype)), shape=sizes)


def _write_outputs(response: pb.GetModelResponse, model: ServedModel) -> None:
    """What the outputs of a version are."""
    loaded = model.loaded
    response.output_kind = _OUTPUT_KINDS[loaded.output.kind]
    _write_limits(response, loaded.output)
    response.labels.extend(loaded.bundle.labels)
    if not loaded.heads:
        return
    heads = loaded.scored
    for name in _in_order(model, heads):
        head = heads[name]
        message = response.heads.add(
            output=name,
            kind=_OUTPUT_KINDS[head.output.kind],
            labels=head.labels,
            is_watched=name == loaded.output.name,
        )
        _write_limits(message, head.output)


def _in_order(model: ServedModel, heads: Iterable[str]) -> list[str]:
    own = [spec.name for spec in model.loaded.backend.signature.outputs]
    return sorted(heads, key=own.index)


def _write_limits(message: Any, output: OutputSettings) -> None:
    if output.threshold is not None:
        message.threshold = output.threshold
    if output.thresholds is not None:
        message.thresholds.extend(output.thresholds)
