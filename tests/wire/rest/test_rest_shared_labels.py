"""A label that two versions share, over HTTP: the header is the metadata key of gRPC."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from batchproof_server.application.config import Config
from batchproof_server.models.weighted_versions import WeightedVersions
from batchproof_server.web.settings import WebSettings
from support.bundles_on_disk import RAW, write_bundle
from support.rest import ask
from support.running import Running, running

KEYS = [f"user-{number}" for number in range(16)]
HALVES = WeightedVersions(((1, 1), (2, 1)))
ROW = [0, 0, 0, 0]


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Running]:
    """Versions 1 and 2 of "m", whose answers to a row of zeros are their numbers."""
    for version in (1, 2):
        write_bundle(tmp_path / "m" / str(version), RAW, offset=float(version))
    config = Config(version_labels={"m": {"stable": HALVES}}, web=WebSettings(enabled=True))
    async with running(tmp_path, config) as started:
        yield started


def expected(key: str) -> int:
    """The version that a key meets."""
    return HALVES.choose("m", "stable", key, (1, 2))


@pytest.mark.parametrize("header", ["X-Batchproof-Key", "X-Request-Id"])
async def test_a_key_or_else_the_request_id_decides(web: str, header: str) -> None:
    tensor = {"name": "image", "datatype": "FP32", "shape": [1, 4], "data": ROW}
    for key in KEYS:
        headers = {header: key}
        reply = await ask(
            web, "/v1/models/m/labels/stable:predict", {"instances": [ROW]}, headers=headers
        )
        assert reply.json() == {"predictions": [[expected(key)] * 3]}
        reply = await ask(
            web, "/v2/models/m/versions/stable/infer", {"inputs": [tensor]}, headers=headers
        )
        assert reply.json()["model_version"] == str(expected(key))


async def test_the_key_goes_before_the_request_id(web: str) -> None:
    for key in KEYS:
        headers = {"X-Batchproof-Key": key, "X-Request-Id": "always-the-same"}
        body = {"instances": [ROW]}
        reply = await ask(web, "/v1/models/m/labels/stable:predict", body, headers=headers)
        assert reply.json() == {"predictions": [[expected(key)] * 3]}


@pytest.mark.parametrize(("length", "status"), [(257, 400), (1_000_000, 431)])
async def test_a_long_key_is_refused(web: str, length: int, status: int) -> None:
    headers = {"X-Batchproof-Key": "k" * length}
    body = {"instances": [ROW]}
    reply = await ask(web, "/v1/models/m/labels/stable:predict", body, headers=headers)
    assert reply.status == status
    assert "expected" in reply.error
