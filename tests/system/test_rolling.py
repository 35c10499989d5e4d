"""A rolling restart under load: grpcio as it is, round_robin, no retry policy."""

import re

import pytest

from system.process import run_benchmark


@pytest.mark.parametrize("way", ["leaving", "health"])
def test_three_servers_are_restarted_one_after_the_other_and_nobody_notices(way: str) -> None:
    options = (f"--way={way}", "--rounds=1", "--callers=4", "--pause-ms=25")
    ended = run_benchmark("rolling.py", *options)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    (requests,) = re.findall(
        r": 3 restarts, (\d+) requests, failed 0, disorderly 0\n", ended.stdout
    )
    assert int(requests) > 100
