from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batchproof_client.__main__ import main
from batchproof_client.loadtest.pictures import generated, parse_generated
from support.patience import PATIENCE_S
from wire.client.fake_server import FakeServer
from wire.loadtest.open_inference_server import OpenInferenceServer

Run = Callable[..., tuple[int, str, str]]
UNHURRIED = ("--warm-up", "0", "--max-lag", "1h", "--timeout-s", str(PATIENCE_S))


@pytest.fixture(autouse=True)
def make_front() -> None:
    """The servers here are not ours, so that nothing is to be tried with each front."""


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A fake server, stopped after the test."""
    fake = FakeServer()
    yield fake
    fake.stop()


@pytest.fixture
def others() -> Iterator[OpenInferenceServer]:
    """A server of the Open Inference Protocol, stopped after the test."""
    fake = OpenInferenceServer()
    yield fake
    fake.stop()


@pytest.fixture
def load(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``batchproof load``; its own speed is never judged."""

    def run(*argv: object, target: str = "") -> tuple[int, str, str]:
        address = ("--server", target or server.target)
        code = main(["load", *address, *UNHURRIED, *(str(each) for each in argv)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures."""
    shots = tmp_path / "shots"
    shots.mkdir()
    for number, made in enumerate(generated(parse_generated("8x8:png"), 3, 0)):
        (shots / f"{number}.png").write_bytes(made.content)
    return shots
