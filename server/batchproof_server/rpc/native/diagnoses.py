"""``Diagnose``: reads the message, asks the desk, writes the message."""

from typing import Final

from batchproof.tensors import TensorError
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array
from batchproof_server.models.versions import Versions
from batchproof_server.offline.diagnosing.desk import DiagnosisDesk, PictureQuestion, Report
from batchproof_server.rpc.calls import Call
from batchproof_server.rpc.native.messages import read_selector, read_tensor

_MAX_NAME_CHARACTERS: Final = 1_024


class Diagnoses:
    """Answers ``Diagnose`` as the contract in prediction.proto says.

    Args:
        desk: makes diagnoses.
        versions: knows which version answers.
    """

    def __init__(self, desk: DiagnosisDesk, versions: Versions) -> None:
        self._desk = desk
        self._versions = versions

    async def answer(self, message: pb.DiagnoseRequest, call: Call) -> pb.DiagnoseResponse:
        """The diagnosis of one picture.

        Raises:
            ServingError: as the desk and the selection of a version say.
        """
        asked = _read(message, call)
        with self._versions.lease(read_selector(message.model, call)) as model:
            call.note_model(model)
            report = await self._desk.report(model, asked)
        return _write(report, call.request_id)


def _read(message: pb.DiagnoseRequest, call: Call) -> PictureQuestion:
    if not message.image:
        raise InvalidInput("the request has no image, expected the bytes of one picture's file")
    if len(message.name) > _MAX_NAME_CHARACTERS:
        raise InvalidInput(
            f"name has {len(message.name)} characters, expected at most {_MAX_NAME_CHARACTERS}"
        )
    return PictureQuestion(
        name=message.name or "picture",
        encoded=message.image,
        label=message.label,
        tensor=_array("tensor", message.tensor, call) if message.HasField("tensor") else None,
        scores=_array("scores", message.scores, call) if message.HasField("scores") else None,
        wants_page=message.return_page,
        timeout_s=call.timeout_s,
    )


def _array(name: str, tensor: pb.Tensor, call: Call) -> Array:
    try:
        array = read_tensor(tensor, call)
    except TensorError as fault:
        raise InvalidInput(f"{name}: {fault}") from fault
    if array.dtype.kind not in "iuf":
        raise InvalidInput(f"{name} is {array.dtype.name}, expected numbers")
    return array


def _write(report: Report, request_id: str) -> pb.DiagnoseResponse:
    diagnosis = report.diagnosis
    case = diagnosis.case
    return pb.DiagnoseResponse(
        request_id=request_id,
        model=case.subject.model,
        version=case.subject.version,
        answer=case.label,
        confidence=case.confidence,
        verdict=diagnosis.sentence,
        causes=[
            pb.DiagnosedCause(
                cause=each.cause,
                title=each.title,
                level=each.level.text,
                evidence=each.evidence,
                advice=each.advice,
            )
            for each in diagnosis.causes
        ],
        text=report.text,
        json=report.json,
        page=report.page,
    )
