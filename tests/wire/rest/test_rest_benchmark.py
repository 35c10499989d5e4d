"""The benchmark of REST measures answers: each of its forms gets one from a server of the model."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from batchproof_server.application.config import Config
from batchproof_server.web.settings import WebSettings
from bundles import write_affine, write_message
from closed_loop import HTTP, over_http, run
from rest import forms
from subjects import Subject
from support.rest import request_bytes
from support.running import Running, running

SHAPE = (3, 4)


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    bundle = write_affine(tmp_path / "models" / "small" / "1", SHAPE)
    return Subject("small", bundle, write_message(tmp_path / "message.bin", SHAPE), SHAPE)


@pytest.fixture
async def small(subject: Subject) -> AsyncIterator[Running]:
    """A server of the subject."""
    repository = subject.bundle.parent.parent
    async with running(repository, Config(web=WebSettings(enabled=True))) as serving:
        yield serving


async def test_every_form_is_answered_without_an_error(small: Running, subject: Subject) -> None:
    for form in forms(subject).values():
        address = small.web if form.method == HTTP else small.address
        figures = await run(address, form.method, form.content, 3, 0.0)
        assert figures["errors"] == 0
        assert figures["requests"] > 3


async def test_a_refusal_is_no_answer(small: Running) -> None:
    request = request_bytes("/v1/models/unknown:predict", b"{}", "POST", {})
    async with over_http(small.web, request, 2) as asks:
        assert [await ask() for ask in (*asks, *asks)] == [False] * 4
