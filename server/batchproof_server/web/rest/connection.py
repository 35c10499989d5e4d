"""A connection of the web port: reads requests one after the other, and writes their answers."""

import asyncio
from collections.abc import Awaitable
from enum import Enum, auto
from http import HTTPStatus
from typing import Final, Protocol

from batchproof_server.web.rest.certificates import subjects_of
from batchproof_server.web.rest.exchange import RestAnswer, RestHead, answer_bytes, refusal
from batchproof_server.web.rest.message import IncomingRequest
from batchproof_server.web.rest.parsing import NO_REQUEST, HeadJudge, Reading, RequestParser


class RestWork(HeadJudge, Protocol):
    """What answers."""

    def answer(self, head: RestHead, body: bytes) -> Awaitable[RestAnswer]:
        """The answer; never raises but when it is cancelled."""
        ...


class Around(Reading, Protocol):
    """What a connection needs of its port."""

    work: RestWork
    is_draining: bool

    def now_s(self) -> float:
        """The time."""
        ...

    def admit(self, newcomer: "RestConnection") -> bool:
        """Whether there is room for one more; makes room where there is none."""
        ...

    def forget(self, connection: "RestConnection") -> None:
        """The connection is closed."""
        ...


class Phase(Enum):
    """What a connection does."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    ANSWERING = auto()
    SENDING = auto()
    LINGERING = auto()


_LINGER_S: Final = 2.0
_MOST_HELD_BYTES: Final = 1 << 16
_BUSY: Final = (Phase.ANSWERING, Phase.SENDING, Phase.LINGERING)


# Contract
#
# Requests of a connection are answered in their order, one at a time. A request is judged when its
# head is there, before its body is read; one that is refused is answered at once, what comes after
# it is thrown away for a moment, so that its caller reads the answer instead of a reset, and the
# connection ends. While a request is answered no more than 64 KiB behind it are held. Every phase
# but answering has a time; who is too slow is told so where something of a request has come. When
# the caller goes away the work for it is cancelled.
class RestConnection(asyncio.Protocol):
    """Speaks HTTP/1.1.

    Args:
        around: what it is a connection of.

    Attributes:
        phase: what it does.
        since_s: since when.
    """

    _transport: asyncio.Transport
    _requests: RequestParser

    def __init__(self, around: Around) -> None:
        self._around = around
        self._held = b""
        self._task: asyncio.Task[None] | None = None
        self._is_blocked = False
        self._ends = False
        self.phase = Phase.HEAD
        self.since_s = around.now_s()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Waits for a request."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a server of sockets
        self._transport = transport
        # What is not taken at once is waited for; at 0, TLS says so of nothing.
        transport.set_write_buffer_limits(1)
        address = transport.get_extra_info("peername") or ("",)
        peer = f"ipv6:[{address[0]}]" if ":" in address[0] else f"ipv4:{address[0]}"
        self._requests = RequestParser(self._around, peer, subjects_of(transport))
        if not self._around.admit(self):
            self._refuse(refusal(HTTPStatus.SERVICE_UNAVAILABLE, _FULL, retry_after="1"))
            # The port does not know it, so nobody else loses patience with it.
            asyncio.get_running_loop().call_later(_LINGER_S, self.hang_up)

    def data_received(self, data: bytes) -> None:
        """More of a request, or what nobody reads any more."""
        if self.phase is Phase.LINGERING:
            return
        if self.phase in _BUSY:
            self._held += data
            if len(self._held) > _MOST_HELD_BYTES:
                self._transport.pause_reading()
            return
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        self._requests.feed(data)
        self._turn()

    def _turn(self) -> None:
        """Answers the next request that is there, or reads on."""
        while self.phase not in _BUSY:
            requests = self._requests
            if requests.whole:
                self._begin(requests.whole.popleft())
            elif requests.incoming.refused is not None and not requests.incoming.is_whole:
                self._refuse(requests.incoming.refused)
            elif self._held:
                held, self._held = self._held, b""
                self._transport.resume_reading()
                requests.feed(held)
            else:
                self._read_on()
                return

    def _read_on(self) -> None:
        incoming = self._requests.incoming
        if self._requests.is_between:
            return
        phase = Phase.HEAD if incoming.head is None else Phase.BODY
        if self.phase is not phase:
            self._enter(phase)
        if incoming.wants_go_ahead:
            incoming.wants_go_ahead = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _begin(self, request: IncomingRequest) -> None:
        if request.head is None or request.refused is not None:
            is_clear = request.head is not None and request.keeps_alive
            answer = request.refused or refusal(HTTPStatus.BAD_REQUEST, NO_REQUEST)
            self._requests.give_back(len(request.body))
            self._send(answer, request.head, keeps_alive=is_clear)
            return
        self._enter(Phase.ANSWERING)
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._answer(request, request.head))

    async def _answer(self, request: IncomingRequest, head: RestHead) -> None:
        size_bytes, body = len(request.body), bytes(request.body)
        request.body = bytearray()
        try:
            answer = await self._around.work.answer(head, body)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the caller is answered
            self._around.report(failure)
            answer = refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")
        finally:
            self._requests.give_back(size_bytes)
            self._task = None
        self._send(answer, head, keeps_alive=request.keeps_alive)
        self._turn()

    def _send(self, answer: RestAnswer, head: RestHead | None, *, keeps_alive: bool) -> None:
        if self._transport.is_closing():
            return
        self._enter(Phase.SENDING)
        self._ends = not keeps_alive or self._around.is_draining
        has_body = head is None or head.method != "HEAD"
        content = answer_bytes(answer, has_body=has_body, keeps_alive=not self._ends)
        self._transport.write(content)
        if not self._is_blocked:
            self._end_sending()

    def _end_sending(self) -> None:
        if self._ends:
            self._end()
        else:
            self._enter(Phase.IDLE)

    def _refuse(self, answer: RestAnswer) -> None:
        self._send(answer, self._requests.incoming.head, keeps_alive=False)

    def _end(self) -> None:
        """Ends the connection once its caller has read what was written."""
        self._enter(Phase.LINGERING)
        self._held = b""
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def pause_writing(self) -> None:
        """The caller is slower than what is written."""
        self._is_blocked = True

    def resume_writing(self) -> None:
        """All of it is on its way."""
        self._is_blocked = False
        if self.phase is Phase.SENDING:
            self._end_sending()
            self._turn()

    def eof_received(self) -> bool:
        """The caller is gone, whatever it still waits for."""
        return False

    def connection_lost(self, fault: Exception | None) -> None:
        """Gives its place free, and stops the work for it."""
        del fault
        self._requests.give_back()
        self._around.forget(self)
        if self._task is not None:
            self._task.cancel()

    def hang_up(self) -> None:
        """Closes at once."""
        self._transport.abort()

    def close_idle(self) -> None:
        """Closes unless something of a request has come or is answered."""
        if self.phase in {Phase.IDLE, Phase.HEAD} and self._requests.is_between:
            self._end()

    def check_patience(self, now_s: float) -> None:
        """Gives up a caller that is too slow."""
        if now_s - self.since_s < self._patience_s():
            return
        if self.phase in {Phase.BODY, Phase.HEAD} and not self._requests.is_between:
            self._refuse(refusal(HTTPStatus.REQUEST_TIMEOUT, _TOO_SLOW))
        else:
            self.hang_up()

    def _patience_s(self) -> float:
        settings = self._around.settings
        match self.phase:
            case Phase.HEAD:
                return settings.head_timeout_s
            case Phase.BODY:
                return settings.body_timeout_s
            case Phase.SENDING:
                return settings.send_timeout_s
            case Phase.IDLE:
                return settings.idle_timeout_s
            case Phase.LINGERING:
                return _LINGER_S
            case Phase.ANSWERING:
                return float("inf")

    def _enter(self, phase: Phase) -> None:
        self.phase, self.since_s = phase, self._around.now_s()


_TOO_SLOW: Final = "the request was not there in time; send it again"
_FULL: Final = "too many connections; try again later"
