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
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from batchproof.v1 import prediction_pb2 as pb
from measuring import Figures, interleaved, medians, ratio
from processes import Server, closed_loop, served
from subjects import EMBEDDED, KEPT, embedded

CONCURRENCY = (1, 32)
SCRAPE_S = 15.0


def _counted(server: Server, start: str, *parts: str) -> float:
    """The sum of the series that begin so and hold these parts."""
    lines = [line for line in server.metrics().splitlines() if line.startswith(start)]
    return sum(
        float(line.rsplit(" ", 1)[1]) for line in lines if all(part in line for part in parts)
    )


def _answered(server: Server) -> float:
    return _counted(server, 'batchproof_request_duration_seconds_count{method="Predict"')


def _cpu_s(server: Server) -> float:
    return server.cpu_s(engine=True) + server.cpu_s(engine=False)


@contextmanager
def _scraped(server: Server) -> Iterator[None]:
    ended = threading.Event()

    def scrape() -> None:
        while not ended.wait(SCRAPE_S):
            server.metrics()

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


def _load(server: Server, message: Path, concurrency: int, seconds: float) -> Figures:
    answered, cpu_s = _answered(server), _cpu_s(server)
    figures = closed_loop(server.grpc, message, concurrency, seconds)
    spent_s = _cpu_s(server) - cpu_s
    return {**figures, "cpu_us": spent_s / (_answered(server) - answered) * 1e6}


def measured(message: Path, seconds: float, repeats: int) -> dict[str, dict[str, float]]:
    """For each concurrency: medians of both, and of the ratios of neighbouring rounds."""
    compared: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        servers = {
            drift: stack.enter_context(
                served(embedded(), {"BATCHPROOF_DRIFT__ENABLED": str(drift).lower()})
            )
            for drift in (False, True)
        }
        for server in servers.values():
            stack.enter_context(_scraped(server))
        for concurrency in CONCURRENCY:
            ask = partial(_load, message=message, concurrency=concurrency, seconds=seconds)
            rounds = interleaved((False, True), repeats, lambda on, ask=ask: ask(servers[on]))  # type: ignore[misc] # bound here
            compared[f"c{concurrency}"] = _compared(rounds[False], rounds[True])
        _check_counted(servers[True])
    return compared


def _check_counted(server: Server) -> None:
    """Makes sure that what was measured is drift at work."""
    if _counted(server, "batchproof_drift_observations_total", 'signal="sharpness"') < 1:
        raise SystemExit("nothing was counted: the bundle has no profile that fits")


def _compared(off: list[Figures], on: list[Figures]) -> dict[str, float]:
    compared: dict[str, float] = {}
    for key in ("requests_per_s", "cpu_us"):
        without, counting = medians(off)[key], medians(on)[key]
        compared |= {
            f"off_{key}": without,
            f"on_{key}": counting,
            f"ratio_of_medians_{key}": counting / without,
            f"median_of_ratios_{key}": ratio(on, off, key),
        }
    return compared


def main() -> None:
    """Runs the scenario and prints its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    parser.add_argument("--repeats", type=int, default=9, help="of each measurement")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
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
