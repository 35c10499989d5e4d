"""What is answered on the web port: access, paths, deadlines, and the services of the gRPC port."""

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import InvalidInput, QueueFull, ServingError
from batchproof_server.base.spans import TRACE_KEYS
from batchproof_server.batching.connections import LetIn
from batchproof_server.rpc.access import AUTHORIZATION, PRIORITY, Guard
from batchproof_server.rpc.calls import Call, Calls, Method
from batchproof_server.rpc.fronts.front import CallHead, Code
from batchproof_server.rpc.gate import Gate, LoadShedder
from batchproof_server.rpc.methods import Service
from batchproof_server.rpc.status import REQUEST_ID_KEY, Failure
from batchproof_server.rpc.versions import KEY
from batchproof_server.serving.off_loop import ByteBudget, OffLoop
from batchproof_server.web.rest.access import Access
from batchproof_server.web.rest.compression import is_known, packed, unpacked, wanted_form
from batchproof_server.web.rest.endpoint import Endpoint, Route, Written, find_route
from batchproof_server.web.rest.exchange import RestAnswer, RestHead, refusal
from batchproof_server.web.rest.message import too_large
from batchproof_server.web.rest.status import STATUSES, failed_answer

RECORDS: Final = "rest."
"""Before the names of methods in records."""
_KEYS: Final = (REQUEST_ID_KEY, KEY, *TRACE_KEYS)
_GUARDED_KEYS: Final = (*_KEYS, AUTHORIZATION, PRIORITY)
_SMALL_BODY_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class RestLimits:
    """Of requests over HTTP.

    Attributes:
        body_bytes: of one body, before and after decompression.
        bodies: of all bodies together.
    """

    body_bytes: int
    bodies: ByteBudget

    def most_bytes(self, endpoint: Endpoint) -> int:
        """Of a body: few where it holds neither pictures nor tensors."""
        is_large = endpoint.predicts or endpoint.takes_large
        return self.body_bytes if is_large else min(self.body_bytes, _SMALL_BODY_BYTES)


# Contract
#
# A request is answered by the method of a service that the gRPC port answers it with, and what is
# the same for all callers is the calls' own: ids, deadlines, room, errors, one record, which bears
# the name of the method behind "rest.". Only the form differs. What takes time (unpacking,
# reading, writing) is done off the loop thread where it is much. Never raises, but when its caller
# went away.
class RestAnswers:
    """Answers requests.

    Args:
        endpoints: the paths.
        services: whose methods answer.
        calls: answers them.
        shedder: looks at the queues before a prediction is read.
        guard: knows callers by their names; None where nobody has one.
        access: knows who may ask.
        off_loop: does what takes time.
        clock: of deadlines.
        limits: of bodies.
    """

    def __init__(  # noqa: PLR0913 - each is another part of an answer
        self,
        endpoints: tuple[Endpoint, ...],
        services: tuple[Service, ...],
        calls: Calls,
        *,
        shedder: LoadShedder,
        guard: Guard | None = None,
        access: Access,
        off_loop: OffLoop,
        clock: Clock,
        limits: RestLimits,
    ) -> None:
        self._endpoints = endpoints
        self._methods = _methods(services)
        self._calls = calls
        names = {each.rpc: self._methods[each.rpc].name for each in endpoints if each.predicts}
        self._gate = Gate(shedder, calls, names)
        self._guard = guard
        self._access = access
        self._off_loop = off_loop
        self._clock = clock
        self._limits = limits

    def judge(self, head: RestHead) -> RestAnswer | int:
        """How a request is answered without its body, or how many bytes that may have."""
        judged = self._access.refuse(head) or self._judge_form(head)
        return judged if isinstance(judged, int) else self._shown(judged, head)

    def _judge_form(self, head: RestHead) -> RestAnswer | int:
        route = find_route(self._endpoints, head.method, head.target)
        if isinstance(route, set):
            return _no_route(head, route)
        if not is_known(head.headers.get("content-encoding", "")):
            return refusal(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "the Content-Encoding is not known here, expected gzip or deflate",
                accept_encoding="gzip, deflate",
            )
        most_bytes = self._limits.most_bytes(route.endpoint)
        if head.body_bytes > most_bytes:
            return too_large(most_bytes)
        refused = None if self._guard is None else self._refuse(self._guard, route, head)
        is_looked_at = route.endpoint.predicts and self._gate.wants(route.endpoint.rpc)
        if refused is None and is_looked_at:
            refused = self._look(route, head)
        return most_bytes if refused is None else refused

    def _refuse(self, guard: Guard, route: Route, head: RestHead) -> RestAnswer | None:
        """How a request is refused that its caller may not make."""
        call = self._head(route, head, None)
        try:
            guard.admit_now(call)
        except ServingError as refusal:
            return failed_answer(guard.refuse(call, refusal))
        return None

    def _look(self, route: Route, head: RestHead) -> RestAnswer | None:
        try:
            call = self._call(route, head)
        except InvalidInput:
            return None  # said when it is answered, with a record
        (failure,) = self._gate.look([call], LetIn())
        return None if failure is None else failed_answer(failure)

    async def answer(self, head: RestHead, body: bytes) -> RestAnswer:
        """The answer to a request that was let in."""
        route = find_route(self._endpoints, head.method, head.target)
        if isinstance(route, set):
            return _no_route(head, route)
        method = self._methods[route.endpoint.rpc]
        request_id = head.headers.get(REQUEST_ID_KEY, "")
        try:
            answer = await self._answer_packed(route, method, head, body)
        except ServingError as refused:
            answer = failed_answer(self._calls.refuse(method.name, refused, request_id))
        return self._shown(answer, head)

    async def _answer_packed(
        self, route: Route, method: Method, head: RestHead, body: bytes
    ) -> RestAnswer:
        call, encoding = self._call(route, head), head.headers.get("content-encoding", "")
        if not encoding:
            return await self._answer_plain(route, method, call, head, body)
        unpack = partial(unpacked, body, encoding, self._limits.most_bytes(route.endpoint))
        plain = await self._off_loop.run(unpack, copied_bytes=_PACKED_TIMES * len(body))
        if not self._limits.bodies.take(len(plain)):
            raise QueueFull(_NO_ROOM, _RETRY_AFTER_S)
        try:
            return await self._answer_plain(route, method, call, head, plain)
        finally:
            self._limits.bodies.give_back(len(plain))

    async def _answer_plain(
        self, route: Route, method: Method, call: CallHead, head: RestHead, body: bytes
    ) -> RestAnswer:
        read = partial(route.endpoint.read, route.asked(head.headers, body))
        message, write, contents = await self._off_loop.run(
            read, copied_bytes=_PARSED_TIMES * len(body)
        )
        written: list[Written] = []

        async def behave(message: Any, call: Call) -> bytes:
            reply = await method.behaviour(message, call)
            copied_bytes = _WRITTEN_TIMES * reply.ByteSize() + route.endpoint.writing_bytes
            done = await self._off_loop.run(partial(write, reply), copied_bytes=copied_bytes)
            written.append(done)
            call.trailers.append((REQUEST_ID_KEY, call.request_id))
            return done.body

        once = replace(
            method,
            scan=lambda _: (b"", contents),
            parse=lambda _: message,
            behaviour=behave,
        )
        try:
            async with asyncio.timeout(self._calls.timeout_s(call)):
                outcome = await self._calls.answer(once, call, b"")
        except TimeoutError:  # recorded as it was cancelled
            return refusal(STATUSES[Code.DEADLINE_EXCEEDED], "the deadline passed")
        if isinstance(outcome, Failure):
            return failed_answer(outcome)
        trailers = {name: str(value) for name, value in outcome.trailers if value}
        headers = {**written[0].headers, **trailers}
        return await self._packed(RestAnswer(written[0].status, outcome.content, headers), head)

    async def _packed(self, answer: RestAnswer, head: RestHead) -> RestAnswer:
        size_bytes = len(answer.body)
        form = wanted_form(head.headers.get("accept-encoding", ""), size_bytes)
        if not form:
            return answer
        pack = partial(packed, answer.body, form, answer.headers)
        body, headers = await self._off_loop.run(pack, copied_bytes=_PACKED_TIMES * size_bytes)
        return RestAnswer(answer.status, body, headers)

    def _call(self, route: Route, head: RestHead) -> CallHead:
        """The head of the call that the request stands for.

        Raises:
            InvalidInput: its timeout is none.
            Unauthenticated, Forbidden, InvalidInput: its caller may not make it.
        """
        timeout_s = read_timeout_s(head)
        deadline_s = None if timeout_s is None else self._clock.now_s() + timeout_s
        call = self._head(route, head, deadline_s)
        return call if self._guard is None else self._guard.admit(call)

    def _head(self, route: Route, head: RestHead, deadline_s: float | None) -> CallHead:
        names = _KEYS if self._guard is None else _GUARDED_KEYS
        metadata = tuple((name, head.headers[name]) for name in names if head.headers.get(name))
        return CallHead(0, route.endpoint.rpc, metadata, head.peer, deadline_s, head.subjects)

    def _shown(self, answer: RestAnswer, head: RestHead) -> RestAnswer:
        shown = self._access.shown_to(head)
        return answer if not shown else replace(answer, headers={**answer.headers, **shown})


# What work with so many bytes takes beside copying as many.
_PACKED_TIMES: Final = 16
_PARSED_TIMES: Final = 4
_WRITTEN_TIMES: Final = 4
_RETRY_AFTER_S: Final = 1.0
_NO_ROOM: Final = "the server holds too many bytes of requests; try again later"


def _methods(services: tuple[Service, ...]) -> Mapping[str, Method]:
    return {
        path: replace(method, name=RECORDS + method.name, serialize=_as_it_is)
        for service in services
        for path, method in service.methods.items()
    }


def _as_it_is(content: bytes) -> bytes:
    """The answer is bytes already."""
    return content


def _no_route(head: RestHead, verbs: set[str]) -> RestAnswer:
    if not verbs:
        sentence = "there is nothing under this path; docs/rest.md lists what there is"
        return refusal(HTTPStatus.NOT_FOUND, sentence)
    allowed = ", ".join(sorted(verbs))
    came = head.method[:16]
    sentence = f"the method is {came}, expected {allowed}"
    return refusal(HTTPStatus.METHOD_NOT_ALLOWED, sentence, allow=allowed)


def read_timeout_s(head: RestHead) -> float | None:
    """What the caller allows for the answer: the shorter of both headers; None without.

    ``X-Request-Timeout`` is seconds; ``grpc-timeout`` is a number of up to eight digits and a unit.

    Raises:
        InvalidInput: a header is neither.
    """
    seconds = head.headers.get("x-request-timeout")
    coded = head.headers.get("grpc-timeout")
    limits_s = []
    if seconds is not None:
        limits_s.append(_seconds(seconds))
    if coded is not None:
        if not re.fullmatch(r"[0-9]{1,8}[HMSmun]", coded):
            raise InvalidInput("the header grpc-timeout is no timeout, expected such as 500m")
        limits_s.append(int(coded[:-1]) * _UNITS_S[coded[-1]])
    return min(limits_s, default=None)


def _seconds(text: str) -> float:
    try:
        timeout_s = float(text)
    except ValueError:
        timeout_s = math.nan
    if not 0 <= timeout_s < math.inf:
        raise InvalidInput(
            "the header X-Request-Timeout is no number of seconds, expected 0 or more"
        )
    return timeout_s


_UNITS_S: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
