"""The connections of the HTTP port: who is let in, who is sent away, and what is answered."""

import asyncio
import errno
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from batchproof_server.web.head import Asked, is_whole, read_head, written
from batchproof_server.web.pages import HttpResponse, Pages, sentence


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What callers may take.

    Attributes:
        head_bytes: of the request line and the headers together.
        request_s: from the connection to the end of the headers.
        answer_s: from the first byte of the answer until the caller has hung up.
        connections: open at the same time.
        peer_connections: open at the same time from one address.
    """

    head_bytes: int = 8192
    request_s: float = 2.0
    answer_s: float = 5.0
    connections: int = 256
    peer_connections: int = 128


# Contract
#
# One page is answered on a connection. A head that does not end is not answered, however it breaks
# off. A connection has a deadline for its head and another for its answer. When too many are open,
# of all or of one address, one of them is closed: the oldest whose head is not there, else the
# oldest. An honest reader sends its head at once, so slow ones never keep it out. The same where
# the process has no descriptors left. Whatever callers do, there are two threads: the metrics are
# made one at a time beside the loop, so that a slow scrape holds up no probe, and many scrapes
# leave the server its share of the interpreter.
class Desk:
    """Knows the connections, and makes the pages.

    Args:
        pages: what to answer.
        limits: what callers may take.
        on_failure: told of exceptions.
    """

    def __init__(
        self, pages: Pages, limits: HttpLimits, on_failure: Callable[[Exception], None]
    ) -> None:
        self.limits = limits
        self._pages = pages
        self._on_failure = on_failure
        self._open: dict[Connection, str] = {}
        self._scrapes = ThreadPoolExecutor(1, thread_name_prefix="http-metrics")

    def admit(self, newcomer: "Connection", peer: str) -> None:
        """Makes room for a connection by closing the oldest one where there are too many."""
        of_peer = [each for each, its_peer in self._open.items() if its_peer == peer]
        if len(of_peer) >= self.limits.peer_connections:
            _slowest(of_peer).hang_up()
        elif len(self._open) >= self.limits.connections:
            _slowest(self._open).hang_up()
        self._open[newcomer] = peer

    def forget(self, connection: "Connection") -> None:
        """The connection is closed."""
        self._open.pop(connection, None)

    def hang_up(self) -> None:
        """Closes every connection."""
        for connection in tuple(self._open):
            connection.hang_up()
        self._scrapes.shutdown(wait=False, cancel_futures=True)

    def answer(self, asked: Asked) -> "asyncio.Future[HttpResponse]":
        """The page that is asked for, now or when it is made; never raises."""
        loop = asyncio.get_running_loop()
        if self._pages.takes_time(asked.target):
            return loop.run_in_executor(self._scrapes, self._page, asked)
        page = loop.create_future()
        page.set_result(self._page(asked))
        return page

    def _page(self, asked: Asked) -> HttpResponse:
        try:
            return self._pages.answer(asked.method, asked.target, asked.accept)
        except Exception as failure:  # noqa: BLE001 - the client must not see what it was
            self._on_failure(failure)
            return sentence(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")

    def hear_of_failure(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """Of a fault on the loop: one of ours is told; where descriptors ran out, makes room."""
        del loop
        failure = context.get("exception")
        if isinstance(failure, OSError):
            if failure.errno in _NO_DESCRIPTORS and self._open:
                _slowest(self._open).hang_up()
        elif isinstance(failure, Exception):
            self._on_failure(failure)


def _slowest(connections: Iterable["Connection"]) -> "Connection":
    """The oldest whose head is not there, else the oldest."""
    oldest_first = list(connections)
    return next((each for each in oldest_first if not each.is_read), oldest_first[0])


_NO_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE)


class Connection(asyncio.Protocol):
    """Reads one head and writes one answer.

    Args:
        desk: admits, and makes the answer.

    Attributes:
        is_read: whether its head is there.
    """

    _transport: asyncio.Transport
    _deadline: asyncio.TimerHandle

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._head = b""
        self.is_read = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Waits for a head, for so long."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a server of sockets
        self._transport = transport
        self._give_up_after(self._desk.limits.request_s)
        address = transport.get_extra_info("peername") or ("",)
        self._desk.admit(self, address[0])

    def data_received(self, data: bytes) -> None:
        """More of the head, or what nobody reads after it."""
        if self.is_read:
            return
        limit = self._desk.limits.head_bytes
        self._head += data[:limit]
        if is_whole(self._head):
            self.is_read = True
            self._deadline.cancel()
            self._reply()
        elif len(self._head) >= limit:
            self.hang_up()

    def eof_received(self) -> bool:
        """Half a request is not answered; who sent a whole one still reads."""
        return self.is_read and not self._transport.is_closing()

    def connection_lost(self, fault: Exception | None) -> None:
        """Gives its place free."""
        del fault
        self._deadline.cancel()
        self._desk.forget(self)

    def hang_up(self) -> None:
        """Closes at once."""
        self._desk.forget(self)
        self._transport.abort()

    def _reply(self) -> None:
        asked = read_head(self._head)
        if isinstance(asked, HttpResponse):
            self._write(asked, "GET")
            return
        page = self._desk.answer(asked)
        page.add_done_callback(lambda done: self._write_done(done, asked.method))

    def _write_done(self, page: "asyncio.Future[HttpResponse]", method: str) -> None:
        if page.cancelled():
            self.hang_up()
        else:
            self._write(page.result(), method)

    def _write(self, answer: HttpResponse, method: str) -> None:
        if self._transport.is_closing():
            return
        self._give_up_after(self._desk.limits.answer_s)
        try:
            self._transport.write(written(answer, method))
        except Exception:
            self.hang_up()
            raise
        # Closed at once, what the caller sent beyond its head would reset the connection, and it
        # would lose the answer. So it hangs up itself, or is given up.
        self._transport.write_eof()

    def _give_up_after(self, patience_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(patience_s, self.hang_up)
