"""``batchproof.v1.PredictionService``: reads the message, asks for the answer, writes it."""

from collections.abc import AsyncIterator
from functools import partial

from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from batchproof_server.models.versions import Versions
from batchproof_server.rpc.calls import Call, Calls, Context
from batchproof_server.rpc.native.messages import (
    read_request,
    read_selector,
    write_failure,
    write_model,
    write_prediction,
    write_summary,
)
from batchproof_server.rpc.native.outcomes import OutcomeReports
from batchproof_server.rpc.streams import Streams
from batchproof_server.serving.predictor import Predictor


class PredictionService(pb_grpc.PredictionServiceServicer):
    """The service that clients call.

    Args:
        predictor: answers.
        versions: knows which version answers.
        calls: runs each request.
        streams: bounds the streams and their windows.
        outcomes: takes labels that arrive later.
    """

    def __init__(
        self,
        predictor: Predictor,
        versions: Versions,
        calls: Calls,
        streams: Streams,
        outcomes: OutcomeReports,
    ) -> None:
        self._predictor = predictor
        self._versions = versions
        self._calls = calls
        self._streams = streams
        self._outcomes = outcomes

    async def Predict(self, request: pb.PredictRequest, context: Context) -> pb.PredictResponse:
        """Answers one request."""
        work = partial(self._predict, request)
        return await self._calls.unary("Predict", request.request_id, context, work)

    async def PredictStream(  # type: ignore[override] # it writes through the context
        self, request_iterator: AsyncIterator[pb.PredictStreamRequest], context: Context
    ) -> None:
        """Answers the requests of a stream, each as soon as it is ready."""
        del request_iterator  # the stream is read through its context, which can be stopped
        work = partial(self._streams.serve, context, self._predict_member)
        await self._calls.stream("PredictStream", context, work)

    async def ListModels(
        self, request: pb.ListModelsRequest, context: Context
    ) -> pb.ListModelsResponse:
        """Lists every version with its state."""
        del request
        return await self._calls.unary("ListModels", "", context, self._list)

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        """Describes one version."""
        return await self._calls.unary("GetModel", "", context, partial(self._get, request))

    async def ReportOutcome(
        self, request: pb.ReportOutcomeRequest, context: Context
    ) -> pb.ReportOutcomeResponse:
        """Takes labels that arrive after their answers."""
        work = partial(self._outcomes.answer, request)
        return await self._calls.unary("ReportOutcome", "", context, work)

    async def _list(self, call: Call) -> pb.ListModelsResponse:
        del call
        statuses = self._versions.statuses()
        return pb.ListModelsResponse(
            models=[write_summary(status, self._versions) for status in statuses]
        )

    async def _get(self, request: pb.GetModelRequest, call: Call) -> pb.GetModelResponse:
        status = self._versions.find(read_selector(request.model))
        call.trace.model, call.trace.version = status.name, status.version
        return write_model(status, self._versions)

    async def _predict_member(
        self, message: pb.PredictStreamRequest, context: Context
    ) -> pb.PredictStreamResponse:
        request = message.request
        work = partial(self._predict, request)
        outcome = await self._calls.run("PredictStream", request.request_id, context, work)
        if isinstance(outcome, tuple):
            failure, request_id = outcome
            # The caller matches by the id that it gave, readable or not.
            return write_failure(failure, request.request_id or request_id)
        return pb.PredictStreamResponse(request_id=outcome.request_id, response=outcome)

    async def _predict(self, message: pb.PredictRequest, call: Call) -> pb.PredictResponse:
        with self._versions.lease(read_selector(message.model)) as model:
            call.found(model)
            deadline_s = self._predictor.deadline_s(call.timeout_s)
            request = read_request(message, model, call, deadline_s)
            prediction = await self._predictor.predict(request)
            write = partial(write_prediction, prediction, message.options, call.request_id)
            return await self._predictor.write(prediction, write)
