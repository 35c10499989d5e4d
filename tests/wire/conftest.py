"""A server with one model of each kind; each front in turn."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from batchproof_server.application.config import Config
from batchproof_server.rpc.fronts.front import MakeFront
from batchproof_server.serving.request import RequestLimits
from support.bundles_on_disk import LOGITS, PICTURES, PROBABILITIES, RAW, write_bundle
from support.fronts import FRONTS, choose
from support.running import (
    Running,
    running,
)


@pytest.fixture(autouse=True, params=FRONTS)
def make_front(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MakeFront:
    """A front, which the servers of the test have: one suite for every front."""
    return choose(request.param, monkeypatch)


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Running]:
    """One model of each kind; ``several`` has two versions."""
    labels = "".join(f"{name}\n" for name in ("cat", "dog", "owl"))
    write_bundle(tmp_path / "logits" / "1")
    (tmp_path / "logits" / "1" / "labels.txt").write_text(labels)
    even = {"shape": (4,), "classes": 2, "scale": 0.0, "offset": 0.5}
    write_bundle(tmp_path / "probabilities" / "1", PROBABILITIES, **even)  # type: ignore[arg-type] # keys
    write_bundle(tmp_path / "raw" / "1", RAW)
    write_bundle(tmp_path / "pictures" / "1", PICTURES, shape=(2, 2, 3))
    write_bundle(tmp_path / "several" / "1", "max_request_rows = 3\n" + LOGITS)
    write_bundle(tmp_path / "several" / "2", scale=3.0)
    labelled = {"several": {"stable": 1}}
    config = Config(requests=RequestLimits(max_request_rows=6), version_labels=labelled)
    async with running(tmp_path, config) as started:
        yield started
