"""The page over a real port: what is answered under its paths, to whom, and with which headers."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from batchproof_server.application.config import Config
from batchproof_server.callers.settings import CallerSettings
from batchproof_server.diagnosis.page import STYLE
from batchproof_server.web.settings import WebSettings
from support.bundles_on_disk import PICTURES, RAW, picture, write_bundle
from support.callers import TokensOnDisk
from support.fakes import until
from support.rest import Reply, conversation, request_bytes
from support.running import Running, running

SIDE = 6
HOSTILE = '<img src=x onerror="alert(1)">\u202etac'
FILES = ("/", "/site/site.js", "/site/site.css")
PIECES = ("/site/models", "/site/model?model=colours", "/site/live", "/site/drift")
TOKEN = "of-the-page-0123456789"  # noqa: S105 - of this test alone


def write_models(path: Path) -> None:
    colours = write_bundle(path / "colours" / "3", PICTURES, shape=(SIDE, SIDE, 3), scale=0.01)
    (colours / "labels.txt").write_text(f"{HOSTILE}\ngreen\nblue\n")
    write_bundle(path / "raw" / "1", RAW)


def with_site(**more: object) -> Config:
    return Config(web=WebSettings(enabled=True, site=True, **more))  # type: ignore[arg-type] # settings


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Running]:
    write_models(tmp_path)
    async with running(tmp_path, with_site()) as started:
        yield started


async def get(web: str, path: str, verb: str = "", **headers: str) -> Reply:
    """As a browser does, with the host that it shows in its address bar."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = request_bytes(path, b"", verb or "GET", {"Host": web, **named})
    async with conversation(web) as talk:
        await talk.send(content)
        return await talk.reply(has_body=verb != "HEAD")


async def post(web: str, path: str, body: bytes, **headers: str) -> Reply:
    named = {"Host": web, "Origin": f"http://{web}", **headers}
    async with conversation(web) as talk:
        await talk.send(request_bytes(path, body, "POST", named))
        return await talk.reply()


class Elements(HTMLParser):
    """Which elements a piece of HTML has, and its text."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: list[str] = []
        self.text = ""
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.tags.append(tag)
        self.names += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        """Some text."""
        self.text += data


@pytest.mark.parametrize("path", [*FILES, *PIECES, "/site/nothing"])
async def test_every_answer_bears_a_strict_policy(site: Running, path: str) -> None:
    reply = await get(site.web, path)
    assert reply.status == (404 if path == "/site/nothing" else 200)
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in policy
    assert "*" not in policy
    assert "frame-ancestors 'none'" in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize("path", FILES)
async def test_files_are_read_and_nothing_else(site: Running, path: str) -> None:
    head, whole = await get(site.web, path, "HEAD"), await get(site.web, path)
    assert head.headers["content-length"] == str(len(whole.body))
    refused = await get(site.web, path, "DELETE")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")


async def test_the_page_has_no_script_style_or_address_of_its_own(site: Running) -> None:
    page = (await get(site.web, "/")).body
    found = Elements(page)
    assert not {name for name in found.names if name == "style" or name.startswith("on")}
    assert "style" not in found.tags
    assert not re.search(rb"https?://|//", page)
    assert re.findall(rb"<script[^>]*>(.*?)</script>", page) == [b""]
    assert STYLE.encode() in (await get(site.web, "/site/site.css")).body


async def test_without_the_setting_there_is_no_page(tmp_path: Path) -> None:
    write_models(tmp_path)
    async with running(tmp_path, Config(web=WebSettings(enabled=True))) as started:
        for path in ("/", *PIECES):
            assert (await get(started.web, path)).status == 404
        own = await get(started.web, "/v1/models/colours", Origin=f"http://{started.web}")
        assert own.status == 403


async def test_models_come_with_state_and_certificate(site: Running) -> None:
    models = Elements((await get(site.web, "/site/models")).body)
    assert re.search(r"colours\s+3 \(default\)\s+ready\s+proven", models.text)
    model = Elements((await get(site.web, "/site/model?model=colours&version=3")).body)
    assert "proven, strict" in model.text
    assert '"verdict": "proven"' in model.text


async def test_a_picture_is_answered_with_its_views(site: Running) -> None:
    reply = await post(site.web, "/site/answer?model=colours&tta=flip", picture(size=SIDE))
    answer = Elements(reply.body)
    assert reply.status == 200, reply.body
    assert "hflip" in answer.text
    assert "meter" in answer.tags
    assert answer.text.count("0.500") == 2


async def test_what_comes_from_outside_is_text(site: Running) -> None:
    answer = await post(site.web, "/site/answer?model=colours", picture(size=SIDE))
    named = f"/site/diagnosis?model=colours&name={'%3Cb%3Eevil'}"
    diagnosis = await post(site.web, named, picture(size=SIDE))
    for reply in (answer, diagnosis):
        found = Elements(reply.body)
        assert reply.status == 200, reply.body
        assert not {"onerror", "onload"} & set(found.names)
        assert "\u202e" not in reply.body.decode()
        assert "<b>evil" not in reply.body.decode()
    assert "img" not in Elements(answer.body).tags
    assert '<img src=x onerror="alert(1)">\\u202etac' in Elements(answer.body).text


async def test_a_model_of_raw_numbers_says_where_to_ask(site: Running) -> None:
    reply = await get(site.web, "/site/model?model=raw")
    assert "it takes tensors only" in Elements(reply.body).text


@pytest.mark.parametrize("path", ["/site/answer", "/site/diagnosis"])
@pytest.mark.parametrize("content", [b"", b"no picture", picture(size=SIDE)[:45]], ids=len)
async def test_what_is_no_picture_is_refused_in_words(
    site: Running, path: str, content: bytes
) -> None:
    reply = await post(site.web, f"{path}?model=colours", content)
    assert reply.status == 400
    assert re.search("picture|image|png", reply.error)


@pytest.mark.parametrize("path", [*PIECES, "/site/answer", "/site/diagnosis"])
async def test_unknown_options_are_refused(site: Running, path: str) -> None:
    more = f"{path}{'&' if '?' in path else '?'}colour=red"
    asking = get(site.web, more) if path in PIECES else post(site.web, more, b"x")
    reply = await asking
    assert reply.status == 400
    assert 'unknown option "colour"' in reply.error


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "a,b"])
async def test_a_name_that_anybody_can_make_shows_nothing(site: Running, host: str) -> None:
    for path in (*FILES, *PIECES):
        reply = await get(site.web, path, Host=host)
        assert reply.status in {400, 421}
        assert b"colours" not in reply.body


@pytest.mark.parametrize("host", ["localhost:8501", "127.0.0.1", "[::1]:8501", "10.0.0.7:80"])
async def test_addresses_are_this_server_beyond_doubt(site: Running, host: str) -> None:
    assert (await get(site.web, "/site/models", Host=host)).status == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://{}", "http://127.0.0.1:1", "http://localhost"],
)
async def test_pages_of_elsewhere_may_not_ask(site: Running, origin: str) -> None:
    reply = await post(site.web, "/site/answer", b"x", Origin=origin.format(site.web))
    assert reply.status == 403
    assert "access-control-allow-origin" not in reply.headers


async def test_an_origin_that_was_allowed_has_the_page_under_its_name(tmp_path: Path) -> None:
    write_models(tmp_path)
    config = with_site(allow_origins=("http://models.example",))
    async with running(tmp_path, config) as started:
        assert (await get(started.web, "/site/models", Host="models.example")).status == 200
        assert (await get(started.web, "/site/models", Host="other.example")).status == 421


async def test_the_word_of_the_port_opens_the_pieces_and_not_the_files(tmp_path: Path) -> None:
    write_models(tmp_path / "models")
    (tmp_path / "token").write_text(TOKEN)
    config = with_site(token_file=str(tmp_path / "token"))
    async with running(tmp_path / "models", config) as started:
        for path in FILES:
            assert (await get(started.web, path)).status == 200
        for path in PIECES:
            assert (await get(started.web, path)).status == 401
            bearer = f"Bearer {TOKEN}"
            assert (await get(started.web, path, Authorization=bearer)).status == 200
        assert (await post(started.web, "/site/answer", b"x")).status == 401


async def test_callers_may_on_the_page_what_they_may_elsewhere(tmp_path: Path) -> None:
    write_models(tmp_path / "models")
    tokens = TokensOnDisk(tmp_path / "tokens", "reader")
    access = tokens.access({"reader": CallerSettings(methods=("read",))})
    async with running(tmp_path / "models", replace(with_site(), access=access)) as started:
        ((_, bearer),) = tokens.bearing("reader")
        for path in PIECES:
            assert (await get(started.web, path)).status == 401
            assert (await get(started.web, path, Authorization=bearer)).status == 200
        for path in ("/site/answer", "/site/diagnosis"):
            reply = await post(started.web, path, picture(size=SIDE), Authorization=bearer)
            assert reply.status == 403


async def test_a_picture_is_counted_as_everybodys(site: Running) -> None:
    await post(site.web, "/site/answer?model=colours", picture(size=SIDE))
    live = (await get(site.web, "/site/live")).json()["model_stats"]
    (colours,) = [each for each in live if each["name"] == "colours"]
    assert colours["inference_stats"]["success"]["count"] == 1
    assert sum(colours["answer_times"]) == 1
    methods = [each["method"] for each in site.log.requests()]
    assert methods[0] == "rest.Predict"


async def test_a_diagnosis_ends_when_its_page_is_left(site: Running) -> None:
    pressure = site.server.pressure
    pressure.begin_request("somebody else")  # so that it waits
    named = {"Host": site.web}
    content = request_bytes("/site/diagnosis?model=colours", picture(size=SIDE), "POST", named)
    async with conversation(site.web) as talk:
        await talk.send(content)
        await until(lambda: pressure.under_way == 2)
    await until(lambda: bool(site.log.requests()))
    pressure.end_request("somebody else")
    (ended,) = site.log.requests()
    assert (ended["method"], ended["code"]) == ("rest.Diagnose", "CANCELLED")
    assert pressure.is_idle
