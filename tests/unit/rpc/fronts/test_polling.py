"""Who reads connections is decided before gRPC is imported, and only where it is known how."""

import subprocess
import sys

import pytest

from batchproof_server.rpc.fronts import polling
from batchproof_server.rpc.fronts.polling import read_on_the_queue


@pytest.mark.parametrize(
    ("release", "said"),
    [("1.76.0", "-event_engine_listener"), ("1.85.3", "-event_engine_listener"), ("1.86.0", None)],
)
def test_the_core_is_told_where_it_knows_the_wish(
    release: str, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ: dict[str, str] = {}
    monkeypatch.setattr(polling, "version", lambda _: release)
    read_on_the_queue(environ)
    assert environ.get("GRPC_EXPERIMENTS") == said


def test_whoever_has_wishes_of_his_own_decides() -> None:
    environ = {"GRPC_EXPERIMENTS": "trace_record_callops"}
    read_on_the_queue(environ)
    assert environ == {"GRPC_EXPERIMENTS": "trace_record_callops"}


def test_nothing_has_imported_grpc_when_the_command_is_known() -> None:
    program = (
        "import sys, batchproof_server.__main__ as main\n"
        "import batchproof_server.rpc.fronts.polling as polling\n"
        "def told(): print('grpc' in sys.modules)\n"
        "main.read_on_the_queue = told\n"
        "main.main(['serve', '/nowhere'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.stdout == "False\n"
