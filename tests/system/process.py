"""A real server in a process of its own, and the bounded waits that the tests need."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from support.certificates import SHARED_CERTIFICATES
from support.patience import PATIENCE_S as PATIENCE_S

Value = TypeVar("Value")
Record: TypeAlias = dict[str, Any]

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

_POLL_S = 0.02
_BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def until(what: str, condition: Callable[[], Value | None]) -> Value:
    """Asks again and again until the condition gives something true, and returns that."""
    give_up_s = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < give_up_s, f"waited {PATIENCE_S} s in vain until {what}"
        time.sleep(_POLL_S)
    return value


def command(*arguments: str | Path) -> list[str]:
    """The command line of the server."""
    return [sys.executable, "-m", "batchproof_server", *map(str, arguments)]


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of the server, and with ``changes``.

    The servers of one run share their certificates, so that each bundle is proven once; a test of
    the proof sets ``PROVES_ANEW``.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("BATCHPROOF_")}
    shared = {_CERTIFICATES: os.environ[SHARED_CERTIFICATES]} if SHARED_CERTIFICATES in kept else {}
    return {**kept, "TF_CPP_MIN_LOG_LEVEL": "2", **shared, **(changes or {})}


_CERTIFICATES = "BATCHPROOF_PROOF__CERTIFICATE_DIRECTORY"
PROVES_ANEW = {_CERTIFICATES: ""}


def run(
    *arguments: str | Path, variables: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Runs a command of the server that is expected to end by itself."""
    return _ended(command(*arguments), variables)


def run_benchmark(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs a program of benchmarks/ to its end."""
    return _ended([sys.executable, str(_BENCHMARKS / script), *arguments])


def _ended(
    line: list[str], variables: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        line,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env=environment(variables),
    )


@dataclass
class ServerProcess:
    """A running server; its lines are collected as it writes them."""

    process: "subprocess.Popen[str]"
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    readers: list[threading.Thread] = field(default_factory=list)

    def addresses(self) -> dict[str, str]:
        """The first line on standard output; waits for it."""
        until("the first line", lambda: self.out or self.process.poll() is not None)
        assert self.out, f"no line on standard output: {self.err}"
        addresses: dict[str, str] = json.loads(self.out[0])
        return addresses

    @property
    def grpc(self) -> str:
        """``host:port`` of gRPC."""
        return self.addresses()["grpc"]

    @property
    def web(self) -> str:
        """``host:port`` of REST."""
        return self.addresses()["web"]

    def health(self, service: str = "") -> int:
        """What health says now; 0 when nobody answers."""
        with grpc.insecure_channel(self.grpc) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            try:
                status = stub.Check(
                    health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE_S
                )
            except grpc.RpcError:
                return 0
        return int(status.status)

    def wait_serving(self) -> "ServerProcess":
        """Returns when health says SERVING."""
        self.wait_ready()
        assert self.health() == SERVING
        return self

    def wait_ready(self) -> None:
        """Returns when the HTTP port says ready; for servers whose gRPC port wants TLS."""

        def ready() -> bool:
            assert self.process.poll() is None, f"the server ended: {self.err}"
            return self.get("/readyz")[0] == HTTPStatus.OK

        until("the server is ready", ready)

    def get(self, page: str) -> tuple[int, str]:
        """Status and body of a page; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(
                f"http://{self.addresses()['http']}{page}", timeout=PATIENCE_S
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()
        except OSError:
            return 0, ""

    def metrics(self) -> "Samples":
        """What the metrics page says now."""
        # A busy machine may be too slow for the port, which hangs up on slow callers.
        page = until("the metrics are read", lambda: self.get("/metrics")[1])
        families = text_string_to_metric_families(page)
        return Samples(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in families
                for sample in family.samples
            }
        )

    def metrics_when(self, what: str, shown: "Callable[[Samples], bool]") -> "Samples":
        """What the metrics page says once it shows what is awaited.

        The server counts after the answer is on its way: whoever has the answer may be early.
        """

        def reading() -> Samples | None:
            samples = self.metrics()
            return samples if shown(samples) else None

        return until(what, reading)

    def wait_loading(self) -> None:
        """Returns when the first model is being loaded."""

        def loading() -> bool:
            assert self.process.poll() is None, f"the server ended: {self.err}"
            return bool(self.records("model changed"))

        until("a model is being loaded", loading)

    def records(self, event: str = "") -> list[Record]:
        """The lines of the log so far, those of one event only when it is given."""
        lines = [line for line in tuple(self.err) if line.startswith("{")]
        records: list[Record] = [json.loads(line) for line in lines]
        return [record for record in records if event in ("", record["event"])]

    def finished(self, count: int) -> list[Record]:
        """What was logged of finished requests, once there are so many.

        The server logs after the answer is on its way: whoever has the answer may be early.
        """

        def logged() -> list[Record] | None:
            found = self.records("request finished")
            return found if len(found) >= count else None

        return until(f"{count} finished requests are logged", logged)

    def finished_at_exit(self) -> list[Record]:
        """What was logged of finished requests by a server that has ended."""
        assert self.process.returncode is not None, "it may log more yet: see finished"
        return self.records("request finished")

    def wait_exit(self) -> int:
        """The exit code; waits for it, and for the last lines."""
        code = self.process.wait(PATIENCE_S)
        for reader in self.readers:
            reader.join(PATIENCE_S)
        return code

    def stop(self, signal_number: int) -> int:
        """Sends a signal and returns the exit code."""
        self.process.send_signal(signal_number)
        return self.wait_exit()


@dataclass(frozen=True)
class Samples:
    """One reading of the metrics page."""

    values: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def of(self, name: str, **labels: str) -> float:
        """The value of one sample; 0 when there is none."""
        return self.values.get((name, frozenset(labels.items())), 0.0)


def own_lines(ended: "ServerProcess | subprocess.CompletedProcess[str]") -> list[str]:
    """What the command itself said on standard error: no log, and nothing of gRPC's core."""
    lines = ended.err if isinstance(ended, ServerProcess) else ended.stderr.splitlines()
    mark = "batchproof-server: "
    return [line.removeprefix(mark) for line in lines if line.startswith(mark)]


def start(path: Path, *flags: str, variables: Mapping[str, str] | None = None) -> ServerProcess:
    """Starts a server on free ports; waits for nothing."""
    process = subprocess.Popen(
        command("serve", path, "--grpc-port", "0", "--http-port", "0", *flags),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(variables),
    )
    server = ServerProcess(process)
    for stream, lines in ((process.stdout, server.out), (process.stderr, server.err)):
        reader = threading.Thread(target=_collect, args=(stream, lines), daemon=True)
        server.readers.append(reader)
        reader.start()
    return server


def _collect(stream: IO[str], lines: list[str]) -> None:
    with stream:
        for line in stream:
            lines.append(line.rstrip("\n"))  # noqa: PERF401 - others read the list meanwhile


@contextmanager
def started(
    path: Path, *flags: str, variables: Mapping[str, str] | None = None
) -> Iterator[ServerProcess]:
    """A server that is gone at the end, whatever happens."""
    server = start(path, *flags, variables=variables)
    try:
        yield server
    finally:
        # SIGTERM first: a killed process writes no coverage.
        server.process.terminate()
        try:
            server.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            server.process.kill()
        server.wait_exit()
