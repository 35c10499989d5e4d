"""Under which names the web port answers: nobody can make a name that points here, and read it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from batchproof_server.application.config import Config
from batchproof_server.web.settings import WebSettings
from support.bundles_on_disk import RAW, write_bundle
from support.rest import ask, conversation
from support.running import Running, running

REBOUND = ("rebound.example", "127.0.0.1.rebound.example:8501", "localhost.rebound.example", "a b")
READ = ("/v1/models", "/v2", "/v2/models/iris", "/v2/health/ready", "/nothing", "/")


@pytest.mark.parametrize("host", REBOUND)
async def test_a_name_that_anybody_can_make_reads_nothing_of_an_open_port(
    tmp_path: Path, host: str
) -> None:
    async with open_port(tmp_path) as serving:
        for path in READ:
            reply = await ask(serving.web, path, headers={"Host": host})
            assert reply.status in {400, 421}, path
            assert b"model" not in reply.body.replace(b"models.example", b"")


@pytest.mark.parametrize("host", ["LocalHost:80", "127.0.0.1:1", "[::1]", "Models.Example:8501"])
async def test_known_names_are_answered(tmp_path: Path, host: str) -> None:
    async with open_port(tmp_path, allow_hosts=("models.example",)) as serving:
        assert (await ask(serving.web, "/v2", headers={"Host": host})).status == 200


async def test_the_name_of_an_allowed_origin_is_known(tmp_path: Path) -> None:
    async with open_port(tmp_path, allow_origins=("https://app.example:8443",)) as serving:
        for host, status in (("app.example", 200), ("other.example", 421)):
            assert (await ask(serving.web, "/v2", headers={"Host": host})).status == status


async def test_where_callers_are_asked_any_name_will_do(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    async with open_port(tmp_path / "models", token_file=str(token)) as serving:
        headers = {"Host": "models.example", "Authorization": "Bearer 0123456789abcdef"}
        assert (await ask(serving.web, "/v2", headers=headers)).status == 200


async def test_who_names_no_host_is_answered_which_no_browser_is(tmp_path: Path) -> None:
    async with open_port(tmp_path) as serving, conversation(serving.web) as talk:
        await talk.send(b"GET /v2 HTTP/1.1\r\n\r\n")
        assert (await talk.reply()).status == 200


@asynccontextmanager
async def open_port(
    path: Path,
    *,
    token_file: str = "",
    allow_origins: tuple[str, ...] = (),
    allow_hosts: tuple[str, ...] = (),
) -> AsyncIterator[Running]:
    """A server with the model ``raw``, and these settings of its web port."""
    write_bundle(path / "raw" / "1", RAW)
    web = WebSettings(
        enabled=True, token_file=token_file, allow_origins=allow_origins, allow_hosts=allow_hosts
    )
    async with running(path, Config(web=web)) as serving:
        yield serving
