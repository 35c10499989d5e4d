"""A rolling restart under load: grpcio as it is, round_robin, no retry policy."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.patience import PATIENCE_S
from system.process import environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("way", ["leaving", "health"])
def test_three_servers_are_restarted_one_after_the_other_and_nobody_notices(way: str) -> None:
    ended = _rolled(way)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    (requests,) = re.findall(
        r": 3 restarts, (\d+) requests, failed 0, disorderly 0\n", ended.stdout
    )
    assert int(requests) > 100


def _rolled(way: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            *(sys.executable, "benchmarks/rolling.py", f"--way={way}", "--rounds=1"),
            *("--callers=4", "--pause-ms=25"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env=environment(),
    )
