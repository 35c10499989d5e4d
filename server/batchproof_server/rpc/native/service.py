"""``batchproof.v1.PredictionService``: reads the message, asks for the answer, writes it."""

from dataclasses import replace
from functools import partial
from operator import attrgetter

from batchproof.tensors import MAX_DIMENSIONS
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.models.versions import Versions
from batchproof_server.rpc.calls import Call
from batchproof_server.rpc.methods import MethodSpec, Service, StreamForm, service_of
from batchproof_server.rpc.native.diagnoses import Diagnoses
from batchproof_server.rpc.native.messages import (
    read_request,
    read_selector,
    write_failure,
    write_member,
    write_prediction,
)
from batchproof_server.rpc.native.models import write_model, write_summary
from batchproof_server.rpc.native.outcomes import MAX_OUTCOMES, OutcomeReports
from batchproof_server.rpc.wire_limits import FieldLimit, Fields, WireLimits, limits_with_rows
from batchproof_server.serving.predictor import Predictor
from batchproof_server.tta.policies import MAX_VIEWS


class PredictionService:
    """The service that clients call.

    Args:
        predictor: answers.
        versions: knows which version answers.
        outcomes: takes labels that arrive later.
        diagnoses: says why a picture gets its answer.
    """

    def __init__(
        self,
        predictor: Predictor,
        versions: Versions,
        outcomes: OutcomeReports,
        diagnoses: Diagnoses,
    ) -> None:
        self._predictor = predictor
        self._versions = versions
        self._outcomes = outcomes
        self._diagnoses = diagnoses

    def published(self, max_rows: int) -> Service:
        """The service and what it does.

        Args:
            max_rows: of one request.
        """
        members = StreamForm(attrgetter("request"), write_member, write_failure)
        predict = MethodSpec(self._predict, id_field="request_id", takes_large=True)
        specs = {
            "Predict": replace(predict, predicts=True),
            "PredictStream": replace(predict, stream=members),
            "ListModels": MethodSpec(self._list),
            "GetModel": MethodSpec(self._get),
            "ReportOutcome": MethodSpec(self._outcomes.answer),
            "Diagnose": MethodSpec(self._diagnoses.answer, id_field="request_id", takes_large=True),
        }
        descriptor = pb.DESCRIPTOR.services_by_name["PredictionService"]
        return service_of(descriptor, specs, limits=_limits(max_rows))

    async def _list(self, request: pb.ListModelsRequest, call: Call) -> pb.ListModelsResponse:
        del request, call
        statuses = self._versions.statuses()
        return pb.ListModelsResponse(
            models=[write_summary(status, self._versions) for status in statuses]
        )

    async def _get(self, request: pb.GetModelRequest, call: Call) -> pb.GetModelResponse:
        status = self._versions.find(read_selector(request.model, call))
        call.trace.model, call.trace.version = status.name, status.version
        return write_model(status, self._versions)

    async def _predict(self, message: pb.PredictRequest, call: Call) -> pb.PredictResponse:
        with self._versions.lease(read_selector(message.model, call)) as model:
            call.note_model(model)
            deadline_s = self._predictor.deadline_s(call.timeout_s)
            read = partial(read_request, message, model, call, deadline_s)
            request = await self._predictor.read(read, call.size_bytes)
            prediction = await self._predictor.predict(request)
            write = partial(write_prediction, prediction, message.options, call.request_id)
            return await self._predictor.write(prediction, write)


def _limits(max_rows: int) -> WireLimits:
    fields: Fields = {
        (pb.EncodedImages, "contents"): FieldLimit(max_rows),
        (pb.ReportOutcomeRequest, "outcomes"): FieldLimit(MAX_OUTCOMES),
        (pb.Tensor, "shape"): FieldLimit(MAX_DIMENSIONS),
        (pb.TestTimeAugmentation, "views"): FieldLimit(MAX_VIEWS),
    }
    return limits_with_rows(max_rows, fields, in_place=(pb.Tensor, "content"))
