"""The Open Inference Protocol v2 with Triton's additions: ``inference.GRPCInferenceService``."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from batchproof.compat import inference_pb2 as pb
from batchproof.tensors import MAX_DIMENSIONS
from batchproof_server.base.errors import ModelNotFound, NotImplementedYet
from batchproof_server.models.served import ServedModel
from batchproof_server.models.version_states import VersionState
from batchproof_server.models.versions import Versions
from batchproof_server.observing.statistics import Statistics
from batchproof_server.rpc.calls import Call
from batchproof_server.rpc.health import Health
from batchproof_server.rpc.intake import read_request
from batchproof_server.rpc.methods import MethodSpec, Service, StreamForm, service_of
from batchproof_server.rpc.named_outputs import handle_texts
from batchproof_server.rpc.open_inference.models import (
    write_config,
    write_index,
    write_metadata,
    write_statistics,
)
from batchproof_server.rpc.open_inference.options import (
    WantedOutput,
    check_offered,
    lowered_timeout_s,
    wanted_outputs,
)
from batchproof_server.rpc.open_inference.tensors import read_inputs, write_output
from batchproof_server.rpc.open_inference.tta import read_tta, write_tta
from batchproof_server.rpc.status import Failure
from batchproof_server.rpc.versions import numbered_or_labelled
from batchproof_server.rpc.wire_limits import (
    FieldLimit,
    Fields,
    WireLimits,
    limits_with_rows,
    tensor_values,
)
from batchproof_server.serving.predictor import Predictor
from batchproof_server.serving.request import Prediction, PredictRequest
from batchproof_server.tta.choice import TtaRequest

# What this server does of the extensions that Triton knows; clients ask before they use one.
EXTENSIONS = ("classification", "model_configuration", "statistics")

_NO_LOADING = "not taken on this port; see [management] in the server's configuration"
_NO_SHARED_MEMORY = "this server shares no memory with its clients; send tensors in the message"
_REFUSED = {
    "RepositoryModelLoad": _NO_LOADING,
    "RepositoryModelUnload": _NO_LOADING,
    "SystemSharedMemoryStatus": _NO_SHARED_MEMORY,
    "SystemSharedMemoryRegister": _NO_SHARED_MEMORY,
    "SystemSharedMemoryUnregister": _NO_SHARED_MEMORY,
    "CudaSharedMemoryStatus": _NO_SHARED_MEMORY,
    "CudaSharedMemoryRegister": _NO_SHARED_MEMORY,
    "CudaSharedMemoryUnregister": _NO_SHARED_MEMORY,
    "TraceSetting": "tracing cannot be set through this port",
    "LogSettings": "logs are set when the server starts, not through this port",
}


class OpenInferenceService:
    """The service that clients of KServe, Triton and MLServer call.

    Args:
        predictor: answers.
        versions: knows which version answers.
        health: knows whether the server is ready.
        statistics: what the versions did.
        build_version: of this server.
    """

    def __init__(
        self,
        predictor: Predictor,
        versions: Versions,
        health: Health,
        *,
        statistics: Statistics,
        build_version: str,
    ) -> None:
        self._predictor = predictor
        self._versions = versions
        self._health = health
        self._statistics = statistics
        self._build_version = build_version

    def published(self, max_rows: int, orders: Mapping[str, MethodSpec]) -> Service:
        """The service under its public name.

        Args:
            max_rows: of one request.
            orders: what is done for the calls of operators; those that are missing are refused.
        """
        infer = MethodSpec(self._infer, id_field="id", takes_large=True)
        specs = {
            "ServerLive": MethodSpec(self._live),
            "ServerReady": MethodSpec(self._ready),
            "ServerMetadata": MethodSpec(self._server),
            "ModelReady": MethodSpec(self._model_ready),
            "ModelMetadata": MethodSpec(self._model),
            "ModelConfig": MethodSpec(self._config),
            "ModelStatistics": MethodSpec(self._model_statistics),
            "RepositoryIndex": MethodSpec(self._index),
            "ModelInfer": replace(infer, predicts=True),
            "ModelStreamInfer": replace(infer, stream=_MEMBERS),
        }
        for name, sentence in _REFUSED.items():
            specs[name] = MethodSpec(partial(_refuse, name, sentence), takes_large=True)
        specs.update(orders)
        service = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
        return service_of(service, specs, "inference.", _limits(max_rows))

    async def _infer(self, request: pb.ModelInferRequest, call: Call) -> pb.ModelInferResponse:
        deadline_s = self._predictor.deadline_s(
            lowered_timeout_s(request.parameters, call.timeout_s)
        )
        selector = numbered_or_labelled(request.model_name, request.model_version, call)
        with self._versions.lease(selector) as model:
            call.note_model(model)
            check_offered(request)
            wanted = wanted_outputs(request, model)
            tta = read_tta(request.parameters)
            read = partial(_read, model, request, call, deadline_s, tta)
            asked = await self._predictor.read(read, call.size_bytes)
            prediction = await self._predictor.predict(asked)
            write = partial(_write_prediction, prediction, wanted, call.request_id)
            return await self._predictor.write(prediction, write)

    async def _live(self, request: pb.ServerLiveRequest, call: Call) -> pb.ServerLiveResponse:
        del request, call
        return pb.ServerLiveResponse(live=True)

    async def _ready(self, request: pb.ServerReadyRequest, call: Call) -> pb.ServerReadyResponse:
        del request, call
        return pb.ServerReadyResponse(ready=self._health.is_serving)

    async def _server(
        self, request: pb.ServerMetadataRequest, call: Call
    ) -> pb.ServerMetadataResponse:
        del request, call
        return pb.ServerMetadataResponse(
            name="batchproof", version=self._build_version, extensions=EXTENSIONS
        )

    async def _model_ready(
        self, request: pb.ModelReadyRequest, call: Call
    ) -> pb.ModelReadyResponse:
        selector = numbered_or_labelled(request.name, request.version, call)
        try:
            status = self._versions.find(selector)
        except ModelNotFound:
            return pb.ModelReadyResponse(ready=False)
        is_shadow = self._versions.shadows.has(status.name, status.version)
        return pb.ModelReadyResponse(ready=status.state is VersionState.READY and not is_shadow)

    async def _model(
        self, request: pb.ModelMetadataRequest, call: Call
    ) -> pb.ModelMetadataResponse:
        return write_metadata(self._select(request, call), self._versions)

    async def _config(self, request: pb.ModelConfigRequest, call: Call) -> pb.ModelConfigResponse:
        return pb.ModelConfigResponse(config=write_config(self._select(request, call)))

    def _select(
        self, request: pb.ModelMetadataRequest | pb.ModelConfigRequest, call: Call
    ) -> ServedModel:
        model = self._versions.select(numbered_or_labelled(request.name, request.version, call))
        call.note_model(model)
        return model

    async def _model_statistics(
        self, request: pb.ModelStatisticsRequest, call: Call
    ) -> pb.ModelStatisticsResponse:
        statuses = self._versions.statuses()
        if request.name or request.version:
            found = self._versions.find(numbered_or_labelled(request.name, request.version, call))
            statuses = tuple(
                status
                for status in statuses
                if status.name == found.name
                and (not request.version or status.version == found.version)
            )
        return pb.ModelStatisticsResponse(
            model_stats=[
                write_statistics(status.name, status.version, self._statistics)
                for status in statuses
                if status.served is not None
            ]
        )

    async def _index(
        self, request: pb.RepositoryIndexRequest, call: Call
    ) -> pb.RepositoryIndexResponse:
        del call
        if request.repository_name:
            raise NotImplementedYet("there is one repository, expected no repository_name")
        return pb.RepositoryIndexResponse(
            models=[
                write_index(status)
                for status in self._versions.statuses()
                if status.state is VersionState.READY or not request.ready
            ]
        )


def _limits(max_rows: int) -> WireLimits:
    fields: Fields = {
        **tensor_values(pb.InferTensorContents),
        (pb.InferTensorContents, "bytes_contents"): FieldLimit(max_rows),
        (pb.ModelInferRequest.InferInputTensor, "shape"): FieldLimit(MAX_DIMENSIONS),
    }
    in_place = (pb.ModelInferRequest, "raw_input_contents")
    return limits_with_rows(max_rows, fields, in_place)


async def _refuse(name: str, sentence: str, request: Any, call: Call) -> Any:
    del request, call
    raise NotImplementedYet(f"{name}: {sentence}")


def _read(
    model: ServedModel,
    request: pb.ModelInferRequest,
    call: Call,
    deadline_s: float,
    tta: TtaRequest | None,
) -> PredictRequest:
    return read_request(model, read_inputs(request, call.contents), call, deadline_s, tta=tta)


def _write_prediction(
    prediction: Prediction, wanted: tuple[WantedOutput, ...], request_id: str
) -> pb.ModelInferResponse:
    model = prediction.model
    response = pb.ModelInferResponse(
        model_name=model.name, model_version=str(model.version), id=request_id
    )
    response.parameters["model_digest"].string_param = model.loaded.bundle.model_digest
    if model.loaded.recipe is not None:
        response.parameters["recipe_digest"].string_param = model.loaded.recipe.digest
    if prediction.handles:
        response.parameters["handles"].string_param = ",".join(handle_texts(prediction))
    if prediction.far is not None:
        response.parameters["warnings"].string_param = "; ".join(prediction.warnings)
    if prediction.augmentation is not None:
        write_tta(response, prediction.augmentation)
    for output in wanted:
        write_output(response, output.name, output.of(prediction))
    return response


def _read_member(request: pb.ModelInferRequest) -> pb.ModelInferRequest:
    return request


def _write_member(response: pb.ModelInferResponse) -> pb.ModelStreamInferResponse:
    # Said by Triton of every answer that is the request's last; here each is.
    response.parameters["triton_final_response"].bool_param = True
    return pb.ModelStreamInferResponse(infer_response=response)


def _write_failure(failure: Failure) -> pb.ModelStreamInferResponse:
    response = pb.ModelStreamInferResponse(error_message=failure.text)
    # A client matches by the id; Triton has no field for the code.
    response.infer_response.id = failure.given_id or failure.request_id
    response.infer_response.parameters["code"].string_param = failure.code.name
    return response


# Triton answers the requests of a stream in their order, and its clients may rely on it.
_MEMBERS = StreamForm(_read_member, _write_member, _write_failure, keeps_order=True)
