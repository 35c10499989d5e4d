"""What augmentation costs: one picture with 8 views against 8 pictures executed together.

    python benchmarks/tta.py [--seconds 2] [--repeats 5] [--json FILE]

One server on the first core with one engine thread and a probe on its loop; the load on the second
core. Both requests are measured in turn, several times, at concurrency 1 and 8; ratios are medians
of rounds that were measured side by side. The pictures are JPEG files of 320 x 240 pixels.
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
CUSTOM = ("identity", "hflip", "rotate(10)", "rotate(-10)", "crop(0.875)", "shift(0.05,0)")
REQUESTS = {
    "8 pictures, plain": (ROWS, None),
    "1 picture, d4": (1, pb.TestTimeAugmentation(policy="d4")),
    "1 picture, 8 mixed views": (
        1,
        pb.TestTimeAugmentation(views=(*CUSTOM, "brightness(1.2)", "noise(0.02)")),
    ),
}
PLAIN = next(iter(REQUESTS))


def _pictures() -> list[bytes]:
    pictures = []
    for seed in range(ROWS):
        rough = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
        stream = io.BytesIO()
        Image.fromarray(rough).resize((320, 240), Image.Resampling.BICUBIC).save(stream, "JPEG")
        pictures.append(stream.getvalue())
    return pictures


def _write_requests(directory: Path) -> dict[str, Path]:
    files = {}
    for place, (name, (rows, tta)) in enumerate(REQUESTS.items()):
        request = pb.PredictRequest(options=pb.PredictOptions(tta=tta))
        request.images.contents.extend(_pictures()[:rows])
        files[name] = directory / f"request-{place}.bin"
        files[name].write_bytes(request.SerializeToString())
    return files


@dataclass(frozen=True)
class Served:
    """A server under measurement."""

    process: "subprocess.Popen[str]"
    address: str

    def lag(self) -> dict[str, float]:
        """How late the loop was since the last time."""
        assert self.process.stdin is not None  # noqa: S101 - it is a pipe
        assert self.process.stdout is not None  # noqa: S101 - it is a pipe
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        figures: dict[str, float] = json.loads(self.process.stdout.readline())
        return figures


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
                    server.lag()
                    figures = _load(server.address, files[name], concurrency, seconds)
                    lag = {f"lag_{key}": value for key, value in server.lag().items()}
                    rounds.setdefault((concurrency, name), []).append(figures | lag)
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
    figures["lag_max_ms"] = max(each["lag_max_ms"] for each in ours)
    return figures


def _print(name: str, result: dict[str, Any]) -> None:
    print(f"\n{name}")
    print(
        "  load  request                    requests/s    p50 ms   cost  loop late p50, p99, max ms"
    )
    for concurrency, by_request in result.items():
        for request, figures in by_request.items():
            lag = ", ".join(f"{figures[f'lag_{key}_ms']:.2f}" for key in ("p50", "p99", "max"))
            print(
                f"  {concurrency:5} {request:25} {figures['requests_per_s']:10.1f} "
                f"{figures['p50_ms']:9.2f} {figures['cost_ratio']:6.3f}  {lag}"
            )


def main() -> None:
    """Runs the scenario and prints its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement")
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
