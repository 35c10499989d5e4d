"""The scores of answered rows, and what outputs are, in the messages of ``batchproof.v1``."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.scores import Scores
from batchproof_server.models.served import ServedModel
from batchproof_server.serving.request import Prediction

OUTPUT_KINDS: Final = {
    "logits": pb.OUTPUT_KIND_LOGITS,
    "probabilities": pb.OUTPUT_KIND_PROBABILITIES,
    "binary_logit": pb.OUTPUT_KIND_BINARY_LOGIT,
    "binary_probability": pb.OUTPUT_KIND_BINARY_PROBABILITY,
    "multilabel_logits": pb.OUTPUT_KIND_MULTILABEL_LOGITS,
    "multilabel_probabilities": pb.OUTPUT_KIND_MULTILABEL_PROBABILITIES,
    "raw": pb.OUTPUT_KIND_RAW,
}


def write_rows(
    response: pb.PredictResponse, prediction: Prediction, options: pb.PredictOptions, top_k: int
) -> None:
    """Adds the rows of an answer, without what augmentation says of them.

    Raises:
        InvalidInput: another head of the model answers something that is not finite.
    """
    model, scores = prediction.model, prediction.scores
    if scores is None:
        return
    heads = [(head, head.scores(prediction.outputs)) for head in model.loaded.heads]
    for row in range(len(scores.entropy)):
        message = response.rows.add()
        _write_scores(message, scores, row, model.label, top_k)
        if options.return_probabilities:
            message.probabilities.extend(scores.probabilities[row].tolist())
        if options.return_logits and scores.logits is not None:
            message.logits.extend(scores.logits[row].tolist())
        if prediction.handles:
            message.handle = prediction.handles[row]
        for head, theirs in heads:
            own = message.heads.add(output=head.name)
            _write_scores(own, theirs, row, head.label, top_k)
            if options.return_probabilities:
                own.probabilities.extend(theirs.probabilities[row].tolist())


def _write_scores(
    message: Any, scores: Scores, row: int, label_of: Callable[[int], str], top_k: int
) -> None:
    # Numbers of Python's own: protobuf takes longer over those of numpy.
    message.entropy = scores.entropy.item(row)
    message.margin = scores.margin.item(row)
    score_of = scores.probabilities[row].item
    for add, indices in (
        (message.classes.add, scores.ranking(row, top_k)),
        (message.labels.add, scores.labels(row)),
    ):
        for index in indices:
            add(index=index, label=label_of(index), score=score_of(index))


def write_outputs(response: pb.GetModelResponse, model: ServedModel) -> None:
    """What the outputs of a version are."""
    loaded = model.loaded
    response.output_kind = OUTPUT_KINDS[loaded.output.kind]
    _write_limits(response, loaded.output)
    response.labels.extend(loaded.bundle.labels)
    if not loaded.heads:
        return
    heads = loaded.scored
    for name in _in_order(model, heads):
        head = heads[name]
        message = response.heads.add(
            output=name,
            kind=OUTPUT_KINDS[head.output.kind],
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
