"""A server answers and ends in order whoever takes its lines, and whether anybody does."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import grpc
import pytest

from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from support.bundles_on_disk import RAW, write_bundle
from support.patience import PATIENCE_S
from support.running import request
from system.process import Samples, ServerProcess, command, environment, until

# Far more lines than a pipe holds, and fewer than the queue of the log does.
REQUESTS: Final = 1_000
WAYS: Final = {
    "stalls": "2> >(exec sleep 3600)",
    "dies": "2> >(exec head -n 1 > /dev/null)",
    "is a full disk": "2> /dev/full",
    "is closed": "2>&-",
    "is nobody, nor is there anything to read": "2>&- 0<&-",
}


@contextmanager
def served(path: Path, redirect: str) -> Iterator[ServerProcess]:
    """A server whose standard streams a shell has led elsewhere, with all that it started."""
    words = command("serve", path, "--grpc-port", "0", "--http-port", "0")
    process = subprocess.Popen(
        ["/bin/bash", "-c", f'exec "$@" {redirect}', "bash", *words],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        process_group=0,
    )
    try:
        assert process.stdout is not None
        yield ServerProcess(process, out=[process.stdout.readline()])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize("reader", WAYS)
def test_a_server_answers_and_ends_in_order_although_the_reader_of_its_log(
    reader: str, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW)
    with served(tmp_path, WAYS[reader]) as server:
        server.wait_serving()
        with grpc.insecure_channel(server.grpc) as channel:
            predict = pb_grpc.PredictionServiceStub(channel).Predict
            for _ in range(REQUESTS):
                predict(request(), timeout=PATIENCE_S)
        counted = 0 if reader == "stalls" else REQUESTS
        server.metrics_when("the lines are counted", lambda each: lines(each) >= counted)
        server.process.terminate()
        assert server.process.wait(PATIENCE_S) == 0


def lines(samples: Samples) -> float:
    """Those that whoever is to take them took or did not take."""
    name = "batchproof_log_lines_total"
    return samples.of(name, result="written") + samples.of(name, result="failed")


def test_a_server_serves_although_nobody_takes_its_addresses(tmp_path: Path) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW)
    log = tmp_path / "log"
    with log.open("w") as lines, Path("/dev/full").open("w") as full:
        words = command("serve", tmp_path / "raw", "--grpc-port", "0", "--http-port", "0")
        process = subprocess.Popen(words, stdout=full, stderr=lines, env=environment())
    try:
        until("the server serves", lambda: '"state": "ready"' in log.read_text())
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    assert "addresses not written" in log.read_text()
