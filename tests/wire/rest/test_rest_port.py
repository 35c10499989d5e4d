"""The web port itself: what a connection may do, who is let in, deadlines, limits, and its end."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batchproof_server.application.config import Config
from batchproof_server.application.ports import drain_ports
from batchproof_server.rpc.settings import RpcSettings
from batchproof_server.web.rest import connection
from batchproof_server.web.rest.port import RestPort
from batchproof_server.web.settings import WebSettings
from support.bundles_on_disk import RAW, write_bundle
from support.fakes import GatedBackend, until
from support.patience import HOPELESS_S, PATIENCE_S
from support.rest import RestConversation, ask, conversation, request_bytes
from support.running import Running, running

ROW = {"instances": [[1, 2, 3, 4]]}
PATH = "/v1/models/raw:predict"
ANSWER = {"predictions": [[3, 5, 7]]}
ASKED = request_bytes(PATH, json.dumps(ROW).encode(), "POST", {})
SLOW_PATH = "/v1/models/slow:predict"


@asynccontextmanager
async def web_port(
    path: Path, rpc: RpcSettings | None = None, gated: Any = None, **keys: Any
) -> AsyncIterator[Running]:
    """A server with the model ``raw`` (or gated ones), and these settings of its web port."""
    if gated is None:
        write_bundle(path / "raw" / "1", RAW)
    else:
        write_bundle(path / "slow" / "1", RAW, shape=(1,))
    config = Config(rpc=rpc or RpcSettings(), web=WebSettings(enabled=True, **keys))
    async with running(path, config, gated=gated) as serving:
        yield serving


def port_of(serving: Running) -> RestPort:
    """The port."""
    (port,) = [each.listener for each in serving.server.ports if each.name == "web"]
    assert isinstance(port, RestPort)
    return port


async def test_a_connection_is_kept(web: str) -> None:
    async with conversation(web) as talk:
        for _ in range(3):
            assert (await talk.ask("/v2/health/live")).status == 200
            assert (await talk.ask("/nothing")).status == 404
        last = await talk.ask("/v2/health/live", headers={"Connection": "close"})
        assert last.headers["connection"] == "close"
        assert await talk.end() == b""


async def test_requests_that_come_at_once_are_answered_in_their_order(web: str) -> None:
    bodies = [json.dumps({"instances": [[n, 0, 0, 0]]}).encode() for n in range(5)]
    requests = [request_bytes(PATH, each, "POST", {}) for each in bodies]
    requests.insert(2, request_bytes("/nothing", b"", "GET", {}))
    async with conversation(web) as talk:
        await talk.send(b"".join(requests))
        replies = [await talk.reply() for _ in requests]
    assert [each.status for each in replies] == [200, 200, 404, 200, 200, 200]
    firsts = [each.json()["predictions"][0][0] for each in replies if each.status == 200]
    assert firsts == [1, 3, 5, 7, 9]


async def test_too_many_at_once_end_the_connection(web: str) -> None:
    async with conversation(web) as talk:
        await talk.send(request_bytes("/v2/health/live", b"", "GET", {}) * 40)
        statuses = [(await talk.reply()).status for _ in range(17)]
        assert statuses == [200] * 16 + [400]
        assert await talk.end() == b""


async def test_a_body_may_come_in_pieces_and_in_chunks(web: str) -> None:
    content = json.dumps(ROW).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    async with conversation(web) as talk:
        await talk.send(head)
        for byte in content:
            await talk.send(b"1\r\n" + bytes([byte]) + b"\r\n")
        await talk.send(b"0\r\nX-Trailer: x\r\n\r\n")
        assert (await talk.reply()).json() == ANSWER
        for place in range(len(ASKED)):
            await talk.send(ASKED[place : place + 1])
            await asyncio.sleep(0)
        assert (await talk.reply()).json() == ANSWER


@pytest.mark.parametrize(
    "content",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
async def test_what_is_no_request_is_refused_and_ends_the_connection(
    serving: Running, content: bytes
) -> None:
    async with conversation(serving.web) as talk:
        await talk.send(content)
        reply = await talk.reply()
        assert reply.status in {400, 413}
        assert reply.headers["connection"] == "close"
        assert await talk.end() == b""
    assert serving.log.unforeseen() == []


async def test_what_comes_behind_a_good_request_does_not_harm_it(web: str) -> None:
    async with conversation(web) as talk:
        await talk.send(ASKED + b"\x00\x01\x02 nonsense\r\n\r\n")
        assert (await talk.reply()).json() == ANSWER
        assert (await talk.reply()).status == 400


async def test_an_upgrade_is_not_done_and_the_request_answered(web: str) -> None:
    headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "x"}
    reply = await ask(web, "/v2/health/live", headers=headers)
    assert (reply.status, reply.headers["connection"]) == (200, "close")


@pytest.mark.parametrize("pieces", [1, 50])
async def test_a_head_that_is_too_large_is_refused(tmp_path: Path, pieces: int) -> None:
    async with web_port(tmp_path, max_head_bytes=1_000) as serving:
        async with conversation(serving.web) as talk:
            await talk.send(b"GET /v2 HTTP/1.1\r\nX-Long: ")
            for _ in range(pieces):
                await talk.send(b"x" * (2_000 // pieces))
            await talk.send(b"\r\n\r\n")
            assert (await talk.reply()).status == 431
        async with conversation(serving.web) as talk:
            await talk.send(b"GET /v2 HTTP/1.1\r\n" + b"a: b\r\n" * 150 + b"\r\n")
            assert (await talk.reply()).status == 431


async def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(
    tmp_path: Path,
) -> None:
    async with web_port(tmp_path, RpcSettings(max_message_bytes=1_000)) as serving:
        async with conversation(serving.web) as talk:
            await talk.send(
                f"POST {PATH} HTTP/1.1\r\nContent-Length: 1001\r\n"
                "Expect: 100-continue\r\n\r\n".encode()
            )
            reply = await talk.reply()
            assert (reply.status, "max_message_bytes" in reply.error) == (413, True)
        async with conversation(serving.web) as talk:
            head = f"POST {PATH} HTTP/1.1\r\nContent-Length: {len(json.dumps(ROW))}\r\n"
            await talk.send(f"{head}Expect: 100-continue\r\n\r\n".encode())
            assert (await talk.reply()).status == 100
            await talk.send(json.dumps(ROW).encode())
            assert (await talk.reply()).json() == ANSWER


@pytest.mark.parametrize("chunk", [b"1\r\nx\r\n", b"80\r\n" + b"x" * 128 + b"\r\n"])
async def test_chunks_are_counted(tmp_path: Path, chunk: bytes) -> None:
    async with (
        web_port(tmp_path, RpcSettings(max_message_bytes=1_000)) as serving,
        conversation(serving.web) as talk,
    ):
        await talk.send(f"POST {PATH} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        await talk.send(chunk * 4_000)
        assert (await talk.reply()).status == 413


async def test_a_body_without_pictures_and_tensors_is_small_however_it_comes(
    tmp_path: Path,
) -> None:
    path = "/v2/repository/index"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    async with web_port(tmp_path) as serving:
        async with conversation(serving.web) as talk:
            await talk.send(f"POST {path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            await talk.send(chunk * 17)
            reply = await talk.reply()
            assert (reply.status, "1048576 at most" in reply.error) == (413, True)
        packed = gzip.compress(bytes(2_000_000))
        reply = await ask(serving.web, path, packed, headers={"Content-Encoding": "gzip"})
        assert (reply.status, "1048576 at most" in reply.error) == (400, True)


async def test_trailers_without_end_are_refused(tmp_path: Path) -> None:
    async with (
        web_port(tmp_path, RpcSettings(max_message_bytes=1_000)) as serving,
        conversation(serving.web) as talk,
    ):
        await talk.send(f"POST {PATH} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        await talk.send(b"1\r\nx\r\n0\r\n")
        for _ in range(100):
            await talk.send(b"X-Trailer: " + b"x" * 1_000 + b"\r\n")
        assert (await talk.reply()).status == 413


async def test_a_bomb_of_gzip_is_unpacked_no_further_than_the_limit(tmp_path: Path) -> None:
    async with web_port(tmp_path, RpcSettings(max_message_bytes=100_000)) as serving:
        headers = {"Content-Encoding": "gzip"}
        for size_bytes, says in ((50_000_000, "after decompression"), (90_000, "no JSON")):
            bomb = gzip.compress(bytes(size_bytes))
            reply = await ask(serving.web, PATH, bomb, headers=headers)
            assert (reply.status, says in reply.error) == (400, True), reply.body


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("br", b"x", 415),
        ("gzip", b"x", 400),
        ("gzip", gzip.compress(b"{}")[:-4], 400),
        ("gzip", gzip.compress(b"{}") + b"x", 400),
        ("identity", json.dumps(ROW).encode(), 200),
    ],
)
async def test_encodings_are_known_or_refused(
    web: str, encoding: str, body: bytes, status: int
) -> None:
    reply = await ask(web, PATH, body, headers={"Content-Encoding": encoding})
    assert reply.status == status


async def test_bytes_of_all_bodies_are_bounded(tmp_path: Path) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nContent-Length: 90000\r\n\r\n".encode()
    async with web_port(tmp_path, max_bytes_in_flight=100_000) as serving, AsyncExitStack() as held:
        first = await held.enter_async_context(conversation(serving.web))
        await first.send(head + b"x" * 80_000)
        await until(lambda: not port_of(serving).bodies.take(30_000) or _put_back(serving, 30_000))
        second = await held.enter_async_context(conversation(serving.web))
        await second.send(head + b"x" * 80_000)
        reply = await second.reply()
        assert (reply.status, reply.headers["retry-after"]) == (429, "1")
        await first.send(b"x" * 10_000)
        assert (await first.reply()).status == 400  # no JSON, but read
        packed = gzip.compress(bytes(200_000))
        reply = await ask(serving.web, PATH, packed, headers={"Content-Encoding": "gzip"})
        assert reply.status == 429
        await until(lambda: port_of(serving).bodies.take(100_000))  # all is given back


def _put_back(serving: Running, size_bytes: int) -> bool:
    port_of(serving).bodies.give_back(size_bytes)
    return False


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"GET /v2 HT", 408), (ASKED[:-2], 408), (b"", None)],
)
async def test_slow_callers_are_told_so_and_given_up(
    tmp_path: Path, sent: bytes, status: int | None
) -> None:
    patience: dict[str, Any] = {"head_timeout_s": HOPELESS_S, "body_timeout_s": HOPELESS_S}
    async with web_port(tmp_path, **patience) as serving, conversation(serving.web) as talk:
        await talk.send(sent)
        if status is not None:
            assert (await talk.reply()).status == status
        assert await talk.end() == b""


async def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    async with (
        web_port(tmp_path, idle_timeout_s=HOPELESS_S) as serving,
        conversation(serving.web) as talk,
    ):
        assert (await talk.ask("/v2/health/live")).status == 200
        assert await talk.end() == b""


async def test_the_slowest_gives_way_and_honest_callers_are_answered(tmp_path: Path) -> None:
    async with (
        web_port(tmp_path, max_connections=8, head_timeout_s=PATIENCE_S) as serving,
        AsyncExitStack() as held,
    ):
        for _ in range(40):
            talk = await held.enter_async_context(conversation(serving.web))
            await talk.send(b"GET /v2 HTTP/1.1\r\nX-Slow: ")
        for _ in range(5):
            assert (await ask(serving.web, PATH, ROW)).json() == ANSWER
        assert len(port_of(serving)._open) <= 8


async def test_one_whose_request_is_answered_never_gives_way(tmp_path: Path) -> None:
    gate = GatedBackend(1)
    async with (
        web_port(tmp_path, gated={"slow": gate}, max_connections=1) as serving,
        conversation(serving.web) as talk,
    ):
        asked = asyncio.ensure_future(talk.ask(SLOW_PATH, {"inputs": {"x": [[1.0]]}}))
        await until(lambda: not serving.server.pressure.is_idle)
        async with conversation(serving.web) as other:
            reply = await other.reply()
            assert (reply.status, "too many connections" in reply.error) == (503, True)
        gate.release(10)
        assert (await asked).status == 200


async def send_on(talk: RestConversation) -> None:
    """Sends what nobody reads until the connection is gone."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await talk.send(b"x")
            await asyncio.sleep(0)


async def test_who_finds_no_room_and_stays_is_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_LINGER_S", HOPELESS_S)
    gate = GatedBackend(1)
    async with (
        web_port(tmp_path, gated={"slow": gate}, max_connections=1) as serving,
        conversation(serving.web) as talk,
    ):
        asked = asyncio.ensure_future(talk.ask(SLOW_PATH, {"inputs": {"x": [[1.0]]}}))
        await until(lambda: not serving.server.pressure.is_idle)
        async with conversation(serving.web) as other:
            assert (await other.reply()).status == 503
            with pytest.raises(ConnectionError):
                await send_on(other)
        gate.release(10)
        assert (await asked).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Request-Timeout": f"{HOPELESS_S}"},
        {"grpc-timeout": f"{round(HOPELESS_S * 1000)}m"},
        {"grpc-timeout": "1H", "X-Request-Timeout": "0.05"},
    ],
)
async def test_a_deadline_in_a_header_ends_a_request(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    async with web_port(tmp_path, gated={"slow": GatedBackend(1)}) as serving:
        body = {"inputs": {"x": [[1.0]]}}
        reply = await ask(serving.web, SLOW_PATH, body, headers=headers)
        assert (reply.status, "deadline" in reply.error) == (504, True), reply.body
        assert await serving.log.ended(1) == ["DEADLINE_EXCEEDED"]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Request-Timeout": "soon"},
        {"X-Request-Timeout": "-1"},
        {"X-Request-Timeout": "nan"},
        {"X-Request-Timeout": "inf"},
        {"grpc-timeout": "5"},
        {"grpc-timeout": "123456789S"},
        {"grpc-timeout": "1m,1m"},
    ],
)
async def test_a_timeout_that_is_none_is_refused(web: str, headers: dict[str, str]) -> None:
    assert (await ask(web, PATH, ROW, headers=headers)).status == 400


async def test_a_caller_that_goes_away_is_cancelled(tmp_path: Path) -> None:
    async with web_port(tmp_path, gated={"slow": GatedBackend(1)}) as serving:
        async with conversation(serving.web) as talk:
            body = json.dumps({"inputs": {"x": [[1.0]]}}).encode()
            await talk.send(request_bytes(SLOW_PATH, body, "POST", {}))
            await until(lambda: not serving.server.pressure.is_idle)
        assert await serving.log.ended(1) == ["CANCELLED"]


async def test_a_full_server_says_when_to_come_again(tmp_path: Path) -> None:
    gate, body = GatedBackend(1), {"inputs": {"x": [[1.0]]}}
    limits = RpcSettings(max_concurrent_requests=1)
    async with web_port(tmp_path, limits, gated={"slow": gate}) as serving:
        first = asyncio.ensure_future(ask(serving.web, SLOW_PATH, body))
        await until(lambda: not serving.server.pressure.is_idle)
        reply = await ask(serving.web, SLOW_PATH, body)
        assert (reply.status, int(reply.headers["retry-after"]) >= 1) == (429, True)
        async with conversation(serving.web) as talk:  # refused at its head, without its body
            await talk.send(f"POST {SLOW_PATH} HTTP/1.1\r\nContent-Length: 99\r\n\r\n".encode())
            assert (await talk.reply()).status == 429
        gate.release(10)
        assert (await first).status == 200


async def test_an_id_is_the_callers_or_ours(web: str) -> None:
    given = await ask(web, PATH, ROW, headers={"X-Request-Id": "mine"})
    assert given.headers["x-request-id"] == "mine"
    assert len((await ask(web, PATH, ROW)).headers["x-request-id"]) == 32
    assert (await ask(web, PATH, ROW, headers={"X-Request-Id": "x" * 200})).status == 400


async def test_pages_of_other_origins_are_refused(tmp_path: Path) -> None:
    async with web_port(tmp_path) as serving:
        reply = await ask(serving.web, PATH, ROW, headers={"Origin": "https://evil.example"})
        assert reply.status == 403
        assert not any(name.startswith("access-control") for name in reply.headers)


async def test_pages_of_an_allowed_origin_may_ask_and_read(tmp_path: Path) -> None:
    origin = "https://app.example"
    async with web_port(tmp_path, allow_origins=(origin,)) as serving:
        headers = {"Origin": origin, "Access-Control-Request-Headers": "content-type"}
        may = await ask(serving.web, PATH, verb="OPTIONS", headers=headers)
        assert (may.status, may.headers["access-control-allow-headers"]) == (204, "content-type")
        for body, status in ((ROW, 200), ([], 400)):
            reply = await ask(serving.web, PATH, body, headers={"Origin": origin})
            assert reply.status == status
            assert reply.headers["access-control-allow-origin"] == origin
        other = await ask(serving.web, PATH, ROW, headers={"Origin": "https://evil.example"})
        assert other.status == 403


async def test_callers_bring_the_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    async with web_port(tmp_path / "models", token_file=str(token)) as serving:
        for authorization, status in (
            ("Bearer 0123456789abcdef", 200),
            ("bearer 0123456789abcdef", 200),
            ("Bearer 0123456789abcdeF", 401),
            ("Basic 0123456789abcdef", 401),
            ("", 401),
        ):
            headers = {"Authorization": authorization}
            assert (await ask(serving.web, PATH, ROW, headers=headers)).status == status
        async with conversation(serving.web) as talk:  # before the body is there
            await talk.send(f"POST {PATH} HTTP/1.1\r\nContent-Length: 99\r\n\r\n".encode())
            reply = await talk.reply()
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")


async def test_while_it_drains_what_was_accepted_is_answered_and_the_rest_refused(
    tmp_path: Path,
) -> None:
    gate, body = GatedBackend(1), {"inputs": {"x": [[1.0]]}}
    async with (
        web_port(tmp_path, gated={"slow": gate}) as serving,
        conversation(serving.web) as idle,
    ):
        assert (await idle.ask("/v2/health/live")).status == 200
        asked = asyncio.ensure_future(ask(serving.web, SLOW_PATH, body))
        await until(lambda: not serving.server.pressure.is_idle)
        draining = asyncio.ensure_future(serving.server.drain())
        await until(lambda: port_of(serving).is_draining)
        late = await idle.ask(SLOW_PATH, body)
        assert (late.status, late.headers["connection"]) == (503, "close")
        gate.release(10)
        reply = await asked
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await draining
        with pytest.raises(ConnectionRefusedError):
            await ask(serving.web, "/v2/health/live")


async def test_half_requests_do_not_hold_up_the_end(tmp_path: Path) -> None:
    async with web_port(tmp_path) as serving, conversation(serving.web) as talk:
        await talk.send(ASKED[:-2])
        await until(lambda: bool(port_of(serving)._open))
        await drain_ports(serving.server.ports, 0)
        assert not port_of(serving)._open


async def test_the_port_is_off_by_default(tmp_path: Path) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW)
    config = Config()
    assert not replace(config).web.enabled
    async with running(tmp_path, config) as serving:
        assert serving.web == ""
