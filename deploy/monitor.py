"""A server, Prometheus and traffic that drifts half way, on this machine, until Ctrl-C.

    python deploy/monitor.py [--calm-s 180] [--hurry 1] [--end-when-firing]

What docker-compose.yml does, without containers and without Grafana: Debian's Prometheus, free
ports of this machine, files in a temporary folder. Alerts are told when they begin and end.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

DEPLOY = Path(__file__).resolve().parent
MODELS = DEPLOY.parent / "examples" / "fashion_mnist" / "models"
NO_PROMETHEUS = (
    "There is no prometheus on this machine. On Debian, scripts/install-system-packages unpacks it"
    " without a service; elsewhere, take it from its web site and put it on the PATH."
)
_TARGET = "server:8080"
_ALERTMANAGER = '"alertmanager:9093"'
# How often rules are evaluated, how long they hold, and how long a profile has to have been there.
_WAITS = re.compile(r"(?P<what>\bevaluation_interval: |\bfor: |\boffset )(?P<seconds>\d+)s\b")
_POLL_S = 1.0
_PATIENCE_S = 120.0
_GRACE_S = 40.0


def main() -> int:
    """0 at Ctrl-C, 1 when something is missing or ended by itself."""
    asked = _arguments().parse_args()
    if (binary := shutil.which("prometheus")) is None:
        print(NO_PROMETHEUS, file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ExitStack() as running:
            folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
            return _monitor(asked, binary, folder, running)
    except KeyboardInterrupt:
        print("\nstopped", flush=True)
        return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="A server, Prometheus and traffic that drifts.")
    parser.add_argument("--calm-s", type=int, default=180, help="before the drift")
    parser.add_argument(
        "--hurry", type=_positive, default=1, help="divides what the rules wait for"
    )
    parser.add_argument("--models", type=Path, default=MODELS, help="what is served")
    parser.add_argument(
        "--end-when-firing", action="store_true", help="stop at the first alert on drift"
    )
    return parser


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'is "{text}", expected a whole number from 1')
    return int(text)


def _monitor(asked: argparse.Namespace, binary: str, folder: Path, running: ExitStack) -> int:
    print("starting the server: it proves its model first, which takes half a minute", flush=True)
    server = running.enter_context(
        _started(_serve(asked.models), folder / "server.log", answers=True)
    )
    addresses = json.loads(_first_line(server))
    _wait(f"{addresses['http']}/readyz", server)
    page = f"127.0.0.1:{_port()}"
    _write_configuration(folder, addresses["http"], asked.hurry)
    prometheus = running.enter_context(
        _started(_prometheus(binary, folder, page), folder / "prometheus.log")
    )
    _wait(f"{page}/-/ready", prometheus)
    _print_where_to_look(addresses, page, asked.calm_s)
    traffic = [sys.executable, str(DEPLOY / "traffic.py"), "--server", addresses["grpc"]]
    traffic += ["--calm-s", str(asked.calm_s)]
    sender = running.enter_context(_started(traffic, folder / "traffic.log"))
    return _watch(page, (server, prometheus, sender), folder, is_short=asked.end_when_firing)


def _serve(models: Path) -> list[str]:
    command = [sys.executable, "-m", "batchproof_server", "serve", str(models)]
    return [*command, "--grpc-port", "0", "--http-port", "0"]


def _write_configuration(folder: Path, target: str, hurry: int) -> None:
    """Ours with another target and nobody to tell, beside copies of its rules, which may hurry."""
    for file in (DEPLOY / "prometheus").glob("*.yml"):
        text = file.read_text().replace(_TARGET, target).replace(_ALERTMANAGER, "")
        (folder / file.name).write_text(_WAITS.sub(lambda wait: _shorter(wait, hurry), text))


def _shorter(wait: re.Match[str], hurry: int) -> str:
    seconds = int(wait["seconds"])
    return f"{wait['what']}{max(min(seconds, 1), seconds // hurry)}s"


def _prometheus(binary: str, folder: Path, page: str) -> list[str]:
    return [
        binary,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={page}",
    ]


def _port() -> int:
    """Prometheus' usual port, or a free one."""
    for port in (9090, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as listener:
                return int(listener.getsockname()[1])
        except OSError:
            continue
    raise SystemExit("no port is free")


@contextmanager
def _started(
    command: Sequence[str], log: Path, *, answers: bool = False
) -> Iterator["subprocess.Popen[str]"]:
    """A program that is gone at the end. Ctrl-C reaches us only, so that we end them in order."""
    with log.open("w") as err:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE if answers else err,
            stderr=err,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # with what it has started


def _first_line(server: "subprocess.Popen[str]") -> str:
    assert server.stdout is not None  # noqa: S101 - it is a pipe
    if line := server.stdout.readline():
        return line
    raise SystemExit(f"the server ended with exit code {server.wait()}")


def _wait(address: str, process: "subprocess.Popen[str]") -> None:
    give_up_s = time.monotonic() + _PATIENCE_S
    while _page(address) is None:
        if process.poll() is not None or time.monotonic() > give_up_s:
            raise SystemExit(f"{address} does not answer: is something wrong with the model?")
        time.sleep(_POLL_S)


def _page(address: str) -> bytes | None:
    try:
        with urllib.request.urlopen(f"http://{address}", timeout=5) as answer:
            content: bytes = answer.read()
            return content
    except OSError:
        return None


def _print_where_to_look(addresses: dict[str, str], page: str, calm_s: int) -> None:
    graph = f"http://{page}/graph?g0.tab=0&g0.range_input=15m&g0.expr="
    print(
        f"""
  alerts       http://{page}/alerts
  drift        {graph}model_signal:psi_above_noise:5m
  tests        {graph}model_signal_test:drift_significance:5m
  accuracy     {graph}model:accuracy:5m%20or%20model:accuracy_estimate_doc:5m
  metrics      http://{addresses["http"]}/metrics
  server       {addresses["grpc"]} (gRPC)
  dashboards   deploy/grafana/dashboards, in a Grafana whose data source is http://{page}

The pictures are like the reference for {calm_s} s, and then noisy. An alert follows within two
minutes of that. Ctrl-C ends everything.
""",
        flush=True,
    )


def _watch(
    page: str,
    processes: Sequence["subprocess.Popen[str]"],
    folder: Path,
    *,
    is_short: bool,
) -> int:
    """Tells of alerts until something ends."""
    known: set[str] = set()
    while all(process.poll() is None for process in processes):
        firing = _firing(page)
        for text in sorted(firing ^ known):
            print(
                f"{time.strftime('%H:%M:%S')} {'+' if text in firing else '-'} {text}", flush=True
            )
        known = firing
        if is_short and any(text.startswith("PredictionDrift") for text in firing):
            return 0
        time.sleep(_POLL_S)
    _print_what_ended(processes, folder)
    return 1


def _print_what_ended(processes: Sequence["subprocess.Popen[str]"], folder: Path) -> None:
    for process, name in zip(processes, ("server", "prometheus", "traffic"), strict=True):
        if process.poll() is not None:
            last = (folder / f"{name}.log").read_text().splitlines()[-5:]
            print(
                f"{name} ended with exit code {process.returncode}:",
                *last,
                sep="\n  ",
                file=sys.stderr,
            )


def _firing(page: str) -> set[str]:
    content = _page(f"{page}/api/v1/alerts")
    alerts: list[dict[str, Any]] = json.loads(content)["data"]["alerts"] if content else []
    return {
        f"{alert['labels']['alertname']}: {alert['annotations']['summary']}"
        f" (over {alert['labels'].get('window', 'all')}, {alert['labels']['severity']})"
        for alert in alerts
        if alert["state"] == "firing"
    }


if __name__ == "__main__":
    sys.exit(main())
