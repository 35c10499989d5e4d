"""``make monitor``: the whole demo on this machine."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import psutil
import pytest

from system.process import PATIENCE_S, environment, until

ROOT = Path(__file__).resolve().parents[2]
_IN_THE_BACKGROUND = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])
"""
MONITOR = [sys.executable, str(ROOT / "deploy" / "monitor.py")]


def test_an_alert_on_drift_is_told_and_ctrl_c_ends_everything() -> None:
    process = subprocess.Popen(
        [*MONITOR, "--calm-s", "5", "--hurry", "5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=environment(),
    )
    assert process.stdout is not None
    lines: list[str] = []
    reader = threading.Thread(target=_collect, args=(process.stdout, lines))
    reader.start()
    try:
        until("an alert", lambda: _has_alert(lines) or process.poll())
        assert _has_alert(lines), lines
        started = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0, lines
    finally:
        _kill_all(process)
        reader.join()
    assert len(started) >= 3
    assert [each for each in started if _runs(each)] == []
    assert lines[-1] == "stopped\n"
    assert any("/alerts" in line for line in lines)


def test_traffic_ends_its_load_client_in_the_background_too() -> None:
    # A shell ignores Ctrl-C for what it starts there, and so does all that this starts.
    traffic = [sys.executable, str(ROOT / "deploy" / "traffic.py"), "--server"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-c", _IN_THE_BACKGROUND, *traffic, address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=environment(),
        )
        started: list[psutil.Process] = []
        try:
            started = until("a load client", lambda: _load_clients(process))
            process.terminate()
            process.wait(PATIENCE_S)
            # While the port is open: a client that goes on by itself goes on as long as that is.
            left = [each for each in started if _runs(each)]
        finally:
            _kill_all(process)
            for each in started:
                if _runs(each):
                    each.kill()
    assert left == []


def test_without_prometheus_one_sentence_says_where_it_comes_from(tmp_path: Path) -> None:
    ended = subprocess.run(
        MONITOR,
        env=environment({"PATH": str(tmp_path)}),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("There is no prometheus on this machine.")
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


def _kill_all(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """What it started does not end with it."""
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
    process.wait()


def _load_clients(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [each for each in children if "load" in each.cmdline()]


def _runs(process: psutil.Process) -> bool:
    """Whether it does; one that ended and whose new parent has not looked yet does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _has_alert(lines: list[str]) -> bool:
    return any(" + PredictionDrift" in line for line in tuple(lines))


def _collect(stream: IO[str], lines: list[str]) -> None:
    with stream:
        for line in stream:
            lines.append(line)  # noqa: PERF402 - others read the list meanwhile


@pytest.mark.parametrize("hurry", ["0", "-1", "soon"])
def test_a_hurry_that_divides_nothing_is_wrong_usage(hurry: str) -> None:
    ended = subprocess.run(
        [*MONITOR, f"--hurry={hurry}"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert f'is "{hurry}", expected a whole number from 1' in ended.stderr
