"""Requests to ``batchproof.v1`` and what came of them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from grpc import aio

from batchproof.tensors import to_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from support.patience import PATIENCE_S

_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # Each client its own connection; and no waiting between attempts to connect.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client got: the code's name, the text of an error, the answer of a success."""

    code: str
    text: str = ""
    answer: pb.PredictResponse | None = None
    metadata: tuple[tuple[str, str], ...] = ()


@asynccontextmanager
async def connected(address: str, token: str = "") -> AsyncIterator[Any]:
    """A stub on a connection of its own, whose single calls bear the token."""
    bearing = [_Bearing(token)] if token else None
    async with aio.insecure_channel(address, options=_OPTIONS, interceptors=bearing) as channel:
        yield pb_grpc.PredictionServiceStub(channel)


class _Bearing(aio.UnaryUnaryClientInterceptor):
    """Brings a token."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        metadata = aio.Metadata(*(details.metadata or ()))
        metadata.add("authorization", f"Bearer {self._token}")
        return await continuation(details._replace(metadata=metadata), request)


def images(
    contents: Iterable[bytes], request_id: str = "", model: str = "", **options: Any
) -> pb.PredictRequest:
    """A request of encoded pictures."""
    return pb.PredictRequest(
        request_id=request_id,
        model=pb.ModelSelector(name=model),
        images=pb.EncodedImages(contents=list(contents)),
        options=pb.PredictOptions(**options),
    )


def tensors(
    array: np.typing.NDArray[Any],
    request_id: str = "",
    model: str = "",
    name: str = "image",
    **options: Any,
) -> pb.PredictRequest:
    """A request of one input tensor."""
    return pb.PredictRequest(
        request_id=request_id,
        model=pb.ModelSelector(name=model),
        tensors=pb.NamedTensors(tensors={name: to_proto(array)}),
        options=pb.PredictOptions(**options),
    )


async def ask(stub: Any, request: pb.PredictRequest, timeout_s: float = PATIENCE_S) -> Outcome:
    """Sends one request and says what came of it."""
    try:
        answer = await stub.Predict(request, timeout=timeout_s)
    except aio.AioRpcError as failure:
        metadata = tuple((key, str(value)) for key, value in failure.trailing_metadata() or ())
        return Outcome(failure.code().name, failure.details() or "", metadata=metadata)
    return Outcome("OK", answer=answer)


async def ask_stream(
    stub: Any, requests: Iterable[pb.PredictRequest]
) -> tuple[list[pb.PredictStreamResponse], str]:
    """Sends all requests in one stream; the answers that came, and the stream's code."""

    async def messages() -> AsyncIterator[pb.PredictStreamRequest]:
        for request in requests:
            yield pb.PredictStreamRequest(request=request)

    answers: list[pb.PredictStreamResponse] = []
    call = stub.PredictStream(messages())
    try:
        answers.extend([answer async for answer in call])
    except aio.AioRpcError as failure:
        return answers, failure.code().name
    return answers, "OK"


def code_of(answer: pb.PredictStreamResponse) -> str:
    """The name of the code of one answer of a stream."""
    if answer.WhichOneof("outcome") == "response":
        return "OK"
    return next(code.name for code in grpc.StatusCode if code.value[0] == answer.error.code)


def bits(row: pb.RowPrediction) -> bytes:
    """Everything that was computed of one row, as it was on the wire."""
    computed = pb.RowPrediction()
    computed.CopyFrom(row)
    computed.handle = b""  # another one for every answer
    return computed.SerializeToString(deterministic=True)
