"""The client: an asynchronous core that holds one connection."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Final, Self

from grpc_health.v1 import health_pb2

from batchproof.v1 import prediction_pb2 as pb
from batchproof_client.answers import PredictResult, StreamAnswer
from batchproof_client.augmentation import Augmentation
from batchproof_client.chunks import Progress, ask_in_chunks, is_list
from batchproof_client.connection import (
    DEFAULT_MAX_MESSAGE_BYTES,
    ChannelOptions,
    Connection,
    Endpoint,
    Metadata,
    TlsOptions,
    default_target,
    with_default_token,
)
from batchproof_client.conversion import description_of, result_of, summary_of
from batchproof_client.descriptions import ModelDescription, ModelSummary
from batchproof_client.diagnosing import Diagnosing
from batchproof_client.errors import InvalidRequest, LocalInputError
from batchproof_client.inputs import (
    Image,
    PredictRequest,
    array_for,
    message_of,
    needs_signature,
    read_images,
    request_id_of,
    selector_of,
    touches_files,
    write_tensors,
)
from batchproof_client.kinds import Health
from batchproof_client.reporting import OutcomeReports
from batchproof_client.retry import Retrier, RetryPolicy
from batchproof_client.streaming import Stream, Window, each_request

DEFAULT_TIMEOUT_S: Final = 10.0
DEFAULT_MAX_IN_FLIGHT: Final = 32


class AsyncClient(OutcomeReports, Diagnosing):
    """Asks one server, over one connection, on one event loop.

    The connection is opened by the first call. Every call has a deadline, which the server is told.
    Calls that may be repeated are, within the deadline and the retry policy; see
    :mod:`batchproof_client.retry`. All calls may be made at the same time.

    Args:
        target: ``host:port``, or any name that gRPC resolves; None for ``$BATCHPROOF_SERVER``, or
            ``127.0.0.1:8500`` where that is not set, with the token ``$BATCHPROOF_TOKEN``.
        timeout_s: the time for a call that names none, retries included.
        tls: how to speak TLS; None for plain text.
        retry: when to call again.
        metadata: sent with each call, such as ``(("authorization", "Bearer ..."),)``.
        max_message_bytes: the largest message to send or to receive.
        channel_options: further gRPC channel arguments; they win over the client's own.
        rng: draws the jitter of retries; seed it to repeat a run.

    Raises:
        LocalInputError: a time or size is not above 0, or gRPC cannot send the metadata.
    """

    def __init__(  # noqa: PLR0913 - the public interface is these keywords
        self,
        target: str | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        tls: TlsOptions | None = None,
        retry: RetryPolicy | None = None,
        metadata: Metadata = (),
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        channel_options: ChannelOptions | None = None,
        rng: random.Random | None = None,
    ) -> None:
        endpoint = Endpoint(
            target=default_target() if target is None else target,
            tls=tls,
            metadata=tuple(metadata) if target is not None else with_default_token(metadata),
            max_message_bytes=max_message_bytes,
            channel_options=dict(channel_options or {}),
        )
        jitter = rng or random.Random()  # noqa: S311 - jitter is no secret
        self._timeout_s = _positive(timeout_s)
        self._connection = Connection(endpoint, Retrier(retry or RetryPolicy(), rng=jitter))
        self._descriptions: dict[str | None, ModelDescription] = {}

    async def predict(  # noqa: PLR0913 - the public interface is these keywords
        self,
        image: Image,
        *,
        model: str | None = None,
        top_k: int = 5,
        return_probabilities: bool = False,
        return_logits: bool = False,
        timeout_s: float | None = None,
        request_id: str = "",
        tta: str | Augmentation | None = None,
        progress: Progress | None = None,
    ) -> PredictResult:
        """Asks for the answer to a picture, an array, or a list of these.

        Args:
            image: a picture as path, bytes, open file or Pillow image goes through the model's
                recipe. An array is a tensor and goes to the model exactly as it is: no cast,
                scaling or resizing; pixels for another input are refused. It has rows on axis 0, or
                is one row. A mapping gives the inputs by name, rows on axis 0. A list of any length
                holds pictures, or arrays of one row each; a long one is sent in several requests,
                to the version that answered the first.
            model: ``"name"``, ``"name:3"`` (version) or ``"name@label"``; None when the server
                holds only one.
            top_k: how many classes to name for each row, best first.
            return_probabilities: whether to return the probabilities of all classes.
            return_logits: whether to return the logits, which only some models have.
            timeout_s: of each request, retries included; None for the client's.
            request_id: printable ASCII, at most 128 characters; empty to have one made.
            progress: of a list, called on the loop with the rows answered and all rows.
            tta: test-time augmentation of pictures: a policy's name, or an
                :class:`~batchproof_client.augmentation.Augmentation`; None leaves it to the model.

        Returns:
            One row for each picture or row of the array; ``result.top`` is the best class of a
            single one.

        Raises:
            LocalInputError: the image cannot be read or sent.
            BatchproofError: the server could not answer; see :mod:`batchproof_client.errors`.
        """
        request_id = request_id_of(request_id)
        request = PredictRequest(
            image=image,
            model=model,
            top_k=top_k,
            return_probabilities=return_probabilities,
            return_logits=return_logits,
            tta=tta,
        )
        ask = partial(self._ask, timeout_s=timeout_s)
        if not is_list(image):
            return await ask(request, request_id)
        most_rows = (await self._known(model, self._deadline_s(timeout_s))).max_request_rows
        most_bytes = self._connection.endpoint.max_message_bytes * 15 // 16
        return await ask_in_chunks(ask, request, request_id, (most_rows, most_bytes), progress)

    async def _ask(
        self, request: PredictRequest, request_id: str, *, timeout_s: float | None
    ) -> PredictResult:
        deadline_s = self._deadline_s(timeout_s)
        message = await self._prepare(request, request_id, deadline_s)
        try:
            response = await self._connection.call(
                self._connection.prediction.Predict, message, deadline_s, request_id
            )
        except InvalidRequest:
            self._descriptions.pop(request.model, None)  # the model may have been replaced
            raise
        return result_of(response)

    async def predict_stream(
        self,
        requests: AsyncIterable[PredictRequest | Image] | Iterable[PredictRequest | Image],
        *,
        timeout_s: float | None = None,
        max_in_flight: int = DEFAULT_MAX_IN_FLIGHT,
    ) -> AsyncGenerator[StreamAnswer, None]:
        """Asks many questions over one call and gives each answer as soon as it is ready.

        Answers come in any order; ``request_id`` says which is which. A request that fails is
        answered by its error and disturbs no other. Nothing is sent twice: a request that the
        server was too busy for is answered by ``ServerBusy``.

        Args:
            requests: each a :class:`PredictRequest <batchproof_client.inputs.PredictRequest>`, or
                what ``predict`` takes as ``image``; advanced only while fewer than
                ``max_in_flight`` are under way.
            timeout_s: for each request, from sending to answer; None for the client's.
            max_in_flight: requests under way and answers not yet taken.

        Raises:
            LocalInputError: a limit is not above 0.
            BatchproofError: the call itself broke; requests without an answer have none.
        """
        window = Window(self._limit_s(timeout_s), max_in_flight)

        async def prepare(request: PredictRequest, request_id: str) -> pb.PredictRequest:
            deadline_s = self._deadline_s(window.timeout_s)
            return await self._prepare(request, request_id, deadline_s)

        call = self._connection.prediction.PredictStream(
            metadata=self._connection.endpoint.metadata
        )
        answers = Stream(call, prepare, window).answers(each_request(requests))
        try:
            async for answer in answers:
                yield answer
        finally:
            await answers.aclose()

    async def list_models(self, *, timeout_s: float | None = None) -> tuple[ModelSummary, ...]:
        """Lists every model version that the server holds, with its state.

        Raises:
            BatchproofError: the server could not answer.
        """
        deadline_s = self._deadline_s(timeout_s)
        response = await self._connection.call(
            self._connection.prediction.ListModels, pb.ListModelsRequest(), deadline_s
        )
        return tuple(summary_of(each) for each in response.models)

    async def get_model(
        self, model: str | None = None, *, timeout_s: float | None = None
    ) -> ModelDescription:
        """Describes the version that a prediction with the same ``model`` would be answered by.

        Raises:
            LocalInputError: ``model`` does not parse.
            BatchproofError: the server could not answer.
        """
        deadline_s = self._deadline_s(timeout_s)
        return await self._describe(model, deadline_s)

    async def health(self, model: str = "", *, timeout_s: float | None = None) -> Health:
        """Asks the standard health service about the server, or about one model.

        Raises:
            ModelNotFound: the server does not know the model.
            BatchproofError: the server could not answer.
        """
        deadline_s = self._deadline_s(timeout_s)
        request = health_pb2.HealthCheckRequest(service=model)
        response = await self._connection.call(self._connection.check_health, request, deadline_s)
        try:
            return Health(response.status)
        except ValueError:
            return Health.UNKNOWN

    async def close(self) -> None:
        """Closes the connection; calls under way are cancelled. May be called again."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _prepare(
        self, request: PredictRequest, request_id: str, deadline_s: float
    ) -> pb.PredictRequest:
        message = message_of(request, request_id)
        image = request.image
        if isinstance(image, Mapping):
            write_tensors(message, image)
        elif needs_signature(image):
            described = await self._known(request.model, deadline_s)
            write_tensors(message, array_for(image, described.inputs))
        elif touches_files(image):
            message.images.contents.extend(await asyncio.to_thread(read_images, image))
        else:
            message.images.contents.extend(read_images(image))
        return message

    async def _known(self, model: str | None, deadline_s: float) -> ModelDescription:
        if model not in self._descriptions:
            self._descriptions[model] = await self._describe(model, deadline_s)
        return self._descriptions[model]

    async def _describe(self, model: str | None, deadline_s: float) -> ModelDescription:
        message = pb.GetModelRequest(model=selector_of(model))
        return description_of(
            await self._connection.call(self._connection.prediction.GetModel, message, deadline_s)
        )

    def _deadline_s(self, timeout_s: float | None) -> float:
        return self._connection.retrier.now_s() + self._limit_s(timeout_s)

    def _limit_s(self, timeout_s: float | None) -> float:
        return self._timeout_s if timeout_s is None else _positive(timeout_s)


def _positive(timeout_s: float) -> float:
    if not timeout_s > 0:
        raise LocalInputError(f"timeout_s is {timeout_s}, expected more than 0")
    return timeout_s
