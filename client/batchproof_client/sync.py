"""The synchronous face: the same client for code without an event loop."""

import asyncio
import concurrent.futures
import os
import random
import threading
import weakref
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from batchproof_client.answers import PredictResult, StreamAnswer
from batchproof_client.augmentation import Augmentation
from batchproof_client.chunks import Progress
from batchproof_client.client import (
    DEFAULT_MAX_IN_FLIGHT,
    DEFAULT_TIMEOUT_S,
    AsyncClient,
)
from batchproof_client.connection import (
    DEFAULT_MAX_MESSAGE_BYTES,
    ChannelOptions,
    Metadata,
    TlsOptions,
)
from batchproof_client.descriptions import ModelDescription, ModelSummary
from batchproof_client.diagnosing import Diagnosis, Question
from batchproof_client.errors import ClientClosed
from batchproof_client.inputs import Image, PredictRequest
from batchproof_client.kinds import Health
from batchproof_client.outcomes import AcceptedOutcome, Outcome, OutcomeResult
from batchproof_client.retry import RetryPolicy

Answer = TypeVar("Answer")

# Closing cancels what is under way, so only a caller's own stuck iterator can need longer.
_STOP_S: Final = 5.0


# Contract of the loop thread
#
#   - it starts with the first run, and is a daemon: it never keeps the process alive;
#   - run may be called from any number of threads; when the caller is interrupted, what it waited
#     for is cancelled;
#   - after stop, every run that was under way has ended and every further one raises ClientClosed.
class LoopThread:
    """An event loop on a thread of its own.

    Args:
        on_stop: awaited on the loop before it ends.
    """

    def __init__(self, on_stop: Callable[[], Awaitable[None]]) -> None:
        self._on_stop = on_stop
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._stopped = False
        self._process_id = os.getpid()

    def run(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        """Waits for a coroutine that runs on the loop.

        Raises:
            ClientClosed: the thread was stopped, or belongs to the process that this one forked
                from.
        """
        future = self._submit(coroutine)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ClientClosed("the client was closed while the call was under way") from None
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Cancels what runs, ends the loop and waits for the thread. May be called again."""
        with self._lock:
            self._stopped = True
            thread, loop = self._thread, self._loop
            if thread is None or loop is None or os.getpid() != self._process_id:
                return
            with suppress(RuntimeError):  # the loop is closed already
                loop.call_soon_threadsafe(self._stopping.set)
        if thread is not threading.current_thread():  # a garbage collection may call from anywhere
            thread.join(_STOP_S)

    def _submit(
        self, coroutine: Coroutine[Any, Any, Answer]
    ) -> "concurrent.futures.Future[Answer]":
        try:
            with self._lock:
                return asyncio.run_coroutine_threadsafe(coroutine, self._started())
        except ClientClosed:
            coroutine.close()
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._stopped:
            raise ClientClosed("the client is closed")
        if os.getpid() != self._process_id:
            raise ClientClosed("the process forked after the client was made; make a new client")
        if self._loop is None:
            started: concurrent.futures.Future[asyncio.AbstractEventLoop]
            started = concurrent.futures.Future()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._main(started)),
                name="batchproof-client",
                daemon=True,
            )
            self._thread.start()
            self._loop = started.result()
        return self._loop

    async def _main(self, started: "concurrent.futures.Future[asyncio.AbstractEventLoop]") -> None:
        started.set_result(asyncio.get_running_loop())
        await self._stopping.wait()
        await self._on_stop()


class Client:
    """Asks one server, over one connection, from any number of threads.

    The methods, their arguments and their errors are those of
    :class:`~batchproof_client.client.AsyncClient`, which does the work on one background thread.
    Close the client, or use it as a context manager; one that was forgotten is closed with the
    process. A client does not survive a fork: make one in each process.

    Args:
        target: ``host:port``, or any name that gRPC resolves; None for ``$BATCHPROOF_SERVER``, or
            ``127.0.0.1:8500`` where that is not set, with the token ``$BATCHPROOF_TOKEN``.
        timeout_s: the time for a call that names none, retries included.
        tls: how to speak TLS; None for plain text.
        retry: when to call again.
        metadata: sent with each call.
        max_message_bytes: the largest message to send or to receive.
        channel_options: further gRPC channel arguments; they win over the client's own.
        rng: draws the jitter of retries.

    Raises:
        LocalInputError: a time or size is not above 0.
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
        self._core = AsyncClient(
            target,
            timeout_s=timeout_s,
            tls=tls,
            retry=retry,
            metadata=metadata,
            max_message_bytes=max_message_bytes,
            channel_options=channel_options,
            rng=rng,
        )
        self._thread = LoopThread(self._core.close)
        self._finalizer = weakref.finalize(self, self._thread.stop)

    def predict(  # noqa: PLR0913 - the public interface is these keywords
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

        ``progress`` is called on the client's thread. See
        :meth:`AsyncClient.predict <batchproof_client.client.AsyncClient.predict>`.
        """
        return self._thread.run(
            self._core.predict(
                image,
                model=model,
                top_k=top_k,
                return_probabilities=return_probabilities,
                return_logits=return_logits,
                timeout_s=timeout_s,
                request_id=request_id,
                tta=tta,
                progress=progress,
            )
        )

    def predict_stream(
        self,
        requests: Iterable[PredictRequest | Image],
        *,
        timeout_s: float | None = None,
        max_in_flight: int = DEFAULT_MAX_IN_FLIGHT,
    ) -> Generator[StreamAnswer, None, None]:
        """Asks many questions over one call and gives each answer as soon as it is ready.

        ``requests`` is advanced on a worker thread, one step at a time. See
        :meth:`AsyncClient.predict_stream <batchproof_client.client.AsyncClient.predict_stream>`.
        """
        answers = self._core.predict_stream(
            _in_worker(iter(requests)), timeout_s=timeout_s, max_in_flight=max_in_flight
        )
        try:
            while (answer := self._thread.run(_next(answers))) is not None:
                yield answer
        finally:
            with suppress(ClientClosed):
                self._thread.run(answers.aclose())

    def list_models(self, *, timeout_s: float | None = None) -> tuple[ModelSummary, ...]:
        """Lists every model version that the server holds, with its state."""
        return self._thread.run(self._core.list_models(timeout_s=timeout_s))

    def get_model(
        self, model: str | None = None, *, timeout_s: float | None = None
    ) -> ModelDescription:
        """Describes the version that a prediction with the same ``model`` would be answered by."""
        return self._thread.run(self._core.get_model(model, timeout_s=timeout_s))

    def health(self, model: str = "", *, timeout_s: float | None = None) -> Health:
        """Asks the standard health service about the server, or about one model."""
        return self._thread.run(self._core.health(model, timeout_s=timeout_s))

    def report_outcome(
        self,
        request_id: str = "",
        label: str | int = "",
        *,
        row: int = 0,
        handle: str = "",
        timeout_s: float | None = None,
    ) -> AcceptedOutcome:
        """Tells the server what a row that was answered really was."""
        return self._thread.run(
            self._core.report_outcome(
                request_id, label, row=row, handle=handle, timeout_s=timeout_s
            )
        )

    def report_outcomes(
        self, outcomes: Iterable[Outcome], *, timeout_s: float | None = None
    ) -> tuple[OutcomeResult, ...]:
        """Tells the server what many rows really were; one that is refused disturbs no other."""
        return self._thread.run(self._core.report_outcomes(outcomes, timeout_s=timeout_s))

    def diagnose(self, question: Question, *, timeout_s: float | None = None) -> Diagnosis:
        """Asks why a picture gets its answer. It takes seconds, longer while the server is busy."""
        return self._thread.run(self._core.diagnose(question, timeout_s=timeout_s))

    def close(self) -> None:
        """Closes the connection and ends the thread; calls under way raise ``ClientClosed``."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


async def _next(answers: AsyncIterator[StreamAnswer]) -> StreamAnswer | None:
    return await anext(answers, None)


async def _in_worker(
    requests: Iterator[PredictRequest | Image],
) -> AsyncIterator[PredictRequest | Image]:
    while (request := await asyncio.to_thread(next, requests, None)) is not None:
        yield request
