from collections.abc import Callable, Iterator

import pytest

from batchproof_client import AsyncClient, Client
from batchproof_client.__main__ import main
from support.patience import PATIENCE_S
from wire.client.fake_server import FakeServer

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def make_front() -> None:
    """The servers here are not ours, so that nothing is to be tried with each front."""


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A fake server, stopped after the test."""
    fake = FakeServer()
    yield fake
    fake.stop()


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets clients and calls that name no time have plenty of it."""
    for kind in (AsyncClient, Client):
        defaults = {**(kind.__init__.__kwdefaults__ or {}), "timeout_s": PATIENCE_S}
        monkeypatch.setattr(kind.__init__, "__kwdefaults__", defaults)


@pytest.fixture
def run(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Runs the command against the fake server; returns exit code, output and errors."""
    monkeypatch.setenv("BATCHPROOF_SERVER", server.target)

    def run_main(*argv: object) -> tuple[int, str, str]:
        code = main(_in_no_hurry([str(each) for each in argv]))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_main


def _in_no_hurry(argv: list[str]) -> list[str]:
    """With plenty of time for each call, unless the arguments say more about it."""
    is_command = argv and not argv[0].startswith("-")
    return [argv[0], f"--timeout-s={PATIENCE_S}", *argv[1:]] if is_command else argv
