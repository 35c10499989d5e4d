"""A server with one model of each kind and a web port; the front of the gRPC port is the first."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from batchproof_server.application.config import Config
from batchproof_server.rpc.fronts.front import MakeFront
from batchproof_server.serving.request import RequestLimits
from batchproof_server.web.settings import WebSettings
from support.bundles_on_disk import LOGITS, PICTURES, RAW, write_bundle
from support.fronts import CHOSEN
from support.running import Running, running


@pytest.fixture(autouse=True)
def make_front() -> MakeFront:
    """The front of the gRPC port, which matters nothing here: one is enough."""
    return CHOSEN.make


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Running]:
    """One model of each kind; ``several`` has two versions, and the label ``stable``."""
    write_bundle(tmp_path / "logits" / "1")
    (tmp_path / "logits" / "1" / "labels.txt").write_text("cat\ndog\nowl\n")
    write_bundle(tmp_path / "raw" / "1", RAW)
    write_bundle(tmp_path / "pictures" / "1", PICTURES, shape=(2, 2, 3))
    write_bundle(tmp_path / "several" / "1", "max_request_rows = 3\n" + LOGITS)
    write_bundle(tmp_path / "several" / "2", scale=3.0)
    config = Config(
        requests=RequestLimits(max_request_rows=6),
        version_labels={"several": {"stable": 1}},
        web=WebSettings(enabled=True),
    )
    async with running(tmp_path, config) as started:
        yield started


@pytest.fixture
def web(serving: Running) -> str:
    """The address of its web port."""
    return serving.web
