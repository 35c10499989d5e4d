"""The HTTP port: three pages to read, on threads that touch nothing else.

A page is answered once on a connection, and a connection has a deadline for its request and
another for its answer. When too many are open, the oldest is closed: an honest reader needs a
millisecond, so the oldest is a slow one, and slow ones never keep an honest reader out.
"""

import io
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from batchproof_server.base.clock import MonotonicClock
from batchproof_server.base.listener import PortUnavailable
from batchproof_server.web.pages import METHODS, HttpResponse, Pages, sentence


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one client may take.

    Attributes:
        head_bytes: of the request line and the headers together.
        request_s: from the connection to the end of the headers.
        answer_s: from the first to the last byte of the answer.
        connections: open at the same time.
    """

    head_bytes: int = 8192
    request_s: float = 2.0
    answer_s: float = 5.0
    connections: int = 16


@dataclass(frozen=True, slots=True)
class _Context:
    pages: Pages
    limits: HttpLimits
    on_failure: Callable[[Exception], None]


class HttpServer:
    """Serves the pages between ``start`` and ``close``.

    Args:
        pages: what to answer.
        on_failure: told of an exception in a page; the client only learns that there was one.
        limits: what one client may take.
    """

    def __init__(
        self,
        pages: Pages,
        on_failure: Callable[[Exception], None],
        limits: HttpLimits | None = None,
    ) -> None:
        pages = replace(pages, exposition=_one_at_a_time(pages.exposition))
        self._context = _Context(pages, limits or HttpLimits(), on_failure)
        self._listener: _Acceptor | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is listened on.

        Raises:
            RuntimeError: the server does not run.
        """
        if self._listener is None:
            raise RuntimeError("the HTTP port is not open")
        return int(self._listener.server_address[1])

    async def start(self, host: str, port: int) -> int:
        """Opens the port and answers on a thread of its own; see ``Listener``.

        Raises:
            PortUnavailable: the address cannot be bound.
        """
        try:
            self._listener = _Acceptor((host, port), self._context)
        except OSError as fault:
            raise PortUnavailable(
                f"HTTP cannot listen on {host}:{port}: it is taken or no address of this host"
            ) from fault
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(_POLL_S,), name="http", daemon=True
        )
        self._thread.start()
        return self.port

    async def drain(self, grace_s: float) -> None:
        """Closes the port; a page takes a millisecond, so there is nothing to wait for."""
        del grace_s
        self.close()

    def close(self) -> None:
        """Closes the port and every connection; harmless when the server does not run."""
        if self._listener is None or self._thread is None:
            return
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        self._listener.hang_up()
        self._listener = None


_POLL_S = 0.1


class _Acceptor(ThreadingTCPServer):
    """One thread for each connection, never more open connections than the limit."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], context: _Context) -> None:
        self.context = context
        self._open: dict[socket.socket, None] = {}
        self._open_lock = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open[request] = None
            oldest = next(iter(self._open))
            is_full = len(self._open) > self.context.limits.connections
            if is_full:
                del self._open[oldest]
        if is_full:
            _hang_up(oldest)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Ends every open connection."""
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            _hang_up(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's signature
        failure = sys.exception()
        # A client that went away, or was sent away, is no news.
        if isinstance(failure, Exception) and not isinstance(failure, OSError):
            self.context.on_failure(failure)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request and closes the connection."""

    server: _Acceptor
    protocol_version = "HTTP/1.1"
    server_version = "batchproof"
    sys_version = ""
    default_request_version = "HTTP/1.0"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        limits = self.server.context.limits
        self.rfile = io.BytesIO(_read_head(self.connection, limits))
        self.connection.settimeout(limits.answer_s)

    def handle(self) -> None:
        self.raw_requestline = self.rfile.readline()
        if self.raw_requestline and self.parse_request():
            self._reply(self._answer())

    def _answer(self) -> HttpResponse:
        context = self.server.context
        try:
            return context.pages.answer(self.command, self.path, self.headers.get("Accept", ""))
        except Exception as failure:  # noqa: BLE001 - the client must not see what it was
            context.on_failure(failure)
            return sentence(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")

    def _reply(self, answer: HttpResponse) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", ", ".join(METHODS))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_error(
        self,
        code: int,
        message: str | None = None,  # noqa: ARG002 - it repeats what the client sent
        explain: str | None = None,  # noqa: ARG002 - as above
    ) -> None:
        """Answers what the standard library refuses, without its page."""
        self._reply(sentence(HTTPStatus(code), HTTPStatus(code).phrase.lower()))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Writes no access log."""


def _read_head(connection: socket.socket, limits: HttpLimits) -> bytes:
    """Reads up to the end of the headers; a client that is slower or longer raises OSError."""
    clock = MonotonicClock()
    deadline_s = clock.now_s() + limits.request_s
    head = b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head:
        left_s = deadline_s - clock.now_s()
        if left_s <= 0 or len(head) >= limits.head_bytes:
            raise TimeoutError("the request is too slow or too long")
        connection.settimeout(left_s)
        received = connection.recv(limits.head_bytes - len(head))
        if not received:
            return head
        head += received
    return head


def _one_at_a_time(
    exposition: Callable[[str], tuple[bytes, str]],
) -> Callable[[str], tuple[bytes, str]]:
    """Keeps many scrapes at once from leaving the loop thread a small share of the interpreter."""
    lock = threading.Lock()

    def expose(accept: str) -> tuple[bytes, str]:
        with lock:
            return exposition(accept)

    return expose


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
