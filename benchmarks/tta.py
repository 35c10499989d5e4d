"""What augmentation costs: one picture with 8 views against 8 pictures executed together.

    python benchmarks/tta.py [--seconds 2] [--repeats 4] [--json FILE]

One server on the first core with one engine thread and a probe on its loop; the load on the second
core. Both requests are measured in turn, several times, at concurrency 1 and 8; ratios are medians
of rounds that were measured side by side. The pictures are JPEG files of 320 x 240 pixels.

*cost* compares requests per second, *CPU cost* the processor time of all the server's threads for a
request, which other work on the machine disturbs less. *late* is how late a timer of 1 ms on the
loop rang, which includes waiting for the core; *turn* is the processor time of one callback of the
loop: the longest that the server itself holds its loop up.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from batchproof.v1 import prediction_pb2 as pb
from bundles import write_affine, write_keras

HERE = Path(__file__).resolve().parent
SERVER_CORE, LOAD_CORE = 0, min(1, (os.cpu_count() or 1) - 1)
CONCURRENCY = (1, 8)
ROWS = 8
RECIPE = (
    '\n[recipe]\n[recipe.resize]\nlibrary = "pillow"\nmethod = "bilinear"\npolicy = "stretch"\n'
)
COMMON = ("identity", "hflip", "crop(0.875)", "shift(0.05,0)", "brightness(1.2)", "noise(0.02)")
REQUESTS = {
    "8 pictures, plain": (ROWS, None),
    "1 picture, d4": (1, pb.TestTimeAugmentation(policy="d4")),
    "1 picture, 8 mixed views": (
        1,
        pb.TestTimeAugmentation(views=(*COMMON, "rotate(10)", "rotate(-10)")),
    ),
    "1 picture, 8 without turns": (
        1,
        pb.TestTimeAugmentation(views=(*COMMON, "contrast(0.8)", "jpeg(60)")),
    ),
}
PLAIN = next(iter(REQUESTS))


def pictures() -> list[bytes]:
    """Different smooth JPEG files of 320 x 240 pixels."""
    encoded = []
    for seed in range(ROWS):
        rough = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
        stream = io.BytesIO()
        Image.fromarray(rough).resize((320, 240), Image.Resampling.BICUBIC).save(stream, "JPEG")
        encoded.append(stream.getvalue())
    return encoded


def _write_requests(directory: Path) -> dict[str, Path]:
    files = {}
    for place, (name, (rows, tta)) in enumerate(REQUESTS.items()):
        request = pb.PredictRequest(options=pb.PredictOptions(tta=tta))
        request.images.contents.extend(pictures()[:rows])
        files[name] = directory / f"request-{place}.bin"
        files[name].write_bytes(request.SerializeToString())
    return files


@dataclass(frozen=True)
class Served:
    """A server under measurement."""

    process: "subprocess.Popen[str]"
    address: str

    def measured(self, message: Path, concurrency: int, seconds: float) -> dict[str, float]:
        """One measurement: the load's figures, the loop's, and the processor time of a request."""
        self._lag()
        spent_ms = _spent_ms(self.process.pid)
        figures = _load(self.address, message, concurrency, seconds)
        spent_ms = _spent_ms(self.process.pid) - spent_ms
        return figures | self._lag() | {"cpu_ms": spent_ms / figures["requests"]}

    def _lag(self) -> dict[str, float]:
        """How late the loop was since the last time."""
        assert self.process.stdin is not None  # noqa: S101 - it is a pipe
        assert self.process.stdout is not None  # noqa: S101 - it is a pipe
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        figures: dict[str, float] = json.loads(self.process.stdout.readline())
        return figures


def _spent_ms(process: int) -> float:
    """Processor time of all its threads so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return 1e3 * sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _served(bundle: Path) -> Iterator[Served]:
    command = ["taskset", "-c", str(SERVER_CORE), sys.executable, str(HERE / "lagging_server.py")]
    process = subprocess.Popen(
        [*command, str(bundle)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        yield Served(process, json.loads(process.stdout.readline())["grpc"])
    finally:
        process.terminate()
        process.wait()


def _load(address: str, message: Path, concurrency: int, seconds: float) -> dict[str, float]:
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, str(HERE / "closed_loop.py")]
    line = f"{address} {concurrency} {seconds} {message}\n"
    run = subprocess.run(command, check=True, input=line, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(run.stdout)
    return result


def measured(bundle: Path, directory: Path, seconds: float, repeats: int) -> dict[str, Any]:
    """Medians of each request and concurrency."""
    files = _write_requests(directory)
    rounds: dict[tuple[int, str], list[dict[str, float]]] = {}
    with _served(bundle) as server:
        for turn in range(repeats):
            for concurrency in CONCURRENCY:
                names = list(files)
                for name in names[turn % len(names) :] + names[: turn % len(names)]:
                    rounds.setdefault((concurrency, name), []).append(
                        server.measured(files[name], concurrency, seconds)
                    )
    return {
        f"c{concurrency}": {name: _summary(rounds, concurrency, name) for name in files}
        for concurrency in CONCURRENCY
    }


def _summary(
    rounds: dict[tuple[int, str], list[dict[str, float]]], concurrency: int, name: str
) -> dict[str, float]:
    ours, plain = rounds[concurrency, name], rounds[concurrency, PLAIN]
    figures = {key: statistics.median(each[key] for each in ours) for key in ours[0]}
    pairs = list(zip(ours, plain, strict=True))
    figures["cost_ratio"] = statistics.median(
        other["requests_per_s"] / one["requests_per_s"] for one, other in pairs
    )
    figures["cpu_ratio"] = statistics.median(
        one["cpu_ms"] / other["cpu_ms"] for one, other in pairs
    )
    for key in ("late_max_ms", "turn_max_ms"):
        figures[key] = max(each[key] for each in ours)
    return figures


def _print(name: str, result: dict[str, Any]) -> None:
    columns = ("under way", "request", "requests/s", "p50, ms", "cost", "CPU, ms", "CPU cost")
    lags = ("late p50", "p99", "max, ms", "turn p99", "max, ms")
    widths = (9, -26, 10, 8, 6, 8, 8, 9, 6, 8, 9, 8)
    print(f"\n{name}\n{_line((*columns, *lags), widths)}")
    for concurrency, by_request in result.items():
        for request, figures in by_request.items():
            cells = (
                concurrency.removeprefix("c"),
                request,
                *(f"{figures[key]:.1f}" for key in ("requests_per_s", "p50_ms")),
                f"{figures['cost_ratio']:.3f}",
                f"{figures['cpu_ms']:.2f}",
                f"{figures['cpu_ratio']:.3f}",
                *(f"{figures[f'late_{mark}_ms']:.2f}" for mark in ("p50", "p99", "max")),
                *(f"{figures[f'turn_{mark}_ms']:.2f}" for mark in ("p99", "max")),
            )
            print(_line(cells, widths), flush=True)


def _line(cells: tuple[str, ...], widths: tuple[int, ...]) -> str:
    """Negative widths are for texts, which stand on the left."""
    pairs = zip(cells, widths, strict=True)
    return "  ".join(
        cell.rjust(width) if width > 0 else cell.ljust(-width) for cell, width in pairs
    )


def main() -> None:
    """Runs the scenario and prints its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--repeats", type=int, default=4, help="of each measurement")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        bundles = {
            "MobileNetV2 224 x 224": write_keras(
                directory / "mobilenet" / "1", "MobileNetV2", "float32"
            ),
            "affine 224 x 224 (the server alone)": write_affine(
                directory / "affine" / "1", (224, 224, 3)
            ),
        }
        for name, bundle in bundles.items():
            manifest = bundle / "batchproof.toml"
            manifest.write_text(manifest.read_text() + RECIPE)
            results[name] = measured(bundle, directory, arguments.seconds, arguments.repeats)
            _print(name, results[name])
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
