"""What every RPC has in common: request id, deadline, errors to codes, one record at the end."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias, TypeVar

import grpc
from grpc import aio

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import InvalidInput, QueueFull, ServingError
from batchproof_server.base.events import Observer, RequestRecord, ShedRecord
from batchproof_server.batching.replies import SHED_REASONS
from batchproof_server.models.served import ServedModel
from batchproof_server.rpc.pressure import Pressure
from batchproof_server.rpc.status import Failure, failure_of
from batchproof_server.serving.request import NOBODY, Caller, Trace

REQUEST_ID_KEY = "x-request-id"
_PUSHBACK_KEY = "grpc-retry-pushback-ms"
_MAX_REQUEST_ID_CHARACTERS = 128

Answer = TypeVar("Answer")
Context: TypeAlias = aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One RPC, or one request of a stream.

    Attributes:
        request_id: the caller's or ours.
        timeout_s: what is left of the caller's time; None when there is no limit.
        caller: who asks.
        trace: filled in on the way, and recorded at the end.
    """

    request_id: str
    timeout_s: float | None
    caller: Caller = NOBODY
    trace: Trace = field(default_factory=Trace)

    def found(self, model: ServedModel) -> None:
        """The version that answers is known."""
        self.trace.model, self.trace.version = model.name, model.version


Work: TypeAlias = Callable[[Call], Awaitable[Answer]]
# Told of every error that is not the caller's business: the error and the request id.
ReportUnforeseen: TypeAlias = Callable[[BaseException, str], None]


# Contract of the calls
#
# Whatever the work does, the caller gets either its answer or a code of rpc/status.py, and exactly
# one record is made. An exception's own text reaches the caller only when it is a ServingError.
# A cancelled call stays cancelled; a CancelledError that the work itself let out becomes
# UNAVAILABLE, because gRPC would leave the caller waiting for its deadline.
class Calls:
    """Runs the work of RPCs.

    Args:
        pressure: told of every request, and asked for room.
        clock: for measuring.
        observer: told of every finished request.
        report_unforeseen: told of every error that became INTERNAL.
    """

    def __init__(
        self,
        pressure: Pressure,
        clock: Clock,
        observer: Observer,
        report_unforeseen: ReportUnforeseen,
    ) -> None:
        self._pressure = pressure
        self._clock = clock
        self._observer = observer
        self._report_unforeseen = report_unforeseen

    async def refuse(
        self, method: str, context: Context, error: ServingError, model: str = "", version: int = 0
    ) -> NoReturn:
        """Records and aborts an RPC of one request whose message nobody reads."""
        request_id = _readable(_from_metadata(context)) or uuid.uuid4().hex
        failure = self._failed(request_id, error)
        call = Call(request_id, None, trace=Trace(model, version))
        self._shed(call, error)
        self._record(method, call, 0.0, failure.code.name, failure.message)
        await _abort(context, failure, request_id)

    async def unary(
        self, method: str, request_id: str, context: Context, work: Work[Answer]
    ) -> Answer:
        """Answers an RPC of one request, or aborts it with the code of its failure."""
        request_id = request_id or _from_metadata(context)
        outcome = await self.run(method, request_id, context, work)
        if isinstance(outcome, tuple):
            failure, request_id = outcome
            await _abort(context, failure, request_id)
        return outcome

    async def stream(
        self, method: str, context: Context, work: Callable[[], Awaitable[None]]
    ) -> None:
        """Serves a stream, whose requests are run and recorded one by one."""
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the last resort of every stream
            request_id = uuid.uuid4().hex
            failure = self._failed(request_id, error)
            self._record(method, Call(request_id, None), 0.0, failure.code.name, failure.message)
            await _abort(context, failure, request_id)

    async def run(
        self, method: str, request_id: str, context: Context, work: Work[Answer]
    ) -> Answer | tuple[Failure, str]:
        """Runs the work of one request, which may be one of a stream.

        Returns:
            Its answer, or its failure with the request id.
        """
        started_s = self._clock.now_s()
        readable_id = _readable(request_id)
        call = Call(
            readable_id or uuid.uuid4().hex,
            context.time_remaining(),
            Caller(context.peer()),
        )
        is_full = self._pressure.is_full
        self._pressure.began()
        try:
            if is_full or (request_id and not readable_id):
                self._refuse_one(call, request_id, is_readable=bool(readable_id))
            answer = await work(call)
        except asyncio.CancelledError as cancelled:
            failure = self._cancelled(call, context, cancelled)
        except Exception as error:  # noqa: BLE001 - the last resort of every RPC
            failure = self._failed(call.request_id, error)
            if isinstance(error, QueueFull):
                self._pressure.refused()
        else:
            # After the answer is on its way: nobody waits for the accounting.
            duration_s = self._since(started_s)
            trace = call.trace
            self._pressure.answered(trace.model, trace.rows, duration_s - trace.queued_s)
            loop = asyncio.get_running_loop()
            loop.call_soon(self._record, method, call, duration_s, "OK", "")
            return answer
        finally:
            self._pressure.ended()
        duration_s = self._since(started_s)
        if failure.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            self._pressure.was_late(call.trace.model, duration_s)
        self._record(method, call, duration_s, failure.code.name, failure.message)
        if _is_cancelled():
            raise asyncio.CancelledError
        return failure, call.request_id

    def _refuse_one(self, call: Call, request_id: str, *, is_readable: bool) -> NoReturn:
        if request_id and not is_readable:
            raise InvalidInput(
                f"request_id has {len(request_id)} characters or unprintable ones, expected "
                f"{_MAX_REQUEST_ID_CHARACTERS} of printable ASCII at most"
            )
        refusal = self._pressure.too_many()
        self._shed(call, refusal)
        raise refusal

    def _shed(self, call: Call, refusal: ServingError) -> None:
        if (reason := SHED_REASONS.get(type(refusal))) is not None:
            self._observer.notify(ShedRecord(call.trace.model, call.trace.version, reason))

    def _cancelled(
        self, call: Call, context: Context, cancelled: asyncio.CancelledError
    ) -> Failure:
        if not _is_cancelled():
            self._report_unforeseen(cancelled, call.request_id)
            return Failure(grpc.StatusCode.UNAVAILABLE, "the request was given up; try again")
        if _is_late(call.timeout_s, context.time_remaining()):
            return Failure(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed")
        return Failure(grpc.StatusCode.CANCELLED, "the caller went away")

    def _failed(self, request_id: str, error: Exception) -> Failure:
        failure = failure_of(error, request_id)
        if failure.code is grpc.StatusCode.INTERNAL:
            self._report_unforeseen(error, request_id)
        return failure

    def _since(self, started_s: float) -> float:
        return self._clock.now_s() - started_s

    def _record(self, method: str, call: Call, duration_s: float, code: str, message: str) -> None:
        self._observer.notify(
            RequestRecord(
                method=method,
                request_id=call.request_id,
                model=call.trace.model,
                version=call.trace.version,
                code=code,
                duration_s=duration_s,
                rows=call.trace.rows,
                message=message,
            )
        )


def _is_cancelled() -> bool:
    """Whether somebody asked the running task to stop (``context.cancelled()`` is never true)."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _is_late(timeout_s: float | None, remaining_s: float | None) -> bool:
    if timeout_s is None or remaining_s is None:
        return False
    return remaining_s <= _TRANSIT_S + timeout_s * _ROUNDING_SHARE


# A caller whose time is over gives up before our side of the deadline: its time began to run before
# the request arrived, and gRPC rounds the timeout that it sends up by 1 % at most.
_TRANSIT_S = 0.1
_ROUNDING_SHARE = 0.02


def _readable(request_id: str) -> str:
    """The id if it may be echoed and logged, else nothing."""
    fits = len(request_id) <= _MAX_REQUEST_ID_CHARACTERS
    return request_id if fits and request_id.isascii() and request_id.isprintable() else ""


def _from_metadata(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY:
            return value if isinstance(value, str) else value.decode("ascii", "replace")
    return ""


async def _abort(context: Context, failure: Failure, request_id: str) -> NoReturn:
    metadata = [(REQUEST_ID_KEY, request_id)]
    if failure.retry_after_s is not None:
        metadata.append((_PUSHBACK_KEY, str(max(1, round(failure.retry_after_s * 1000)))))
    await context.abort(failure.code, failure.message, tuple(metadata))
