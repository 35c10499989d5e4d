"""The processes of a measurement, each on its core: servers, ceilings, and whoever asks them."""

import atexit
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import psutil

from closed_loop import METHOD
from subjects import KEPT, Subject

HERE: Final = Path(__file__).resolve().parent
SERVER_CORE: Final = 0
LOAD_CORE: Final = min(1, (os.cpu_count() or 1) - 1)
SETTINGS: Final = {
    "BATCHPROOF_ENGINE__INTRA_OP_THREADS": "1",
    "BATCHPROOF_ENGINE__INTER_OP_THREADS": "1",
    "BATCHPROOF_PROOF__CERTIFICATE_DIRECTORY": str(KEPT / "certificates"),
    "BATCHPROOF_LOG__LEVEL": "info",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
_TICKS_HZ: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A server under test.

    Attributes:
        web: the address of its web port; empty where the settings do not enable it.
        log: its standard error; a file.
        started_s: when its process was started, in seconds since 1970.
    """

    grpc: str
    http: str
    web: str
    process: "subprocess.Popen[str]" = field(repr=False)
    log: Path
    started_s: float

    def metrics(self) -> str:
        """The page of its figures."""
        with urllib.request.urlopen(f"http://{self.http}/metrics") as page:
            text: str = page.read().decode()
        return text

    def cpu_s(self, *, engine: bool) -> float:
        """What its threads have used; those of the engine, or all others."""
        total = 0
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            name, _, rest = (thread / "stat").read_text().partition("(")[2].rpartition(")")
            if name.startswith("tf_") == engine:
                fields = rest.split()
                total += int(fields[11]) + int(fields[12])
        return total / _TICKS_HZ

    def shared_out_mb(self) -> float:
        """Of it and its device processes together; what they share counts once."""
        own = psutil.Process(self.process.pid)
        family = (own, *own.children(recursive=True))
        return sum(float(each.memory_full_info().pss) for each in family) / 2**20

    def memory_mb(self, key: str) -> float:
        """Of it alone, ``VmRSS`` now, or ``VmHWM``, the most so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith(key)) / 1024


@contextmanager
def started(
    core: int | str, *command: str, log: Path | None = None, **settings: str
) -> Iterator[Any]:
    """A process of this Python on one core, or on such as ``0,1``.

    It ends at the end, and with this process: one that stayed would slow down what is measured
    next.
    """
    pinned = ("setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(core))
    with (log or Path(os.devnull)).open("w") as errors:
        process = subprocess.Popen(
            [*pinned, sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | SETTINGS | settings,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


@contextmanager
def served(
    subject: Subject,
    settings: Mapping[str, str] | None = None,
    cores: int | str = SERVER_CORE,
) -> Iterator[Server]:
    """A server of one model, once it answers."""
    log = KEPT / f"server-{os.getpid()}-{time.monotonic_ns()}.log"
    started_s = time.time()
    command = ("-m", "batchproof_server", "serve", str(subject.bundle))
    ports = ("--grpc-port=0", "--http-port=0")
    try:
        with started(cores, *command, *ports, log=log, **(settings or {})) as process:
            where = json.loads(process.stdout.readline())
            wait = [sys.executable, "-m", "batchproof_client", "status", "--wait", "300"]
            subprocess.run([*wait, "--server", where["grpc"]], check=True, capture_output=True)
            addresses = (where["grpc"], where["http"], where.get("web", ""))
            yield Server(*addresses, process, log, started_s)
    finally:
        log.unlink(missing_ok=True)


@contextmanager
def echoing() -> Iterator[str]:
    """The address of an empty server."""
    with started(SERVER_CORE, str(HERE / "echo_server.py")) as process:
        yield json.loads(process.stdout.readline())["grpc"]


@contextmanager
def serving_barely(subject: Subject, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of a server that has the same front and engine, and nothing between them."""
    command = (str(HERE / "bare_server.py"), str(subject.bundle))
    with started(SERVER_CORE, *command, log=None, **(settings or {})) as process:
        yield json.loads(process.stdout.readline())["grpc"]


class Ceiling:
    """The bare function of a model in a process of its own."""

    def __init__(self, process: Any) -> None:
        self._process = process

    def images_per_s(self, rows: int, duration_s: float) -> float:
        """Calls the function of a bucket for so long."""
        print(rows, duration_s, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())


@contextmanager
def in_process(
    subject: Subject, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[Ceiling, tuple[int, ...]]]:
    """The ceiling on the server's core, and the buckets that it has."""
    command = (str(HERE / "in_process.py"), str(subject.bundle))
    with started(SERVER_CORE, *command, log=None, **(settings or {})) as process:
        buckets = json.loads(process.stdout.readline())
        yield Ceiling(process), tuple(buckets)


def closed_loop(
    address: str, message: Path, concurrency: int, duration_s: float, method: str = METHOD
) -> dict[str, float]:
    """Requests/s and latencies of a closed loop that spends as little as it can."""
    process = _asker()
    print(address, method, concurrency, duration_s, message, file=process.stdin, flush=True)
    figures: dict[str, float] = json.loads(process.stdout.readline())
    return figures


@cache
def _asker() -> Any:
    """One for the whole run: starting a process takes longer than a measurement."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(started(LOAD_CORE, str(HERE / "closed_loop.py")))


def load(server: Server, *options: str) -> dict[str, Any]:
    """The ``total`` of a report of ``batchproof load``."""
    report = KEPT / f"load-{os.getpid()}.json"
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "batchproof_client", "load"]
    target = ["--server", server.grpc, "--save-json", str(report)]
    # Its exit code judges the run; here the figures do.
    subprocess.run([*command, *target, *options], check=False, capture_output=True)
    measured = json.loads(report.read_text())
    report.unlink()
    total: dict[str, Any] = measured["total"]
    return total


def open_loop(
    address: str, subject: Subject, rate_hz: float, duration_s: float, deadline_s: float
) -> dict[str, Any]:
    """What becomes of calls that come at a rate, from a sender that spends as little as it can."""
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, str(HERE / "open_loop.py"), address]
    numbers = [f"{each:.4f}" for each in (rate_hz, duration_s, deadline_s)]
    messages = [str(each) for each in subject.messages]
    run = subprocess.run(
        [*command, *numbers, *messages], check=True, stdout=subprocess.PIPE, text=True
    )
    figures: dict[str, Any] = json.loads(run.stdout)
    return figures


def recovery(
    server: Server, message: Path, rate_hz: float, deadline_s: float, quick_s: float
) -> float:
    """Seconds from the end of an overload of one second until a lone request is quick again."""
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, str(HERE / "recovery.py")]
    numbers = [f"{each:.4f}" for each in (rate_hz, 1.0, deadline_s, quick_s)]
    arguments = [server.grpc, str(message), *numbers]
    run = subprocess.run([*command, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return float(run.stdout)


def asking(
    addresses: Mapping[str, str],
    message: Path,
    concurrency: int,
    duration_s: float,
    method: str = METHOD,
) -> Callable[[str], dict[str, float]]:
    """What measures each of several servers, by their names, in the same way."""

    def measure(name: str) -> dict[str, float]:
        return closed_loop(addresses[name], message, concurrency, duration_s, method)

    return measure
