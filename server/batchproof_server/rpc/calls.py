"""What all calls have in common: request id, deadline, errors to codes, one record at the end."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeAlias

from google.protobuf.message import DecodeError

from batchproof_server.base.clock import Clock
from batchproof_server.base.end_of_turn import EndOfTurn
from batchproof_server.base.errors import InvalidInput, QueueFull, ServingError
from batchproof_server.base.events import (
    Observer,
    RefusedUnread,
    RequestRecord,
    RequestsFinished,
    ShedRecord,
)
from batchproof_server.base.priorities import Priority
from batchproof_server.base.spans import BeginSpans
from batchproof_server.base.unguarded import unguarded
from batchproof_server.batching.priorities import with_priority
from batchproof_server.batching.replies import SHED_REASONS
from batchproof_server.models.served import ServedModel
from batchproof_server.rpc.cancellation import is_cancelled, is_late
from batchproof_server.rpc.contents import NO_CONTENTS, Contents
from batchproof_server.rpc.fronts.front import CallHead, Code, Metadata, Reply
from batchproof_server.rpc.large_messages import QUICK_BYTES, LargeMessages
from batchproof_server.rpc.pressure import Pressure
from batchproof_server.rpc.status import REQUEST_ID_KEY, Failure, failed, failure_of
from batchproof_server.serving.request import NOBODY, Caller, Trace

_MAX_REQUEST_ID_CHARACTERS = 128
_REQUEST_ID_BYTES = 16
_IDS_DRAWN = 64
_NUMBER_BYTES = 4


@unguarded()
class Call:
    """One RPC, or one request of a stream.

    Attributes:
        request_id: the caller's or ours.
        timeout_s: what is left of the caller's time; None when there is no limit.
        caller: who asks.
        trace: filled in on the way, and recorded at the end.
        trailers: filled in on the way; the trailing metadata of an RPC that succeeds.
        metadata: as it came.
        size_bytes: of its message.
        contents: that the message has tickets for.
    """

    request_id: str
    timeout_s: float | None
    caller: Caller = NOBODY
    trace: Trace = field(default_factory=Trace)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    metadata: Metadata = ()
    size_bytes: int = 0
    contents: Contents = NO_CONTENTS

    def note_model(self, model: ServedModel) -> None:
        """The version that answers is known.

        Raises:
            Forbidden: the caller may not use the model.
        """
        self.trace.model, self.trace.version = model.name, model.version
        if self.caller.grant is not None:
            self.caller.grant.check_model(model.name)


# Answers one message with one message.
Behaviour: TypeAlias = Callable[[Any, Call], Awaitable[Any]]
# Told of every error that is not the caller's business: the error and the request id.
ReportUnforeseen: TypeAlias = Callable[[BaseException, str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """One method of a service, or of a stream what is done for each of its requests.

    Attributes:
        name: in records.
        scan: counts what is in the bytes before they are parsed, and leaves large contents out of
            them; raises InvalidInput, DecodeError.
        parse: from bytes to a message; raises DecodeError.
        behaviour: from that message to its answer.
        serialize: from the answer to bytes.
        id_field: of the message, where a caller may name its request; empty when there is none.
        refuse: writes a failure as a message of a stream; None for a method that is no stream.
        keeps_order: whether a stream is answered in the order of its requests.
    """

    name: str
    scan: Callable[[bytes], tuple[bytes, Contents]]
    parse: Callable[[bytes], Any]
    behaviour: Behaviour
    serialize: Callable[[Any], bytes]
    id_field: str = ""
    refuse: Callable[[Failure], bytes] | None = None
    keeps_order: bool = False


# Contract of the calls
#
# Whatever a behaviour does, the caller gets either its answer or a code of rpc/status.py, and
# exactly one record is made. An exception's own text reaches the caller only when it is a
# ServingError. A cancelled call stays cancelled; a CancelledError that the behaviour itself let out
# becomes UNAVAILABLE, because the caller would be left waiting for its deadline.
class Calls:
    """Answers calls.

    Args:
        pressure: told of every request, and asked for room.
        clock: for measuring; the clock of deadlines.
        observer: told of every finished request.
        report_unforeseen: told of every error that became INTERNAL.
        begin_spans: asked of every request that is read; None where nothing is traced.
    """

    def __init__(
        self,
        pressure: Pressure,
        clock: Clock,
        observer: Observer,
        report_unforeseen: ReportUnforeseen,
        begin_spans: BeginSpans | None = None,
    ) -> None:
        self._pressure = pressure
        self._clock = clock
        self._observer = observer
        self._finished = EndOfTurn(self._tell)
        self._report_unforeseen = report_unforeseen
        self._begin_spans = begin_spans
        self._large = LargeMessages()
        self._ids: list[str] = []

    def refuse(
        self,
        name: str,
        error: ServingError,
        request_id: str = "",
        trace: Trace | None = None,
        priority: Priority | None = None,
    ) -> Failure:
        """The failure of a request whose message nobody reads, recorded under the method's name."""
        failure = self._fail(_readable(request_id) or self._new_id(), error)
        caller = Caller(priority=priority)
        call = Call(failure.request_id, None, caller, trace or Trace())
        self._record_shed(call, error)
        self._record_failed(name, call, 0.0, failure)
        return failure

    def refuse_all(
        self, name: str, full: QueueFull, heads: Sequence[CallHead], model: str, version: int
    ) -> list[Failure]:
        """The failures of calls that came together and that nobody reads, recorded as one.

        Under load they are most of what comes, so that each of them must cost next to nothing.

        Args:
            name: of their method, in records.
            full: what is true of all of them.
            heads: one or more, of the same priority.
            model: of which they ask; empty where it is not known.
            version: of it; 0 where it is not known.
        """
        if len(heads) == 1:
            trace, request_id = Trace(model, version), _from_metadata(heads[0])
            return [self.refuse(name, full, request_id, trace, heads[0].priority)]
        stem = secrets.token_hex(_REQUEST_ID_BYTES - _NUMBER_BYTES)
        ids = [
            _readable(_from_metadata(head)) or f"{stem}{number:0{2 * _NUMBER_BYTES}x}"
            for number, head in enumerate(heads)
        ]
        first = failure_of(full, ids[0])
        self._observer.notify(
            RefusedUnread(
                method=name,
                request_ids=tuple(ids),
                model=model,
                version=version,
                code=first.code.name,
                message=first.text,
                reason=SHED_REASONS[QueueFull],
                priority=heads[0].priority,
            )
        )
        return [first, *(first.of_request(request_id) for request_id in ids[1:])]

    def timeout_s(self, head: CallHead) -> float | None:
        """What is left of the caller's time; None when there is no limit."""
        return None if head.deadline_s is None else max(0.0, head.deadline_s - self._clock.now_s())

    def fail_stream(self, name: str, error: Exception) -> Failure:
        """The failure of a stream beside its requests, recorded under the method's name."""
        failure = self._fail(self._new_id(), error)
        self._record_failed(name, Call(failure.request_id, None), 0.0, failure)
        return failure

    async def answer(
        self, method: Method, head: CallHead, content: bytes | None
    ) -> Reply | Failure:
        """Answers one request: the message of a unary call, or one of a stream.

        Args:
            method: what is asked for.
            head: of its call.
            content: None when the call has no message.
        """
        begin = self._begin_spans
        trace = Trace() if begin is None else Trace(spans=begin(head.metadata))
        if content is None:
            return self.refuse(method.name, InvalidInput(_NO_MESSAGE), _id_of(method, head), trace)
        try:
            message, contents = await self._read(method, content)
        except DecodeError:
            return self.refuse(method.name, InvalidInput(_UNREADABLE), _id_of(method, head), trace)
        except InvalidInput as too_much:
            return self.refuse(method.name, too_much, _id_of(method, head), trace)
        except asyncio.CancelledError as cancelled:
            return self._give_up_unread(method, head, trace, cancelled)
        given_id = getattr(message, method.id_field) if method.id_field else ""
        request_id = given_id or _id_of(method, head)
        readable_id = _readable(request_id)
        started_s = self._clock.now_s()
        timeout_s = None if head.deadline_s is None else max(0.0, head.deadline_s - started_s)
        caller = Caller(head.peer) if head.priority is None else _known(head)
        call = Call(
            readable_id or self._new_id(),
            timeout_s,
            caller,
            trace,
            metadata=head.metadata,
            size_bytes=len(content),
            contents=contents,
        )
        is_full = self._pressure.is_full_for(head.peer, head.priority)
        under_way = self._pressure.begin_request(head.peer)
        try:
            if is_full or (request_id and not readable_id):
                self._refuse_one(call, request_id, is_readable=bool(readable_id))
            reply = Reply(method.serialize(await method.behaviour(message, call)), call.trailers)
        except asyncio.CancelledError as cancelled:
            failure = self._fail_cancelled(call, head, cancelled, given_id)
        except Exception as error:  # noqa: BLE001 - the last resort of every RPC
            failure = self._fail(call.request_id, error, given_id)
            if isinstance(error, QueueFull):
                self._pressure.learn_refusal()
        else:
            self._finish(method.name, call, started_s, under_way)
            return reply
        finally:
            self._pressure.end_request(head.peer)
        self._finish_failed(method.name, call, self._clock.now_s() - started_s, failure)
        return failure

    async def _read(self, method: Method, content: bytes) -> tuple[Any, Contents]:
        content, contents = method.scan(content)
        if len(content) <= QUICK_BYTES:
            return method.parse(content), contents
        return await self._large.parse(method.parse, content), contents

    # Asking the system lets other threads run, and costs two of their turns: so many at once.
    def _new_id(self) -> str:
        if not self._ids:
            drawn, size = secrets.token_hex(_REQUEST_ID_BYTES * _IDS_DRAWN), 2 * _REQUEST_ID_BYTES
            self._ids = [drawn[start : start + size] for start in range(0, len(drawn), size)]
        return self._ids.pop()

    def _give_up_unread(
        self, method: Method, head: CallHead, trace: Trace, cancelled: asyncio.CancelledError
    ) -> Failure:
        request_id = _readable(_id_of(method, head)) or self._new_id()
        call = Call(request_id, self.timeout_s(head), trace=trace)
        failure = self._fail_cancelled(call, head, cancelled, "")
        self._finish_failed(method.name, call, 0.0, failure)
        return failure

    def _finish(self, name: str, call: Call, started_s: float, under_way: int) -> None:
        ended_s, trace = self._clock.now_s(), call.trace
        duration_s = ended_s - started_s
        if trace.spans is not None:
            trace.spans.ended_s = ended_s
        self._pressure.learn_answer(trace, duration_s, call.timeout_s, under_way)
        self._finished.add(_record(name, call, duration_s, Code.OK.name, ""))

    def _finish_failed(self, name: str, call: Call, duration_s: float, failure: Failure) -> None:
        if failure.code is Code.DEADLINE_EXCEEDED:
            self._pressure.learn_late(call.trace.model, duration_s)
        self._record_failed(name, call, duration_s, failure)
        if is_cancelled():
            raise asyncio.CancelledError

    def _refuse_one(self, call: Call, request_id: str, *, is_readable: bool) -> NoReturn:
        if request_id and not is_readable:
            raise InvalidInput(
                f"request_id has {len(request_id)} characters or unprintable ones, expected "
                f"{_MAX_REQUEST_ID_CHARACTERS} of printable ASCII at most"
            )
        refusal = self._pressure.too_many()
        self._record_shed(call, refusal)
        raise refusal

    def _record_shed(self, call: Call, refusal: ServingError) -> None:
        if (reason := SHED_REASONS.get(type(refusal))) is not None:
            self._observer.notify(ShedRecord(call.trace.model, call.trace.version, reason))

    def _fail_cancelled(
        self, call: Call, head: CallHead, cancelled: asyncio.CancelledError, given_id: str
    ) -> Failure:
        code, text = Code.CANCELLED, "the caller went away"
        if not is_cancelled():
            self._report_unforeseen(cancelled, call.request_id)
            code, text = Code.UNAVAILABLE, "the request was given up; try again"
        elif is_late(call.timeout_s, self.timeout_s(head)):
            code, text = Code.DEADLINE_EXCEEDED, "the deadline passed"
        return failed(code, text, call.request_id, given_id=given_id)

    def _fail(self, request_id: str, error: Exception, given_id: str = "") -> Failure:
        failure = failure_of(error, request_id, given_id)
        if failure.code is Code.INTERNAL:
            self._report_unforeseen(error, request_id)
        return failure

    def _record_failed(self, name: str, call: Call, duration_s: float, failure: Failure) -> None:
        spans = call.trace.spans
        if spans is not None and not spans.ended_s:
            spans.ended_s = self._clock.now_s()
        code, text = failure.code.name, failure.text
        self._finished.add_now(_record(name, call, duration_s, code, text))

    def _tell(self, records: Sequence[RequestRecord]) -> None:
        self._observer.notify(RequestsFinished(records))


def _record(method: str, call: Call, duration_s: float, code: str, message: str) -> RequestRecord:
    trace = call.trace
    return RequestRecord(
        method,
        call.request_id,
        trace.model,
        trace.version,
        code,
        duration_s,
        trace.rows,
        message,
        trace.spans,
        call.caller.priority,
        trace.queued_s,
    )


def _known(head: CallHead) -> Caller:
    """A caller who had to show who it is."""
    return Caller(with_priority(head.peer, head.priority), head.grant, head.priority)


def _readable(request_id: str) -> str:
    """The id if it may be echoed and logged, else nothing."""
    fits = len(request_id) <= _MAX_REQUEST_ID_CHARACTERS
    return request_id if fits and request_id.isascii() and request_id.isprintable() else ""


def _id_of(method: Method, head: CallHead) -> str:
    """The id beside the message; a stream's is of none of its requests."""
    return _from_metadata(head) if method.refuse is None else ""


def _from_metadata(head: CallHead) -> str:
    for key, value in head.metadata:
        if key == REQUEST_ID_KEY:
            return value if isinstance(value, str) else value.decode("ascii", "replace")
    return ""


_NO_MESSAGE: Final = "the call has no message, expected one"
_UNREADABLE: Final = "the message cannot be read, expected the one that the method takes"
