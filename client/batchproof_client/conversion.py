"""Messages of the wire contract to values."""

from collections.abc import Iterable
from enum import Enum
from typing import TypeVar

import numpy as np

from batchproof.handles import handle_to_text
from batchproof.tensors import TensorError, dtype_of, from_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof_client.answers import (
    Execution,
    Float32,
    HeadPrediction,
    Prediction,
    PredictResult,
    Provenance,
    ScoredClass,
)
from batchproof_client.augmentation import (
    applied_augmentation_of,
    limits_of,
    policy_of,
    row_augmentation_of,
)
from batchproof_client.descriptions import (
    HeadDescription,
    ModelDescription,
    ModelSummary,
    TensorSpec,
)
from batchproof_client.errors import ServerFailed
from batchproof_client.kinds import ModelState, OutputKind, Verdict

Kind = TypeVar("Kind", bound=Enum)


def result_of(response: pb.PredictResponse) -> PredictResult:
    """Reads the answer to a request.

    Raises:
        ServerFailed: an output tensor is malformed.
    """
    try:
        outputs = {name: from_proto(tensor) for name, tensor in response.outputs.items()}
    except TensorError as malformed:
        raise ServerFailed(
            f"the answer cannot be read: {malformed}", request_id=response.request_id
        ) from malformed
    return PredictResult(
        rows=tuple(_prediction(row) for row in response.rows),
        outputs=outputs,
        provenance=_provenance(response.provenance),
        request_id=response.request_id,
        warnings=tuple(response.warnings),
    )


def summary_of(summary: pb.ModelSummary) -> ModelSummary:
    """Reads one line of the list of models."""
    return ModelSummary(
        name=summary.name,
        version=summary.version,
        state=_known(ModelState, summary.state),
        is_default=summary.is_default,
        labels=tuple(summary.version_labels),
        findings=tuple(summary.findings),
        verdict=_known(Verdict, summary.verdict),
    )


def description_of(response: pb.GetModelResponse) -> ModelDescription:
    """Reads the description of a model version."""
    return ModelDescription(
        summary=summary_of(response.summary),
        description=response.description,
        model_digest=response.model_digest,
        recipe_digest=response.recipe_digest,
        engine=response.engine,
        inputs=tuple(_spec(spec) for spec in response.inputs),
        outputs=tuple(_spec(spec) for spec in response.outputs),
        output_kind=_known(OutputKind, response.output_kind),
        labels=tuple(response.labels),
        buckets_rows=tuple(response.buckets_rows),
        recipe_json=response.recipe_json,
        image_formats=tuple(response.image_formats),
        max_request_rows=response.max_request_rows,
        certificate_json=response.certificate_json,
        certificate_digest=response.certificate_digest,
        consistency=response.consistency,
        tta_policies=tuple(policy_of(each) for each in response.tta_policies),
        tta_default_policy=response.tta_default_policy,
        tta_limits=limits_of(response.tta_limits) if response.HasField("tta_limits") else None,
        threshold=response.threshold if response.HasField("threshold") else None,
        thresholds=tuple(response.thresholds),
        heads=tuple(_head_description(each) for each in response.heads),
    )


def _head_description(head: pb.HeadDescription) -> HeadDescription:
    return HeadDescription(
        output=head.output,
        kind=_known(OutputKind, head.kind),
        labels=tuple(head.labels),
        threshold=head.threshold if head.HasField("threshold") else None,
        thresholds=tuple(head.thresholds),
        is_watched=head.is_watched,
    )


def _prediction(row: pb.RowPrediction) -> Prediction:
    return Prediction(
        classes=_scored(row.classes),
        probabilities=_float32(row.probabilities) if row.probabilities else None,
        logits=_float32(row.logits) if row.logits else None,
        entropy=row.entropy,
        margin=row.margin,
        tta=row_augmentation_of(row.tta) if row.HasField("tta") else None,
        handle=handle_to_text(row.handle),
        labels=_scored(row.labels),
        heads={head.output: _head(head) for head in row.heads},
    )


def _head(head: pb.HeadPrediction) -> HeadPrediction:
    return HeadPrediction(
        classes=_scored(head.classes),
        labels=_scored(head.labels),
        probabilities=_float32(head.probabilities) if head.probabilities else None,
        entropy=head.entropy,
        margin=head.margin,
    )


def _scored(classes: Iterable[pb.ScoredClass]) -> tuple[ScoredClass, ...]:
    return tuple(
        ScoredClass(index=each.index, label=each.label, score=each.score) for each in classes
    )


def _float32(values: object) -> Float32:
    return np.array(values, dtype=np.float32)


def _provenance(provenance: pb.Provenance) -> Provenance:
    return Provenance(
        model=provenance.model,
        version=provenance.version,
        model_digest=provenance.model_digest,
        recipe_digest=provenance.recipe_digest,
        engine=provenance.engine,
        executions=tuple(
            Execution(
                rows=each.rows,
                bucket_rows=each.bucket_rows,
                queue_delay_s=each.queue_delay_s,
                execution_s=each.execution_s,
            )
            for each in provenance.executions
        ),
        certificate_digest=provenance.certificate_digest,
        tta=applied_augmentation_of(provenance.tta) if provenance.HasField("tta") else None,
    )


def _spec(spec: pb.TensorSpec) -> TensorSpec:
    try:
        dtype = dtype_of(spec.data_type).name
    except TensorError:
        dtype = "unknown"  # of a newer server
    return TensorSpec(name=spec.name, dtype=dtype, shape=tuple(spec.shape))


def _known(kind: type[Kind], number: int) -> Kind:
    """A newer server may send a number that this client has no name for."""
    try:
        return kind(number)
    except ValueError:
        return kind(0)
