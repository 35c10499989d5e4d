import asyncio
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest

from batchproof_server.base.listener import PortUnavailable
from batchproof_server.observing.prometheus.serving import Metrics
from batchproof_server.web.desk import HttpLimits
from batchproof_server.web.operations import HttpServer
from batchproof_server.web.pages import Pages
from support.patience import HOPELESS_S, PATIENCE_S

TEXT = "text/plain; charset=utf-8"
INNER_TEXT = "/secret/path"


@dataclass
class State:
    """What the pages say; a test changes it."""

    alive: bool = True
    ready: bool = True
    body: Callable[[], bytes] = lambda: b"series 1\n"
    failures: list[Exception] = field(default_factory=list)
    failed: threading.Event = field(default_factory=threading.Event)
    accepts: list[str] = field(default_factory=list)

    def pages(self) -> Pages:
        """Returns the pages of this state."""
        return Pages(self._exposition, lambda: self.alive, lambda: self.ready)

    def on_failure(self, failure: Exception) -> None:
        """Remembers it."""
        self.failures.append(failure)
        self.failed.set()

    def _exposition(self, accept: str) -> tuple[bytes, str]:
        self.accepts.append(accept)
        return self.body(), "text/metrics"


@contextmanager
def serving(state: State, limits: HttpLimits | None = None) -> Iterator[HttpServer]:
    server = HttpServer(state.pages(), state.on_failure, limits)
    asyncio.run(server.start("127.0.0.1", 0))
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def server(state: State) -> Iterator[HttpServer]:
    with serving(state) as server:
        yield server


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    body: bytes
    headers: http.client.HTTPMessage


def ask(
    server: HttpServer, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return Reply(response.status, response.read(), response.headers)
    finally:
        connection.close()


def connected(server: HttpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)


def send(server: HttpServer, request: bytes) -> bytes:
    with connected(server) as connection:
        connection.sendall(request)
        return received(connection)


def received(connection: socket.socket) -> bytes:
    reply = b""
    try:
        while part := connection.recv(65536):
            reply += part
    except ConnectionResetError:
        pass
    return reply


def test_the_metrics_are_served_with_their_content_type(server: HttpServer) -> None:
    reply = ask(server, "/metrics")
    assert (reply.status, reply.body) == (200, b"series 1\n")
    assert reply.headers["Content-Type"] == "text/metrics"
    assert reply.headers["Cache-Control"] == "no-store"


def test_the_accept_header_reaches_the_metrics(server: HttpServer, state: State) -> None:
    ask(server, "/metrics", headers={"Accept": "application/openmetrics-text"})
    assert state.accepts == ["application/openmetrics-text"]


def test_a_query_does_not_change_the_page(server: HttpServer) -> None:
    assert ask(server, "/metrics?name=x").status == 200


def test_a_live_server_says_so(server: HttpServer) -> None:
    reply = ask(server, "/livez")
    assert (reply.status, reply.body, reply.headers["Content-Type"]) == (200, b"alive\n", TEXT)


def test_a_server_whose_loop_stands_still_is_not_alive(server: HttpServer, state: State) -> None:
    state.alive = False
    reply = ask(server, "/livez")
    assert reply.status == 503
    assert reply.body == b"not alive: the event loop does not turn\n"


def test_readiness_follows_the_server(server: HttpServer, state: State) -> None:
    assert ask(server, "/readyz").body == b"ready\n"
    state.ready = False
    reply = ask(server, "/readyz")
    assert reply.status == 503
    assert reply.body == b"not ready: requests are not answered now\n"


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz"])
def test_head_answers_as_get_without_the_body(server: HttpServer, path: str) -> None:
    get, head = ask(server, path), ask(server, path, "HEAD")
    assert (head.status, head.body) == (get.status, b"")
    assert head.headers["Content-Length"] == str(len(get.body))


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metric", "/../etc/passwd", "*"])
def test_any_other_path_is_not_found(server: HttpServer, path: str) -> None:
    reply = ask(server, path)
    assert reply.status == 404
    assert reply.body == b"not found, expected one of /metrics, /livez, /readyz\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "NONSENSE"])
def test_any_other_method_is_refused(server: HttpServer, method: str) -> None:
    reply = ask(server, "/metrics", method)
    assert reply.status == 405
    assert reply.headers["Allow"] == "GET, HEAD"


def test_a_failing_page_tells_the_caller_nothing(server: HttpServer, state: State) -> None:
    def fail() -> bytes:
        raise OSError(INNER_TEXT)

    state.body = fail
    reply = ask(server, "/metrics")
    assert (reply.status, reply.body) == (500, b"internal error\n")
    assert [str(failure) for failure in state.failures] == [INNER_TEXT]


def test_a_fault_of_our_own_is_told_and_not_sent(server: HttpServer, state: State) -> None:
    state.body = lambda: None  # type: ignore[assignment, return-value]
    assert send(server, b"GET /metrics HTTP/1.1\r\n\r\n") == b""
    assert state.failed.wait(PATIENCE_S)
    assert isinstance(state.failures[0], TypeError)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"<script>\r\n\r\n",
        b"GET /livez HTTP/9.x\r\n\r\n",
        b"GET /livez HTTP/2.0\r\n\r\n",
        b"\xff\xfe\xfd\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    ],
)
def test_what_is_not_http_gets_a_plain_answer(server: HttpServer, request_bytes: bytes) -> None:
    reply = send(server, request_bytes)
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.split()[1][:1] in (b"4", b"5")
    assert b"script" not in reply
    assert body.count(b"\n") == 1


def test_an_answer_does_not_name_the_software_below(server: HttpServer) -> None:
    reply = send(server, b"GET /livez HTTP/1.1\r\n\r\n")
    assert b"Python" not in reply
    assert b"BaseHTTP" not in reply


def test_a_connection_is_closed_after_its_answer(server: HttpServer) -> None:
    reply = send(server, b"GET /livez HTTP/1.1\r\n\r\nGET /readyz HTTP/1.1\r\n\r\n")
    assert reply.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in reply


def test_a_client_that_says_nothing_gets_nothing(server: HttpServer, state: State) -> None:
    with connected(server) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert received(connection) == b""
    assert state.failures == []


def test_a_head_over_the_limit_is_not_read(server: HttpServer, state: State) -> None:
    assert send(server, b"GET /livez HTTP/1.1\r\nx: " + b"y" * 9000) == b""
    assert state.failures == []


def test_a_slow_client_is_sent_away(state: State) -> None:
    with (
        serving(state, HttpLimits(request_s=HOPELESS_S)) as server,
        connected(server) as slow,
    ):
        slow.sendall(b"GET /livez HT")
        assert received(slow) == b""
    assert state.failures == []


def test_a_slow_client_does_not_make_others_wait(server: HttpServer) -> None:
    with connected(server) as slow:
        slow.sendall(b"GET /metr")
        assert ask(server, "/livez").status == 200


def test_a_slow_scrape_does_not_make_the_probes_wait(state: State) -> None:
    go_on, started = threading.Event(), threading.Event()

    def wait() -> bytes:
        started.set()
        assert go_on.wait(PATIENCE_S)
        return b""

    state.body = wait
    with serving(state) as server:
        scrapes = [threading.Thread(target=ask, args=(server, "/metrics")) for _ in range(3)]
        for each in scrapes:
            each.start()
        assert started.wait(PATIENCE_S)
        assert ask(server, "/livez").status == 200
        go_on.set()
        for each in scrapes:
            each.join()
    assert len(state.accepts) == 3


def test_slow_clients_do_not_pile_up(state: State) -> None:
    before = threading.active_count()
    with (
        serving(state, HttpLimits(request_s=PATIENCE_S, connections=3)) as server,
        ExitStack() as clients,
    ):
        slow = [clients.enter_context(connected(server)) for _ in range(20)]
        assert ask(server, "/livez").status == 200
        # Each newcomer closed the oldest, so only the last ones can still be open.
        assert [received(each) for each in slow[:-3]] == [b""] * 17
        assert threading.active_count() <= before + 20


def test_stopping_closes_the_port_and_every_connection(state: State) -> None:
    with serving(state, HttpLimits(request_s=PATIENCE_S)) as server:
        port = server.port
        assert ask(server, "/livez").status == 200
        idle = connected(server)
        assert ask(server, "/livez").status == 200
    with idle:
        assert received(idle) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def test_stopping_twice_and_stopping_what_never_ran_are_harmless(state: State) -> None:
    server = HttpServer(state.pages(), state.on_failure)
    server.close()
    asyncio.run(server.start("127.0.0.1", 0))
    server.close()
    server.close()
    with pytest.raises(RuntimeError, match="the HTTP port is not open"):
        _ = server.port


def test_a_port_in_use_is_an_error_of_start(server: HttpServer, state: State) -> None:
    second = HttpServer(state.pages(), state.on_failure)
    sentence = f"HTTP cannot listen on 127.0.0.1:{server.port}: it is taken"
    with pytest.raises(PortUnavailable, match=sentence) as refused:
        asyncio.run(second.start("127.0.0.1", server.port))
    assert "in use" in str(refused.value.__cause__)


def test_version_6_addresses_are_served(state: State) -> None:
    server = HttpServer(state.pages(), state.on_failure)
    asyncio.run(server.start("::1", 0))
    try:
        with socket.create_connection(("::1", server.port), timeout=PATIENCE_S) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
            assert received(connection).endswith(b"alive\n")
    finally:
        server.close()


def test_the_real_metrics_come_through(state: State) -> None:
    metrics = Metrics("0.1.0")
    pages = Pages(metrics.exposition, lambda: True, lambda: True)
    server = HttpServer(pages, state.on_failure)
    asyncio.run(server.start("127.0.0.1", 0))
    try:
        reply = ask(server, "/metrics", headers={"Accept": "application/openmetrics-text"})
    finally:
        server.close()
    assert b'batchproof_build_info{version="0.1.0"} 1.0\n' in reply.body
    assert reply.headers["Content-Type"].startswith("application/openmetrics-text")
