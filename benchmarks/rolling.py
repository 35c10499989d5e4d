"""A rolling restart of three servers under load: how many requests fail.

    python benchmarks/rolling.py [--way leaving] [--rounds 3] [--callers 8] [--pause-ms 0]

Callers are grpcio as it is, with ``round_robin`` over the three addresses and without a retry
policy, each with connections of its own. One server after the other gets SIGTERM, ends, is started
on its port, and has answered callers again before the next one goes. The ways are those of
docs/kubernetes.md:

    leaving  a server listens when it is ready, its connections have an age, and it waits for that
             before it goes
    health   the callers ask for health, which is one line of their service config
    plain    neither, for comparison

Every answer is looked at. Prints what became of the requests. Ends with 1 when one failed or was
wrong, or a server did not end in order.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np

from batchproof.tensors import from_proto, to_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc

SERVERS: Final = 3
_PATIENCE_S: Final = 120.0
_POLL_S: Final = 0.05
_ROUND_ROBIN: Final[Mapping[str, Any]] = {"loadBalancingConfig": [{"round_robin": {}}]}


@dataclass(frozen=True)
class Way:
    """How callers learn that a server goes.

    Attributes:
        settings: of the servers.
        service_config: of the callers.
    """

    settings: Mapping[str, str]
    service_config: Mapping[str, Any]


WAYS: Final = {
    "leaving": Way(
        {
            "BATCHPROOF_SERVER__LISTEN_FROM": "ready",
            "BATCHPROOF_SERVER__LEAVING_S": "3.5",
            "BATCHPROOF_RPC__CONNECTIONS__MAX_AGE_S": "2.0",
        },
        _ROUND_ROBIN,
    ),
    "health": Way(
        {"BATCHPROOF_SERVER__LAME_DUCK_S": "2.0"},
        {**_ROUND_ROBIN, "healthCheckConfig": {"serviceName": ""}},
    ),
    "plain": Way({"BATCHPROOF_SERVER__LAME_DUCK_S": "2.0"}, _ROUND_ROBIN),
}


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: "subprocess.Popen[str]" = field(repr=False)
    http: str

    def has_answered(self) -> bool:
        """Whether a caller got an answer of it."""
        with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=_PATIENCE_S) as page:
            lines = page.read().decode().splitlines()
        counted = [line for line in lines if line.startswith("batchproof_requests_total")]
        return any('method="Predict"' in line and 'code="OK"' in line for line in counted)

    def end(self) -> int:
        """Sends SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE_S)


@dataclass
class Run:
    """Callers and servers.

    Attributes:
        pause_s: of a caller between two requests.
        codes: of all outcomes; ``WRONG`` for an answer with other numbers.
        details: of failures.
        latencies_s: of all requests.
        is_over: set when the callers are to end.
    """

    way: Way
    repository: Path
    ports: tuple[int, ...]
    pause_s: float
    codes: Counter[str] = field(default_factory=Counter)
    details: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        """One caller, who asks until the run is over."""
        options = (
            ("grpc.service_config", json.dumps(self.way.service_config)),
            ("grpc.use_local_subchannel_pool", 1),
        )
        addresses = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        with grpc.insecure_channel(f"ipv4:{addresses}", options=options) as channel:
            stub: Any = pb_grpc.PredictionServiceStub(channel)
            while not self.is_over.is_set():
                self._ask_once(stub)
                time.sleep(self.pause_s)

    def _ask_once(self, stub: Any) -> None:
        rows = np.random.default_rng().integers(0, 1000, (1, 4)).astype(np.float32)
        tensors = pb.NamedTensors(tensors={"image": to_proto(rows)})
        begun_s = time.monotonic()
        try:
            answer = stub.Predict(pb.PredictRequest(tensors=tensors), timeout=_PATIENCE_S)
        except grpc.RpcError as failure:
            told: Any = failure
            code = told.code().name
            self.details[told.details()] += 1
        else:
            is_right = np.array_equal(from_proto(answer.outputs["scores"]), rows * 2 + 1)
            code = "OK" if is_right else "WRONG"
        self.codes[code] += 1
        self.latencies_s.append(time.monotonic() - begun_s)

    def start(self, port: int, running: ExitStack) -> Server:
        """A server on a port, once it answers."""
        process = running.enter_context(
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "batchproof_server", "serve", str(self.repository)),
                    *("--grpc-port", str(port), "--http-port", "0", "--log-level", "error"),
                ],
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | self.way.settings,
            )
        )
        running.callback(process.terminate)
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        where = json.loads(process.stdout.readline())
        wait = [sys.executable, "-m", "batchproof_client", "status", "--wait", "300"]
        subprocess.run([*wait, "--server", where["grpc"]], check=True, capture_output=True)
        return Server(process, where["http"])

    def restart_all(self, servers: list[Server], running: ExitStack) -> int:
        """One after the other; how many did not end in order."""
        disorderly = 0
        for place, port in enumerate(self.ports):
            disorderly += servers[place].end() != 0
            servers[place] = self.start(port, running)
            _until(servers[place].has_answered)
        return disorderly


def _until(condition: Any) -> None:
    give_up_s = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > give_up_s:
            raise TimeoutError
        time.sleep(_POLL_S)


def measured(run: Run, callers: int, rounds: int) -> int:
    """Restarts all servers again and again while callers ask; how many did not end in order."""
    threads = [threading.Thread(target=run.ask) for _ in range(callers)]
    with ExitStack() as running:
        servers = [run.start(port, running) for port in run.ports]
        for thread in threads:
            thread.start()
        try:
            for server in servers:
                _until(server.has_answered)
            return sum(run.restart_all(servers, running) for _ in range(rounds))
        finally:
            run.is_over.set()
            for thread in threads:
                thread.join()


def _free_ports() -> tuple[int, ...]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(SERVERS)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return tuple(each.getsockname()[1] for each in sockets)


def report(run: Run, way: str, restarts: int, disorderly: int) -> bool:
    """Prints what became of the requests; whether all went well."""
    asked = run.codes.total()
    failed = asked - run.codes["OK"]
    latencies_ms = sorted(1000 * each for each in run.latencies_s)
    print(f"{way}: {restarts} restarts, {asked} requests, failed {failed}, disorderly {disorderly}")
    print(f"  latency ms: p50 {latencies_ms[asked // 2]:.1f}", end="")
    print(f", p99 {latencies_ms[asked * 99 // 100]:.1f}, max {latencies_ms[-1]:.1f}")
    for details, count in run.details.most_common(5):
        print(f"  {count} x {details}")
    return not failed and not disorderly


def main() -> int:
    """Runs one way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=WAYS, default="leaving")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--pause-ms", type=float, default=0.0, help="of a caller between requests")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        bundle = repository / "exact" / "1"
        bundle.mkdir(parents=True)
        affine = {"input_shape": [4], "input_dtype": "float32", "classes": 4}
        affine |= {"scale": 2.0, "offset": 1.0}
        (bundle / "affine.json").write_text(json.dumps(affine))
        run = Run(WAYS[given.way], repository, _free_ports(), given.pause_ms / 1e3)
        disorderly = measured(run, given.callers, given.rounds)
    return 0 if report(run, given.way, SERVERS * given.rounds, disorderly) else 1


if __name__ == "__main__":
    sys.exit(main())
