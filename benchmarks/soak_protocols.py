"""The same question in seven ways, and what became of each: for soak.py."""

import asyncio
import base64
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, TypeAlias

import grpc
from grpc import aio

from batchproof.compat import inference_pb2 as oip
from batchproof.compat import tensorflow_pb2 as tf
from batchproof.compat import tensorflow_serving_pb2 as tfs
from batchproof.v1 import prediction_pb2 as pb

Answer: TypeAlias = bytes | str
"""The bits of what was computed, or the name of the code of a refusal."""
Ask: TypeAlias = Callable[[Sequence[int]], Awaitable[list[Answer]]]

BUSY: Final = "RESOURCE_EXHAUSTED"
PATIENCE_S: Final = 60.0
STREAM_REQUESTS: Final = 20
PREDICT: Final = "/batchproof.v1.PredictionService/Predict"
PREDICT_STREAM: Final = "/batchproof.v1.PredictionService/PredictStream"
MODEL_INFER: Final = "/inference.GRPCInferenceService/ModelInfer"
MODEL_STREAM_INFER: Final = "/inference.GRPCInferenceService/ModelStreamInfer"
SERVING_PREDICT: Final = "/tensorflow.serving.PredictionService/Predict"
PATHS: Final = (PREDICT, PREDICT_STREAM, MODEL_INFER, MODEL_STREAM_INFER, SERVING_PREDICT)
_OPTIONS: Final = (("grpc.use_local_subchannel_pool", 1),)


@dataclass
class Tally:
    """What became of the requests of one kind of caller.

    Attributes:
        refused: because the server was busy.
        wrong: answered with other bits than the same picture before.
        lost: neither answered nor refused, or twice; how they ended.
    """

    asked: int = 0
    answered: int = 0
    refused: int = 0
    wrong: int = 0
    lost: list[str] = field(default_factory=list)

    def count(self, answer: Answer, truth: bytes) -> None:
        """Counts one answer beside the one that is right."""
        if isinstance(answer, str):
            if answer == BUSY:
                self.refused += 1
            else:
                self.lost.append(answer)
            return
        self.answered += 1
        self.wrong += answer != truth


@dataclass(frozen=True)
class Served:
    """A server, its model and what it is asked about.

    Attributes:
        web: the address of REST.
        label: that versions share.
        metadata: of each call.
    """

    address: str
    model: str
    pictures: Sequence[bytes]
    web: str
    label: str
    metadata: tuple[tuple[str, str], ...] = ()


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[aio.Channel]:
    """A connection of its own."""
    async with aio.insecure_channel(address, options=_OPTIONS) as channel:
        yield channel


@dataclass(frozen=True)
class Protocols:
    """The same question in seven ways; each gives one answer a picture, in their order."""

    channel: aio.Channel
    served: Served
    pause_s: float = 0.0

    def asks(self) -> dict[str, Ask]:
        """By name."""
        return {
            "native": self._native,
            "native by label": self._labelled,
            "native stream": self._native_stream,
            "open inference": self._open_inference,
            "open inference stream": self._open_inference_stream,
            "tensorflow serving": self._serving,
            "rest": self._rest,
        }

    async def _native(self, numbers: Sequence[int]) -> list[Answer]:
        call: Any = self.channel.unary_unary(
            PREDICT, pb.PredictRequest.SerializeToString, pb.PredictResponse.FromString
        )
        asked = [
            call(self.native(number), timeout=PATIENCE_S, metadata=self.served.metadata)
            for number in numbers
        ]
        return [await _answer(each, _native_bits) for each in asked]

    async def _labelled(self, numbers: Sequence[int]) -> list[Answer]:
        call: Any = self.channel.unary_unary(
            PREDICT, pb.PredictRequest.SerializeToString, pb.PredictResponse.FromString
        )
        requests = [self.native(number, str(place)) for place, number in enumerate(numbers)]
        for each in requests:
            each.model.label = self.served.label
        metadata = self.served.metadata
        asked = [call(each, timeout=PATIENCE_S, metadata=metadata) for each in requests]
        return [await _answer(each, _native_bits) for each in asked]

    async def _rest(self, numbers: Sequence[int]) -> list[Answer]:
        return [await asyncio.to_thread(self._post, number) for number in numbers]

    def _post(self, number: int) -> Answer:
        content = base64.b64encode(self.served.pictures[number]).decode()
        request = urllib.request.Request(
            f"http://{self.served.web}/v1/models/{self.served.model}:predict",
            json.dumps({"instances": [{"b64": content}]}).encode(),
            {"content-type": "application/json", **dict(self.served.metadata)},
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310 - over http
                return bytes(answer.read())
        except urllib.error.HTTPError as refusal:
            return BUSY if refusal.code == HTTPStatus.TOO_MANY_REQUESTS else f"HTTP {refusal.code}"

    async def _native_stream(self, numbers: Sequence[int]) -> list[Answer]:
        call: Any = self.channel.stream_stream(
            PREDICT_STREAM,
            pb.PredictStreamRequest.SerializeToString,
            pb.PredictStreamResponse.FromString,
        )
        requests = (
            pb.PredictStreamRequest(request=self.native(number, str(place)))
            for place, number in enumerate(numbers)
        )
        stream = call(_sent(requests), timeout=PATIENCE_S, metadata=self.served.metadata)
        return await self._by_id(stream, len(numbers), _native_member)

    async def _open_inference(self, numbers: Sequence[int]) -> list[Answer]:
        call: Any = self.channel.unary_unary(
            MODEL_INFER, oip.ModelInferRequest.SerializeToString, oip.ModelInferResponse.FromString
        )
        asked = [
            call(self._infer(number), timeout=PATIENCE_S, metadata=self.served.metadata)
            for number in numbers
        ]
        return [await _answer(each, _infer_bits) for each in asked]

    async def _open_inference_stream(self, numbers: Sequence[int]) -> list[Answer]:
        call: Any = self.channel.stream_stream(
            MODEL_STREAM_INFER,
            oip.ModelInferRequest.SerializeToString,
            oip.ModelStreamInferResponse.FromString,
        )
        requests = (self._infer(number, str(place)) for place, number in enumerate(numbers))
        stream = call(_sent(requests), timeout=PATIENCE_S, metadata=self.served.metadata)
        return await self._by_id(stream, len(numbers), _infer_member)

    async def _serving(self, numbers: Sequence[int]) -> list[Answer]:
        call: Any = self.channel.unary_unary(
            SERVING_PREDICT, tfs.PredictRequest.SerializeToString, tfs.PredictResponse.FromString
        )
        asked = [
            call(self._serving_request(number), timeout=PATIENCE_S, metadata=self.served.metadata)
            for number in numbers
        ]
        return [await _answer(each, _serving_bits) for each in asked]

    async def _by_id(
        self, stream: Any, count: int, read: Callable[[Any], tuple[str, Answer]]
    ) -> list[Answer]:
        """The answers of a stream in the order of its requests; each id must come once."""
        answers: dict[str, Answer] = {}
        try:
            async for each in stream:
                name, answer = read(each)
                answers[name] = "answered twice" if name in answers else answer
                await asyncio.sleep(self.pause_s)
        except aio.AioRpcError as error:
            return [answers.get(str(place), error.code().name) for place in range(count)]
        return [answers.get(str(place), "never answered") for place in range(count)]

    def native(self, number: int, request_id: str = "") -> pb.PredictRequest:
        """A request of one picture."""
        return pb.PredictRequest(
            request_id=request_id,
            model=pb.ModelSelector(name=self.served.model),
            images=pb.EncodedImages(contents=[self.served.pictures[number]]),
        )

    def _infer(self, number: int, request_id: str = "") -> oip.ModelInferRequest:
        request = oip.ModelInferRequest(model_name=self.served.model, id=request_id)
        tensor = request.inputs.add(name="image", datatype="BYTES", shape=[1])
        tensor.contents.bytes_contents.append(self.served.pictures[number])
        return request

    def _serving_request(self, number: int) -> tfs.PredictRequest:
        request = tfs.PredictRequest()
        request.model_spec.name = self.served.model
        tensor = request.inputs["image"]
        tensor.dtype = tf.DT_STRING
        tensor.tensor_shape.dim.add(size=1)
        tensor.string_val.append(self.served.pictures[number])
        return request


async def _sent(requests: Any) -> AsyncIterator[Any]:
    for each in requests:
        yield each


async def _answer(call: Any, bits: Callable[[Any], bytes]) -> Answer:
    try:
        return bits(await call)
    except aio.AioRpcError as error:
        return str(error.code().name)


def _native_bits(response: pb.PredictResponse) -> bytes:
    (row,) = response.rows
    row.handle = b""  # another one for every answer
    return row.SerializeToString(deterministic=True)


def _infer_bits(response: oip.ModelInferResponse) -> bytes:
    return b"".join(response.raw_output_contents)


def _serving_bits(response: tfs.PredictResponse) -> bytes:
    return b"".join(
        response.outputs[name].SerializeToString(deterministic=True)
        for name in sorted(response.outputs)
    )


def _native_member(answer: pb.PredictStreamResponse) -> tuple[str, Answer]:
    if answer.WhichOneof("outcome") == "response":
        return answer.request_id, _native_bits(answer.response)
    return answer.request_id, _CODES[answer.error.code]


def _infer_member(answer: oip.ModelStreamInferResponse) -> tuple[str, Answer]:
    response = answer.infer_response
    if answer.error_message:
        return response.id, response.parameters["code"].string_param
    return response.id, _infer_bits(response)


_CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}
