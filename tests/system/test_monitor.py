"""``make monitor``: the whole demo on this machine."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import psutil

from system.process import PATIENCE_S, environment, until

ROOT = Path(__file__).resolve().parents[2]
_IN_THE_BACKGROUND = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])
"""
MONITOR = [sys.executable, str(ROOT / "deploy" / "monitor.py")]


def test_an_alert_on_drift_is_told_and_its_end_is_the_end_of_everything() -> None:
    # A shell ignores Ctrl-C for what it starts in the background, and so does all that this starts.
    # There SIGTERM ends it, which is taken as Ctrl-C is.
    background = [sys.executable, "-c", _IN_THE_BACKGROUND]
    process = subprocess.Popen(
        [*background, *MONITOR, "--calm-s", "5"],
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
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0, lines
    finally:
        _kill_all(process)
        reader.join()
    assert len(started) >= 4
    assert [each for each in started if _runs(each)] == []
    assert lines[-1] == "stopped\n"
    assert any("/alerts" in line for line in lines)


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


def _kill_all(process: "subprocess.Popen[str]") -> None:
    """What it started does not end with it."""
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
    process.wait()


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
