"""Our own protocol: Predict and PredictStream."""

from collections.abc import Mapping, Sequence
from typing import Final

import grpc

from batchproof.v1 import prediction_pb2 as pb
from batchproof_client.client import AsyncClient
from batchproof_client.connection import Endpoint, open_channel
from batchproof_client.descriptions import ModelDescription, TensorSpec
from batchproof_client.inputs import selector_of, write_tensors
from batchproof_client.kinds import OutputKind
from batchproof_client.loadtest.items import Inputs, Item
from batchproof_client.loadtest.mix import Kind
from batchproof_client.loadtest.stream_lane import StreamLane
from batchproof_client.loadtest.target import OK, Answer, Execution, Outcome

_SERVICE: Final = "/batchproof.v1.PredictionService"


class BatchproofComposer:
    """Builds requests of our own protocol.

    Args:
        models: what each model that the kinds name is.
        every_value: whether to ask for the probabilities of all classes, so that answers can be
            compared by more than their best few.
    """

    def __init__(
        self, models: Mapping[str | None, ModelDescription], *, every_value: bool = False
    ) -> None:
        self._models = models
        self._every_value = every_value

    def inputs_of(self, kind: Kind) -> Sequence[TensorSpec]:
        """The inputs of the kind's model."""
        return self._models[kind.model].inputs

    def message(self, kind: Kind, inputs: Inputs) -> bytes:
        """Serialises a PredictRequest without an id: the server makes one.

        Raises:
            LocalInputError: a tensor cannot be carried.
        """
        request = pb.PredictRequest(model=selector_of(kind.model))
        if inputs.tensors is None:
            request.images.contents.extend(inputs.pictures)
        else:
            write_tensors(request, inputs.tensors)
        if kind.tta:
            request.options.tta.policy = kind.tta
        if self._every_value and self._models[kind.model].output_kind is not OutputKind.RAW:
            request.options.return_probabilities = True
        return request.SerializeToString()


async def describe(
    client: AsyncClient, kinds: Sequence[Kind]
) -> dict[str | None, ModelDescription]:
    """Asks for every model that the kinds name.

    Raises:
        BatchproofError: the server cannot be reached, or does not serve one.
    """
    names = {kind.model for kind in kinds}
    return {name: await client.get_model(name) for name in names}


class BatchproofTarget:
    """One connection that speaks our own protocol.

    Args:
        endpoint: the server.
        keep_answers: whether outcomes hold what must be identical.
    """

    def __init__(self, endpoint: Endpoint, *, keep_answers: bool) -> None:
        self._channel = open_channel(endpoint)
        self._metadata = tuple(endpoint.metadata)
        self._keep_answers = keep_answers
        self._predict: grpc.aio.UnaryUnaryMultiCallable[bytes, pb.PredictResponse] = (
            self._channel.unary_unary(
                f"{_SERVICE}/Predict", response_deserializer=pb.PredictResponse.FromString
            )
        )
        stream: grpc.aio.StreamStreamMultiCallable[bytes, pb.PredictStreamResponse] = (
            self._channel.stream_stream(
                f"{_SERVICE}/PredictStream",
                response_deserializer=pb.PredictStreamResponse.FromString,
            )
        )
        self._lane = StreamLane(lambda: stream(metadata=self._metadata))

    async def send(self, item: Item, timeout_s: float) -> Outcome:
        """Sends one item, over the stream when it says so."""
        try:
            if item.stream:
                return self._streamed(await self._lane.ask(item.message, timeout_s))
            return self._outcome(
                await self._predict(item.message, timeout=timeout_s, metadata=self._metadata)
            )
        except grpc.aio.AioRpcError as error:
            return Outcome(error.code().name, detail=error.details() or "")

    async def close(self) -> None:
        """Cancels what is under way."""
        await self._lane.close()
        await self._channel.close()

    def _streamed(self, response: pb.PredictStreamResponse | None) -> Outcome:
        if response is None:
            return Outcome(grpc.StatusCode.DEADLINE_EXCEEDED.name)
        if response.WhichOneof("outcome") == "response":
            return self._outcome(response.response)
        error = response.error
        code = _NAMES.get(error.code, grpc.StatusCode.UNKNOWN.name)
        return Outcome(code, detail=error.message)

    def _outcome(self, response: pb.PredictResponse) -> Outcome:
        executions = tuple(
            Execution(each.bucket_rows, each.queue_delay_s, each.execution_s)
            for each in response.provenance.executions
        )
        return Outcome(OK, executions, answer_of(response) if self._keep_answers else None)


_NAMES: Final = {code.value[0]: code.name for code in grpc.StatusCode}


def answer_of(response: pb.PredictResponse) -> Answer:
    """Takes what must be identical out of a response, which is used up."""
    who = response.provenance
    source = f"{who.model}:{who.version} {who.model_digest} {who.recipe_digest}"
    response.ClearField("provenance")
    response.ClearField("request_id")
    for row in response.rows:
        row.ClearField("handle")  # another one for every answer
    return Answer(source, response.SerializeToString(deterministic=True))
