"""What observers are told of an answer."""

from dataclasses import replace

import numpy as np

from batchproof_server.base.events import PredictionRecord
from batchproof_server.base.input_statistics import InputStatistics
from batchproof_server.base.scores import Scores
from batchproof_server.serving.request import Prediction, PredictRequest


def record_of(
    request: PredictRequest, prediction: Prediction, scores: Scores, inputs: InputStatistics | None
) -> PredictionRecord:
    """The event that tells of an answer.

    Args:
        request: that was answered.
        prediction: the answer.
        scores: of its rows.
        inputs: what was seen of them before the model; None where nobody wants it.
    """
    plain = PredictionRecord(
        model=request.model.name,
        version=request.model.version,
        request_id=request.request_id,
        probabilities=scores.probabilities,
        logits=scores.logits,
        entropy=scores.entropy,
        margin=scores.margin,
        decided=scores.decided,
        confidences=scores.confidences,
        chosen=scores.chosen,
        inputs=inputs,
        handles=prediction.handles,
    )
    if prediction.augmentation is None:
        return plain
    plan, results = prediction.augmentation.plan, prediction.augmentation.results
    return replace(
        plain,
        policy=plan.policy,
        policy_digest=plan.digest,
        weights=plan.weights,
        views=sum(len(result.views) for result in results),
        early_exits=sum(result.exited_early for result in results),
        flip_rate=np.array([result.flip_rate for result in results]),
        mutual_information=np.array([result.mutual_information for result in results]),
    )
