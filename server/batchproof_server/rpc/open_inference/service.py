"""The Open Inference Protocol v2 with Triton's additions: ``inference.GRPCInferenceService``."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from batchproof.compat import inference_pb2 as pb
from batchproof_server.base.errors import ModelNotFound, NotImplementedYet
from batchproof_server.models.served import ServedModel
from batchproof_server.models.version_states import VersionState
from batchproof_server.models.versions import Versions
from batchproof_server.observing.statistics import Statistics
from batchproof_server.rpc.calls import Call, Calls, Context
from batchproof_server.rpc.fronts.grpc_aio.health import Health
from batchproof_server.rpc.fronts.grpc_aio.public_services import PublicService, public_service
from batchproof_server.rpc.intake import read_request
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
from batchproof_server.rpc.streams import Streams
from batchproof_server.rpc.versions import numbered_or_labelled
from batchproof_server.serving.predictor import Predictor
from batchproof_server.serving.request import Prediction

# What this server does of the extensions that Triton knows; clients ask before they use one.
EXTENSIONS = ("classification", "model_configuration", "statistics")

_NO_LOADING = "models are loaded from the repository at start, not through this port"
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
        calls: runs each request.
        streams: bounds the streams and their windows.
        health: knows whether the server is ready.
        statistics: what the versions did.
        build_version: of this server.
    """

    def __init__(  # noqa: PLR0913 - each is a plug; bundling them would only hide them
        self,
        predictor: Predictor,
        versions: Versions,
        calls: Calls,
        streams: Streams,
        health: Health,
        *,
        statistics: Statistics,
        build_version: str,
    ) -> None:
        self._predictor = predictor
        self._versions = versions
        self._calls = calls
        self._streams = streams
        self._health = health
        self._statistics = statistics
        self._build_version = build_version

    def published(self) -> PublicService:
        """The service under its public name."""
        answers: Mapping[str, Callable[[Any, Call], Any]] = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ServerMetadata": self._server,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model,
            "ModelConfig": self._config,
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._index,
        }
        behaviours: dict[str, Callable[..., Any]] = {
            name: partial(self._answer, name, answer) for name, answer in answers.items()
        }
        for name, sentence in _REFUSED.items():
            behaviours[name] = partial(self._answer, name, partial(_refuse, name, sentence))
        behaviours["ModelInfer"] = self._model_infer
        behaviours["ModelStreamInfer"] = self._model_stream_infer
        return public_service(pb.DESCRIPTOR.services_by_name["GRPCInferenceService"], behaviours)

    async def _answer(
        self, name: str, answer: Callable[[Any, Call], Any], request: Any, context: Context
    ) -> Any:
        async def work(call: Call) -> Any:
            return answer(request, call)

        return await self._calls.unary(f"inference.{name}", "", context, work)

    async def _model_infer(
        self, request: pb.ModelInferRequest, context: Context
    ) -> pb.ModelInferResponse:
        work = partial(self._infer, request)
        return await self._calls.unary("inference.ModelInfer", request.id, context, work)

    async def _model_stream_infer(self, requests: Any, context: Context) -> None:
        del requests  # the stream is read through its context
        member = _InOrder(self._infer_member)
        work = partial(self._streams.serve, context, member.answer)
        await self._calls.stream("inference.ModelStreamInfer", context, work)

    async def _infer_member(
        self, request: pb.ModelInferRequest, context: Context
    ) -> pb.ModelStreamInferResponse:
        work = partial(self._infer, request)
        outcome = await self._calls.run("inference.ModelStreamInfer", request.id, context, work)
        if isinstance(outcome, tuple):
            failure, request_id = outcome
            return _failed_member(failure, request.id or request_id)
        # Said by Triton of every answer that is the request's last; here each is.
        outcome.parameters["triton_final_response"].bool_param = True
        return pb.ModelStreamInferResponse(infer_response=outcome)

    async def _infer(self, request: pb.ModelInferRequest, call: Call) -> pb.ModelInferResponse:
        deadline_s = self._predictor.deadline_s(
            lowered_timeout_s(request.parameters, call.timeout_s)
        )
        selector = numbered_or_labelled(request.model_name, request.model_version)
        with self._versions.lease(selector) as model:
            call.found(model)
            check_offered(request)
            wanted = wanted_outputs(request, model)
            tta = read_tta(request.parameters)
            asked = read_request(model, read_inputs(request), call, deadline_s, tta=tta)
            prediction = await self._predictor.predict(asked)
            write = partial(_write_prediction, prediction, wanted, call.request_id)
            return await self._predictor.write(prediction, write)

    def _live(self, request: pb.ServerLiveRequest, call: Call) -> pb.ServerLiveResponse:
        del request, call
        return pb.ServerLiveResponse(live=True)

    def _ready(self, request: pb.ServerReadyRequest, call: Call) -> pb.ServerReadyResponse:
        del request, call
        return pb.ServerReadyResponse(ready=self._health.is_serving)

    def _server(self, request: pb.ServerMetadataRequest, call: Call) -> pb.ServerMetadataResponse:
        del request, call
        return pb.ServerMetadataResponse(
            name="batchproof", version=self._build_version, extensions=EXTENSIONS
        )

    def _model_ready(self, request: pb.ModelReadyRequest, call: Call) -> pb.ModelReadyResponse:
        del call
        selector = numbered_or_labelled(request.name, request.version)
        try:
            state = self._versions.find(selector).state
        except ModelNotFound:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=state is VersionState.READY)

    def _model(self, request: pb.ModelMetadataRequest, call: Call) -> pb.ModelMetadataResponse:
        return write_metadata(self._selected(request, call), self._versions)

    def _config(self, request: pb.ModelConfigRequest, call: Call) -> pb.ModelConfigResponse:
        return pb.ModelConfigResponse(config=write_config(self._selected(request, call)))

    def _selected(
        self, request: pb.ModelMetadataRequest | pb.ModelConfigRequest, call: Call
    ) -> ServedModel:
        model = self._versions.select(numbered_or_labelled(request.name, request.version))
        call.found(model)
        return model

    def _model_statistics(
        self, request: pb.ModelStatisticsRequest, call: Call
    ) -> pb.ModelStatisticsResponse:
        del call
        statuses = self._versions.statuses()
        if request.name or request.version:
            found = self._versions.find(numbered_or_labelled(request.name, request.version))
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

    def _index(self, request: pb.RepositoryIndexRequest, call: Call) -> pb.RepositoryIndexResponse:
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


def _refuse(name: str, sentence: str, request: Any, call: Call) -> Any:
    del request, call
    raise NotImplementedYet(f"{name}: {sentence}")


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
    if prediction.augmentation is not None:
        write_tta(response, prediction.augmentation)
    for output in wanted:
        write_output(response, output.name, output.of(prediction))
    return response


def _failed_member(failure: Failure, request_id: str) -> pb.ModelStreamInferResponse:
    response = pb.ModelStreamInferResponse(error_message=failure.message)
    # A client matches by the id; Triton has no field for the code.
    response.infer_response.id = request_id
    response.infer_response.parameters["code"].string_param = failure.code.name
    return response


# Contract
#
# Triton answers the requests of a stream in their order, and its clients may rely on it. Requests
# are worked on together; only the finished answers wait for those before them.
class _InOrder:
    def __init__(self, answer: Callable[[Any, Context], Any]) -> None:
        self._answer = answer
        self._last: asyncio.Event | None = None

    async def answer(self, request: Any, context: Context) -> Any:
        before, mine = self._last, asyncio.Event()
        self._last = mine
        try:
            response = await self._answer(request, context)
            if before is not None:
                await before.wait()
            return response
        finally:
            mine.set()
