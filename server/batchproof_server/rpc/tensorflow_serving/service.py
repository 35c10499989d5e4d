"""TensorFlow Serving's protocol: ``PredictionService`` and ``ModelService``."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from batchproof.compat import tensorflow_serving_pb2 as pb
from batchproof_server.base.errors import InvalidInput, ModelNotFound, NotImplementedYet, cut
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.served import Lease, ServedModel
from batchproof_server.models.version_states import VersionState, VersionStatus
from batchproof_server.models.versions import Versions
from batchproof_server.rpc.calls import Call
from batchproof_server.rpc.intake import read_request
from batchproof_server.rpc.methods import MethodSpec, Service, service_of
from batchproof_server.rpc.named_outputs import handle_texts, known_outputs, output, own_outputs
from batchproof_server.rpc.status import REQUEST_ID_KEY
from batchproof_server.rpc.tensorflow_serving.signatures import signature_name, signatures_of
from batchproof_server.rpc.tensorflow_serving.tensors import (
    limits_of_tensors,
    read_inputs,
    write_tensor,
)
from batchproof_server.rpc.version_states import STATE_NAMES
from batchproof_server.rpc.versions import key_of, labelled_or_numbered
from batchproof_server.serving.predictor import Predictor
from batchproof_server.serving.request import Prediction

_SIGNATURE_DEF = "signature_def"
_TYPE_URL = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
_FAILED_PRECONDITION = 9
_NO_EXAMPLES = "this server takes no tf.Example; call Predict with tensors or encoded pictures"
_REFUSED = {
    "Classify": _NO_EXAMPLES,
    "Regress": _NO_EXAMPLES,
    "MultiInference": _NO_EXAMPLES,
    "HandleReloadConfigRequest": (
        "not taken on this port; see [management] in the server's configuration"
    ),
}


class TensorFlowServing:
    """The services that clients of TensorFlow Serving call.

    Args:
        predictor: answers.
        versions: knows which version answers.
        max_tensor_bytes: of an array that a few typed values may stand for.
    """

    def __init__(
        self,
        predictor: Predictor,
        versions: Versions,
        max_tensor_bytes: int,
    ) -> None:
        self._predictor = predictor
        self._versions = versions
        self._max_tensor_bytes = max_tensor_bytes

    def published(self, max_rows: int, orders: Mapping[str, MethodSpec]) -> tuple[Service, Service]:
        """The services under their public names.

        Args:
            max_rows: of one request.
            orders: what is done for the calls of operators; those that are missing are refused.
        """
        specs = {
            name: MethodSpec(partial(_refuse, name, sentence), takes_large=True)
            for name, sentence in _REFUSED.items()
        }
        specs["Predict"] = MethodSpec(self._predict, predicts=True, takes_large=True)
        specs["GetModelMetadata"] = MethodSpec(self._metadata)
        specs["GetModelStatus"] = MethodSpec(self._status)
        specs.update(orders)
        services, limits = pb.DESCRIPTOR.services_by_name, limits_of_tensors(max_rows)
        return (
            service_of(services["PredictionService"], specs, "tensorflow.", limits),
            service_of(services["ModelService"], specs, "tensorflow.", limits),
        )

    async def _predict(self, request: pb.PredictRequest, call: Call) -> pb.PredictResponse:
        deadline_s = self._predictor.deadline_s(call.timeout_s)
        with self._lease(request.model_spec, call) as model:
            call.note_model(model)
            named = signature_name(request.model_spec, model)
            names = _wanted(request, model)
            _check_inputs(request, model)
            inputs = read_inputs(request.inputs, self._max_tensor_bytes, call.contents)
            read = partial(read_request, model, inputs, call, deadline_s)
            asked = await self._predictor.read(read, call.size_bytes)
            prediction = await self._predictor.predict(asked)
            call.trailers.extend(_who_answered(model, call))
            call.trailers.extend(_handles(prediction))
            call.trailers.extend(("x-warning", text) for text in prediction.warnings)
            write = partial(_write_prediction, prediction, names, named)
            return await self._predictor.write(prediction, write)

    def _lease(self, spec: pb.ModelSpec, call: Call) -> Lease:
        try:
            return self._versions.lease(self._selector(spec, call))
        except ModelNotFound as unknown:
            raise ModelNotFound(f"Servable not found for request: {_asked(spec)}; {unknown}") from (
                unknown
            )

    def _selector(self, spec: pb.ModelSpec, call: Call) -> ModelSelector:
        if not spec.name:
            raise InvalidInput("ModelSpec has no name specified.")
        match spec.WhichOneof("version_choice"):
            case "version":
                return ModelSelector(spec.name, version=spec.version.value)
            case "version_label":
                return self._labelled(spec, call)
            case _:
                return ModelSelector(spec.name)

    def _labelled(self, spec: pb.ModelSpec, call: Call) -> ModelSelector:
        self._versions.find(ModelSelector(spec.name))
        selector = labelled_or_numbered(self._versions, spec.name, spec.version_label, key_of(call))
        if selector.label is None:
            return selector
        try:
            self._versions.find(selector)
        except ModelNotFound as unknown:
            raise InvalidInput(
                f"Unrecognized servable version label: {cut(spec.version_label)}; {unknown}"
            ) from unknown
        return selector

    async def _metadata(
        self, request: pb.GetModelMetadataRequest, call: Call
    ) -> pb.GetModelMetadataResponse:
        fields = request.metadata_field
        if not fields:
            raise InvalidInput("GetModelMetadataRequest must specify at least one metadata_field")
        for field in fields:
            if field != _SIGNATURE_DEF:
                raise InvalidInput(
                    f"Metadata field {cut(field)} is not supported, expected {_SIGNATURE_DEF}"
                )
        with self._lease(request.model_spec, call) as model:
            call.note_model(model)
            response = pb.GetModelMetadataResponse(model_spec=_spec(model, ""))
            signatures = signatures_of(model).SerializeToString()
        metadata = response.metadata[_SIGNATURE_DEF]
        # Any.Pack would write the private name of the message.
        metadata.type_url = _TYPE_URL
        metadata.value = signatures
        return response

    async def _status(
        self, request: pb.GetModelStatusRequest, call: Call
    ) -> pb.GetModelStatusResponse:
        spec = request.model_spec
        try:
            found = self._versions.find(self._selector(spec, call))
        except ModelNotFound as unknown:
            raise ModelNotFound(f"{_not_found(spec)}; {unknown}") from unknown
        statuses = [status for status in self._versions.statuses() if status.name == found.name]
        if spec.WhichOneof("version_choice") is not None:
            statuses = [found]
        return pb.GetModelStatusResponse(
            model_version_status=[self._write_status(status) for status in reversed(statuses)]
        )

    def _write_status(self, status: VersionStatus) -> pb.ModelVersionStatus:
        state = STATE_NAMES[status.state].tensorflow_serving
        message = pb.ModelVersionStatus(version=status.version, state=state)
        message.status.error_message = "; ".join(status.findings)
        if status.state is VersionState.FAILED:
            message.status.error_code = _FAILED_PRECONDITION
        elif state == _AVAILABLE and self._versions.shadows.has(status.name, status.version):
            # Whoever waits for AVAILABLE asks next, and a shadow would refuse.
            message.state = pb.ModelVersionStatus.LOADING
            message.status.error_message = "it is a shadow, which answers nobody"
        return message


async def _refuse(name: str, sentence: str, request: Any, call: Call) -> Any:
    del request, call
    raise NotImplementedYet(f"{name}: {sentence}")


def _asked(spec: pb.ModelSpec) -> str:
    """The version asked for, as TensorFlow Serving says it."""
    if spec.HasField("version"):
        return f"Specific({cut(spec.name)}, {spec.version.value})"
    return f"Latest({cut(spec.name)})"


def _not_found(spec: pb.ModelSpec) -> str:
    if spec.HasField("version"):
        return f"Could not find version {spec.version.value} of model {cut(spec.name)}"
    return f"Could not find any versions of model {cut(spec.name)}"


def _wanted(request: pb.PredictRequest, model: ServedModel) -> tuple[str, ...]:
    names = tuple(request.output_filter) or own_outputs(model)
    known = known_outputs(model)
    for number, name in enumerate(names):
        if name not in known:
            raise InvalidInput(
                f"output tensor alias not found in signature: {cut(name)} Outputs expected to be "
                f"in the set {_set(known)}."
            )
        if name in names[:number]:
            raise InvalidInput(f"duplicate output tensor alias: {name}")
    return names


def _check_inputs(request: pb.PredictRequest, model: ServedModel) -> None:
    came = set(request.inputs)
    expected = {spec.name for spec in model.loaded.backend.signature.inputs}
    if came != expected:
        raise InvalidInput(
            f"input size does not match signature: {len(came)}!={len(expected)} "
            f"len({_set(came)}) != len({_set(expected)}). Sent extra: {_set(came - expected)}. "
            f"Missing but required: {_set(expected - came)}."
        )


def _set(names: "set[str] | tuple[str, ...]") -> str:
    return "{" + ",".join(cut(name) for name in sorted(names)) + "}"


def _write_prediction(
    prediction: Prediction, names: tuple[str, ...], signature_name: str
) -> pb.PredictResponse:
    response = pb.PredictResponse(model_spec=_spec(prediction.model, signature_name))
    for name in names:
        write_tensor(response.outputs[name], output(prediction, name))
    return response


def _spec(model: ServedModel, signature_name: str) -> pb.ModelSpec:
    spec = pb.ModelSpec(name=model.name, signature_name=signature_name)
    spec.version.value = model.version
    return spec


def _who_answered(model: ServedModel, call: Call) -> tuple[tuple[str, str], ...]:
    """What the response has no field for."""
    recipe = model.loaded.recipe
    return (
        (REQUEST_ID_KEY, call.request_id),
        ("x-model-digest", model.loaded.bundle.model_digest),
        ("x-recipe-digest", "" if recipe is None else recipe.digest),
    )


def _handles(prediction: Prediction) -> tuple[tuple[str, str], ...]:
    """The handles of few rows; those of many are an output, which a caller has to name."""
    texts = ",".join(handle_texts(prediction)) if prediction.handles else ""
    return (("x-handles", texts),) if 0 < len(texts) <= _MAX_HANDLES_BYTES else ()


_AVAILABLE: Final = pb.ModelVersionStatus.AVAILABLE
# Clients accept 8 KiB of metadata.
_MAX_HANDLES_BYTES = 4_096
