"""What drift monitoring costs: the embedded model with all its signals counted, and without.

    python benchmarks/drift_cost.py [--seconds 3] [--repeats 9] [--json FILE]

Two servers on the first core with one engine thread, one with `drift.enabled = false`; the load,
one real picture a request, on the second core. They are measured in turn, and each round is
compared with its neighbour. Both are scraped every 15 seconds, as Prometheus would.
The processor time of the server for a request is shown too: other work on the machine spoils it
less than the throughput.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from batchproof.v1 import prediction_pb2 as pb

HERE = Path(__file__).resolve().parent
EMBEDDED = HERE.parent / "examples/fashion_mnist/models/fashion-mnist/1"
SERVER_CORE, LOAD_CORE = 0, min(1, (os.cpu_count() or 1) - 1)
SETTINGS = {
    "BATCHPROOF_ENGINE__INTRA_OP_THREADS": "1",
    "BATCHPROOF_ENGINE__INTER_OP_THREADS": "1",
}
CONCURRENCY = (1, 32)
SCRAPE_S = 15.0


@dataclass(frozen=True)
class Serving:
    """A server with drift on or off."""

    drift: bool
    grpc: str
    http: str
    process: psutil.Process

    def cpu_s(self) -> float:
        """The processor time that it has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def answered(self) -> float:
        """The requests that it has answered."""
        name = 'batchproof_request_duration_seconds_count{method="Predict"'
        lines = [line for line in self.scrape().splitlines() if line.startswith(name)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def scrape(self) -> str:
        """The metrics page."""
        with urllib.request.urlopen(f"http://{self.http}/metrics") as page:
            text: str = page.read().decode()
            return text


@contextmanager
def _served(*, drift: bool) -> Iterator[Serving]:
    command = ["taskset", "-c", str(SERVER_CORE), sys.executable, "-m", "batchproof_server"]
    process = subprocess.Popen(
        [*command, "serve", str(EMBEDDED), "--grpc-port=0", "--http-port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | SETTINGS | {"BATCHPROOF_DRIFT__ENABLED": str(drift).lower()},
    )
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        addresses = json.loads(process.stdout.readline())
        wait = [sys.executable, "-m", "batchproof_client", "status", "--wait", "120"]
        subprocess.run([*wait, "--server", addresses["grpc"]], check=True, capture_output=True)
        own = psutil.Process(process.pid)  # taskset has become the server
        yield Serving(drift, addresses["grpc"], addresses["http"], own)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _scraped(server: Serving) -> Iterator[None]:
    ended = threading.Event()

    def scrape() -> None:
        while not ended.wait(SCRAPE_S):
            server.scrape()

    reader = threading.Thread(target=scrape)
    reader.start()
    try:
        yield
    finally:
        ended.set()
        reader.join()


def _message(file: Path) -> Path:
    sample = next(iter(sorted((EMBEDDED / "samples").glob("*.png")))).read_bytes()
    request = pb.PredictRequest(images=pb.EncodedImages(contents=[sample]))
    file.write_bytes(request.SerializeToString())
    return file


def _load(server: Serving, message: Path, concurrency: int, seconds: float) -> dict[str, float]:
    answered, cpu_s = server.answered(), server.cpu_s()
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, str(HERE / "closed_loop.py")]
    line = f"{server.grpc} {concurrency} {seconds} {message}\n"
    run = subprocess.run(command, check=True, input=line, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(run.stdout)
    spent_s = server.cpu_s() - cpu_s
    result["cpu_us"] = spent_s / (server.answered() - answered) * 1e6
    return result


def measured(message: Path, seconds: float, repeats: int) -> dict[str, dict[str, float]]:
    """For each concurrency: medians of both, and of the ratios of neighbouring rounds."""
    rounds: dict[tuple[int, bool], list[dict[str, float]]] = {}
    with ExitStack() as stack:
        servers = [stack.enter_context(_served(drift=drift)) for drift in (False, True)]
        for server in servers:
            stack.enter_context(_scraped(server))
        for turn in range(repeats):
            for concurrency in CONCURRENCY:
                # Each comes first as often as the other.
                for server in servers if turn % 2 else servers[::-1]:
                    figures = _load(server, message, concurrency, seconds)
                    rounds.setdefault((concurrency, server.drift), []).append(figures)
        _check_counted(servers[1], rounds)
    return {f"c{each}": _compared(rounds[each, False], rounds[each, True]) for each in CONCURRENCY}


def _check_counted(server: Serving, rounds: dict[tuple[int, bool], list[Any]]) -> None:
    """Makes sure that what was measured is drift at work."""
    counted = [
        float(line.rsplit(" ", 1)[1])
        for line in server.scrape().splitlines()
        if line.startswith("batchproof_drift_observations_total") and 'signal="sharpness"' in line
    ]
    if sum(counted) < sum(len(each) for (_, drift), each in rounds.items() if drift):
        raise SystemExit("nothing was counted: the bundle has no profile that fits")


def _compared(off: list[dict[str, float]], on: list[dict[str, float]]) -> dict[str, float]:
    compared: dict[str, float] = {}
    for key in ("requests_per_s", "cpu_us"):
        ratios = [one[key] / other[key] for one, other in zip(on, off, strict=True)]
        medians = [statistics.median(each[key] for each in side) for side in (off, on)]
        compared |= {
            f"off_{key}": medians[0],
            f"on_{key}": medians[1],
            f"ratio_of_medians_{key}": medians[1] / medians[0],
            f"median_of_ratios_{key}": statistics.median(ratios),
        }
    return compared


def main() -> None:
    """Runs the scenario and prints its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    parser.add_argument("--repeats", type=int, default=9, help="of each measurement")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        message = _message(Path(name) / "picture.bin")
        results = measured(message, arguments.seconds, arguments.repeats)
    print("load  figure           drift off        on  ratio of medians  median of ratios")
    for concurrency, figures in results.items():
        for key in ("requests_per_s", "cpu_us"):
            off, on = figures[f"off_{key}"], figures[f"on_{key}"]
            ratios = (figures[f"{name}_{key}"] for name in ("ratio_of_medians", "median_of_ratios"))
            shown = "  ".join(f"{ratio:16.3f}" for ratio in ratios)
            print(f"{concurrency:5} {key:15} {off:10,.0f} {on:9,.0f}  {shown}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
