"""The requests of one connection, as a parser of HTTP/1.1 finds them in its bytes."""

from collections import deque
from http import HTTPStatus
from typing import Any, Final, Protocol

import httptools

from batchproof_server.serving.off_loop import ByteBudget
from batchproof_server.web.rest.exchange import RestAnswer, RestHead, refusal
from batchproof_server.web.rest.message import IncomingRequest
from batchproof_server.web.settings import WebSettings

NO_REQUEST: Final = "the bytes are no request of HTTP/1.1"
_MOST_WAITING: Final = 16
_TOO_MANY_AT_ONCE: Final = f"more than {_MOST_WAITING} requests came before one was answered"
_NO_ROOM: Final = "the server holds too many bytes of requests; try again later"


class HeadJudge(Protocol):
    """Looks at requests before their bodies are read."""

    def judge(self, head: RestHead) -> RestAnswer | int:
        """How a request is answered without its body, or how many bytes that may have.

        Never raises.
        """
        ...


class Reading(Protocol):
    """What bounds the requests."""

    settings: WebSettings
    bodies: ByteBudget

    @property
    def work(self) -> HeadJudge:
        """Looks at their heads."""
        ...

    def report(self, failure: Exception) -> None:
        """An exception that nobody foresaw."""
        ...


# Contract: a request that cannot be read is refused in ``incoming``, and so is one that is too
# large, or not let in. It is whole all the same where its end came with it.
class RequestParser:
    """Makes requests of bytes.

    Args:
        around: bounds them.
        peer: the caller's address.
        subjects: of the client's certificate.

    Attributes:
        incoming: the one at hand.
        whole: those behind, in their order.
    """

    def __init__(self, around: Reading, peer: str, subjects: tuple[str, ...] = ()) -> None:
        self._around = around
        self._peer = peer
        self._subjects = subjects
        self._parser: Any = httptools.HttpRequestParser(self)
        self._has_begun = False
        self._taken_bytes = 0
        self.incoming = IncomingRequest()
        self.whole: deque[IncomingRequest] = deque()

    @property
    def is_between(self) -> bool:
        """Whether nothing has come of the next request."""
        return not self._has_begun or self.incoming.is_whole

    def feed(self, data: bytes) -> None:
        """More bytes have come."""
        incoming = self.incoming
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # What it asks for is not spoken here: it is answered, and the parser has ended.
            self.incoming.keeps_alive = False
        except httptools.HttpParserError as fault:
            self._refuse_rest(fault)
        if incoming is self.incoming and not incoming.is_whole:
            incoming.received(len(data), self._around.settings.max_head_bytes)

    def give_back(self, size_bytes: int | None = None) -> None:
        """Bytes of bodies are not needed any more; None: all of this connection."""
        taken_bytes = self._taken_bytes
        size_bytes = taken_bytes if size_bytes is None else min(size_bytes, taken_bytes)
        if size_bytes:
            self._around.bodies.give_back(size_bytes)
            self._taken_bytes -= size_bytes

    def _refuse_rest(self, fault: Exception) -> None:
        """The parser cannot go on."""
        if self.incoming.is_whole:
            self.incoming = IncomingRequest()
        answer = refusal(HTTPStatus.BAD_REQUEST, NO_REQUEST)
        if isinstance(fault, httptools.HttpParserCallbackError):
            self._around.report(fault)
            answer = refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")
        self.incoming.refused = self.incoming.refused or answer

    # Called by the parser; what these raise would be lost in it.

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._has_begun:  # then the one before it is whole
            self.incoming = IncomingRequest()
        self._has_begun = True
        if len(self.whole) >= _MOST_WAITING:
            self.incoming.refused = refusal(HTTPStatus.BAD_REQUEST, _TOO_MANY_AT_ONCE)

    def on_url(self, piece: bytes) -> None:
        """More of its path."""
        self.incoming.add_target(piece)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        self.incoming.add_header(name, value)

    def on_headers_complete(self) -> None:
        """Its head is there."""
        incoming, parser = self.incoming, self._parser
        if incoming.refused is not None:
            return
        incoming.keeps_alive = parser.should_keep_alive()
        max_head_bytes = self._around.settings.max_head_bytes
        method = parser.get_method()
        head = incoming.end_head(method, self._peer, max_head_bytes, self._subjects)
        if head is None:
            return
        judged = self._around.work.judge(head)
        if isinstance(judged, int):
            incoming.most_body_bytes = judged
        else:
            incoming.refused = judged
        expects = head.headers.get("expect", "").lower()
        incoming.wants_go_ahead = expects == "100-continue"

    def on_body(self, piece: bytes) -> None:
        """More of its body."""
        incoming = self.incoming
        if incoming.refused is not None:
            return
        if len(incoming.body) + len(piece) > incoming.most_body_bytes:
            incoming.refuse_body()
        elif not self._around.bodies.take(len(piece)):
            incoming.refused = refusal(HTTPStatus.TOO_MANY_REQUESTS, _NO_ROOM, retry_after="1")
        else:
            self._taken_bytes += len(piece)
            incoming.body += piece

    def on_message_complete(self) -> None:
        """It is there."""
        incoming = self.incoming
        incoming.is_whole = True
        if len(self.whole) <= _MOST_WAITING:
            self.whole.append(incoming)
