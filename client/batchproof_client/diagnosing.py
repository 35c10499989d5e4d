"""The call of the client that asks why a picture gets its answer."""

import asyncio
import os
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from batchproof.tensors import TensorError, fill
from batchproof.v1 import prediction_pb2 as pb
from batchproof_client.connection import Connection
from batchproof_client.encoded import EncodedImage
from batchproof_client.errors import LocalInputError
from batchproof_client.inputs import Array, read_images, selector_of


@dataclass(frozen=True, slots=True)
class DiagnosedCause:
    """One thing that is not fine.

    Attributes:
        cause: for programs, such as ``scaling:unit``.
        title: in words.
        level: ``suspicious`` or ``likely cause``.
        evidence: one sentence with the numbers.
        advice: one sentence; empty where there is nothing to do.
    """

    cause: str
    title: str
    level: str
    evidence: str
    advice: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a picture gets its answer.

    Attributes:
        request_id: of the call.
        model: which answers.
        version: its number.
        answer: the label that the picture gets.
        confidence: its probability.
        verdict: in one line; ``nothing unusual`` is one.
        causes: what is not fine, the likeliest first.
        text: the report for a terminal.
        json: the report as one JSON object.
        page: one HTML file; empty unless it was asked for.
    """

    request_id: str
    model: str
    version: int
    answer: str
    confidence: float
    verdict: str
    causes: tuple[DiagnosedCause, ...]
    text: str
    json: str
    page: str


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is asked about a picture.

    Attributes:
        image: a path, the bytes of a file, an open file, or a Pillow image.
        model: as of ``predict``.
        name: of the picture in the report; by default its path.
        label: what it really is: a label, or the index of a class; None where nobody knows.
        tensor: the caller's own input tensor, one row: which recipe makes it?
        scores: the caller's own scores, one for each class: what gave them?
        page: whether to return the report as an HTML page too.
    """

    image: EncodedImage
    model: str | None = None
    name: str = ""
    label: str | int | None = None
    tensor: Array | None = None
    scores: Array | None = None
    page: bool = False


class Diagnosing:
    """The part of :class:`~batchproof_client.client.AsyncClient` that diagnoses need."""

    _connection: Connection

    async def diagnose(self, question: Question, *, timeout_s: float | None = None) -> Diagnosis:
        """Asks why a picture gets its answer. It takes seconds, longer while the server is busy.

        Args:
            question: about which picture.
            timeout_s: until the answer; None for the client's.

        Raises:
            LocalInputError: the picture cannot be read, or the tensor cannot be sent.
            InvalidRequest: the picture, label, tensor or scores cannot be used for that model.
            ServerBusy: as many diagnoses as the server makes are under way.
            NotSupported: the server makes none.
            BatchproofError: the server could not answer.
        """
        message = await asyncio.to_thread(_message, question)
        method = self._connection.prediction.Diagnose
        return _read(await self._connection.call(method, message, self._deadline_s(timeout_s)))

    @abstractmethod
    def _deadline_s(self, timeout_s: float | None) -> float:
        """The instant until which a call may take."""


def _message(question: Question) -> pb.DiagnoseRequest:
    (content,) = read_images(question.image)
    path = str(question.image) if isinstance(question.image, str | os.PathLike) else ""
    message = pb.DiagnoseRequest(
        model=selector_of(question.model),
        image=content,
        name=question.name or path,
        label="" if question.label is None else str(question.label),
        return_page=question.page,
    )
    for name, values in (("tensor", question.tensor), ("scores", question.scores)):
        if values is None:
            continue
        try:
            fill(getattr(message, name), np.asarray(values))
        except TensorError as fault:
            raise LocalInputError(f"{name}: {fault}") from fault
    return message


def _read(message: pb.DiagnoseResponse) -> Diagnosis:
    causes = (
        DiagnosedCause(each.cause, each.title, each.level, each.evidence, each.advice)
        for each in message.causes
    )
    return Diagnosis(
        request_id=message.request_id,
        model=message.model,
        version=message.version,
        answer=message.answer,
        confidence=message.confidence,
        verdict=message.verdict,
        causes=tuple(causes),
        text=message.text,
        json=message.json,
        page=message.page,
    )
