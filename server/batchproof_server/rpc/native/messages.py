"""Between the messages of ``batchproof.v1`` and the values of the predictor; no logic."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from batchproof.tensors import TensorError, dtype_of, fill, from_bytes
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.base.errors import InvalidInput, NotImplementedYet, cut
from batchproof_server.base.scores import Scores
from batchproof_server.base.signature import Array
from batchproof_server.batching.replies import BatchedRows
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.served import ServedModel
from batchproof_server.rpc.calls import Call
from batchproof_server.rpc.native.tta import (
    read_tta,
    write_augmentation,
    write_row_augmentation,
)
from batchproof_server.rpc.status import Failure
from batchproof_server.rpc.versions import key_of
from batchproof_server.serving.request import Prediction, PredictRequest
from batchproof_server.tta.plan import Plan

_DEFAULT_TOP_K = 5


def read_selector(selector: pb.ModelSelector, call: Call) -> ModelSelector:
    """Which model the caller asks for.

    Raises:
        InvalidInput: as ``key_of`` says.
    """
    match selector.WhichOneof("selection"):
        case "version":
            return ModelSelector(selector.name, version=selector.version)
        case "label":
            return ModelSelector(selector.name, label=selector.label, key=key_of(call))
        case _:
            return ModelSelector(selector.name)


def read_tensors(tensors: pb.NamedTensors, call: Call) -> dict[str, Array]:
    """The input tensors, as read-only views of the message.

    Raises:
        InvalidInput: a tensor's dtype, shape and bytes contradict each other.
    """
    arrays = {}
    for name in tensors.tensors:
        try:
            arrays[name] = read_tensor(tensors.tensors[name], call)
        except TensorError as fault:
            raise InvalidInput(f'input "{cut(name)}": {fault}') from fault
    return arrays


def read_tensor(tensor: pb.Tensor, call: Call) -> Array:
    """A tensor, as a read-only view of the message.

    Raises:
        TensorError: as ``batchproof.tensors.from_bytes`` and ``dtype_of`` say.
    """
    content = call.contents.of(tensor.content)
    return from_bytes(dtype_of(tensor.data_type), tuple(tensor.shape), content)


def read_request(
    message: pb.PredictRequest, model: ServedModel, call: Call, deadline_s: float
) -> PredictRequest:
    """What the caller wants of a model, read and planned once.

    Args:
        message: the request.
        model: which answers.
        call: its number of rows becomes known.
        deadline_s: an instant of the clock.

    Raises:
        NotImplementedYet: an option that the contract reserves.
        InvalidInput: no input, or one that cannot be read; scores of a model that has none, or
            logits of one that has none, or logits of augmented rows, or augmentation of tensors.
    """
    options, kind = message.options, message.WhichOneof("input")
    _check_scores(options, model)
    if kind == "tensors":
        if options.HasField("tta"):
            raise InvalidInput("options.tta: the request has tensors, expected images")
        tensors = read_tensors(message.tensors, call)
        for array in tensors.values():
            call.trace.rows = max(call.trace.rows, array.shape[0] if array.ndim else 0)
        return PredictRequest(
            model,
            deadline_s,
            tensors=tensors,
            request_id=call.request_id,
            caller=call.caller,
            trace=call.trace,
        )
    asked = read_tta(options.tta) if options.HasField("tta") else None
    plan = model.plan(asked)
    _check_logits(options, plan)
    if kind is None:
        raise InvalidInput("the request has no input, expected images or tensors")
    call.trace.rows = len(message.images.contents)
    return PredictRequest(
        model,
        deadline_s,
        images=message.images.contents,
        plan=plan,
        names_views=asked is not None or not plan.is_plain,
        request_id=call.request_id,
        caller=call.caller,
        trace=call.trace,
    )


def _check_scores(options: pb.PredictOptions, model: ServedModel) -> None:
    if options.HasField("diagnosis"):
        raise NotImplementedYet(
            "options.diagnosis: a diagnosis takes seconds, ask for it with Diagnose"
        )
    kind = model.loaded.output.kind
    if options.return_logits and not model.loaded.output.has_logits:
        raise InvalidInput(f'options.return_logits: the output of model "{model.name}" is {kind}')
    if kind == "raw" and (options.return_probabilities or options.HasField("top_k")):
        raise InvalidInput(f'options: the output of model "{model.name}" is raw, it has no classes')


def _check_logits(options: pb.PredictOptions, plan: Plan) -> None:
    if options.return_logits and not plan.is_plain:
        raise InvalidInput(
            f'options.return_logits: the policy "{plan.policy}" aggregates views, and an aggregate '
            'has no logits; expected options.tta.policy "none"'
        )


def write_prediction(
    prediction: Prediction, options: pb.PredictOptions, request_id: str
) -> pb.PredictResponse:
    """The answer to a request."""
    model = prediction.model
    response = _begun(model, prediction.executions)
    response.request_id = request_id
    if prediction.far is not None:
        response.warnings.extend(prediction.warnings)
    if prediction.augmentation is not None:
        write_augmentation(response.provenance.tta, prediction.augmentation)
    if prediction.scores is None:
        for name, output in prediction.outputs.items():
            fill(response.outputs[name], output)
        return response
    top_k = options.top_k if options.HasField("top_k") else _DEFAULT_TOP_K
    _write_rows(response, prediction, prediction.scores, options, top_k)
    if prediction.augmentation is not None:
        for row, result in enumerate(prediction.augmentation.results):
            write_row_augmentation(response.rows[row].tta, result, options.tta)
    return response


def _write_rows(
    response: pb.PredictResponse,
    prediction: Prediction,
    scores: Scores,
    options: pb.PredictOptions,
    top_k: int,
) -> None:
    """Adds the rows of an answer, without what augmentation says of them.

    Raises:
        InvalidInput: another head of the model answers something that is not finite.
    """
    loaded = prediction.model.loaded
    labels, heads = loaded.bundle.labels, loaded.heads
    scores_of_heads = [prediction.scores_of(head) for head in heads] if heads else ()
    for row in range(len(scores.entropy)):
        message = response.rows.add()
        _write_scores(message, scores, row, labels, top_k)
        if options.return_probabilities:
            message.probabilities.extend(scores.probabilities[row].tolist())
        if options.return_logits and scores.logits is not None:
            message.logits.extend(scores.logits[row].tolist())
        if prediction.handles:
            message.handle = prediction.handles[row]
        for head, theirs in zip(heads, scores_of_heads, strict=True):
            own = message.heads.add(output=head.name)
            _write_scores(own, theirs, row, head.labels, top_k)
            if options.return_probabilities:
                own.probabilities.extend(theirs.probabilities[row].tolist())


def _write_scores(
    message: Any, scores: Scores, row: int, labels: Sequence[str], top_k: int
) -> None:
    # Numbers of Python's own: protobuf takes longer over those of numpy.
    message.entropy = scores.entropy.item(row)
    message.margin = scores.margin.item(row)
    score_of = scores.probabilities[row].item
    for index in scores.ranking(row, top_k):
        label = labels[index] if labels else str(index)
        message.classes.add(index=index, label=label, score=score_of(index))
    if scores.chosen is None:
        return
    for index in scores.labels(row):
        label = labels[index] if labels else str(index)
        message.labels.add(index=index, label=label, score=score_of(index))


def _begun(model: ServedModel, executions: tuple[BatchedRows, ...]) -> pb.PredictResponse:
    """An answer that says no more than where it comes from."""
    loaded = model.loaded
    recipe_digest = "" if loaded.recipe is None else loaded.recipe.digest
    response = pb.PredictResponse.FromString(
        _said_of(
            model.name,
            model.version,
            loaded.bundle.model_digest,
            recipe_digest,
            loaded.backend.engine,
            loaded.certificate_digest,
        )
    )
    for execution in executions:
        response.provenance.executions.add(
            rows=execution.rows,
            bucket_rows=execution.bucket_rows,
            queue_delay_s=execution.queue_delay_s,
            execution_s=execution.execution_s,
        )
    return response


@lru_cache(maxsize=64)
def _said_of(
    name: str,
    version: int,
    model_digest: str,
    recipe_digest: str,
    engine: str,
    certificate_digest: str,
) -> bytes:
    """An answer of a version without what differs between its answers, serialized."""
    provenance = pb.Provenance(
        model=name,
        version=version,
        model_digest=model_digest,
        recipe_digest=recipe_digest,
        engine=engine,
        certificate_digest=certificate_digest,
    )
    return pb.PredictResponse(provenance=provenance).SerializeToString()


def write_member(response: pb.PredictResponse) -> pb.PredictStreamResponse:
    """The answer to a request of a stream."""
    return pb.PredictStreamResponse(request_id=response.request_id, response=response)


def write_failure(failure: Failure) -> pb.PredictStreamResponse:
    """The answer to a failed request of a stream."""
    error = pb.Error(code=failure.code, message=failure.text, retry_after_s=failure.retry_after_s)
    # The caller matches by the id that it gave, readable or not.
    request_id = failure.given_id or failure.request_id
    return pb.PredictStreamResponse(request_id=request_id, error=error)
