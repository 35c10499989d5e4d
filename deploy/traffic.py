"""Traffic that drifts half way: pictures like the reference, then the same with noise.

    python deploy/traffic.py [--server HOST:PORT] [--calm-s 180] [--corrupt noise:0.3]

`batchproof load` sends the pictures. Beside it, one picture at a time is asked about and its true
label reported, as a warehouse would that learns days later what it had photographed.
"""

import argparse
import itertools
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
from PIL import Image

from batchproof_client import BatchproofError, Client
from batchproof_client.loadtest.corruption import corrupted, parse_corruption, variants

# Of the load client: fine, an objective was missed, this machine was too slow to measure.
_LOADED = (0, 1, 3)

PICTURES = Path(__file__).resolve().parents[1] / "tests" / "data" / "fashion_mnist_1000.npz"


def main() -> int:
    """Both halves, one after the other; the second lasts until it is stopped."""
    asked = _arguments().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        labels = _write_pictures(asked.data, Path(folder))
        halves = (("like the reference", "", f"{asked.calm_s}s"), ("drifting", asked.corrupt, "1h"))
        for name, corruption, duration in halves:
            print(f"traffic: {name} {corruption}", flush=True)
            code = _half(asked, labels, corruption, duration)
            if code not in _LOADED:
                return code
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Traffic that drifts half way.")
    parser.add_argument("--server", default="127.0.0.1:8500", metavar="HOST:PORT")
    parser.add_argument("--data", type=Path, default=PICTURES, metavar="FILE", help=".npz")
    parser.add_argument("--calm-s", type=int, default=180, help="before the drift")
    parser.add_argument("--corrupt", default="noise:0.3", help="as of batchproof load")
    parser.add_argument("--rate", type=float, default=20, help="requests per second")
    parser.add_argument("--labels-s", type=float, default=0.25, help="from a label to the next")
    return parser


def _write_pictures(data: Path, folder: Path) -> dict[Path, int]:
    """Each picture as a file, and its class."""
    with np.load(data) as arrays:
        files = {
            folder / f"{number:04d}.png": int(label)
            for number, label in enumerate(arrays["labels"])
        }
        for file, pixels in zip(files, arrays["images"], strict=True):
            Image.fromarray(pixels).save(file)
    return files


def _half(
    asked: argparse.Namespace, labels: dict[Path, int], corruption: str, duration: str
) -> int:
    """Exit code of the load client."""
    folder = next(iter(labels)).parent
    command = [sys.executable, "-m", "batchproof_client", "load", "--server", asked.server]
    command += ["--images", str(folder), "--rate", str(asked.rate), "--duration", duration]
    command += ["--corrupt", corruption] if corruption else []
    ended = threading.Event()
    reporter = threading.Thread(target=_report, args=(asked, labels, corruption, ended))
    reporter.start()
    try:
        return subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
    finally:
        ended.set()
        reporter.join()


def _report(
    asked: argparse.Namespace, labels: dict[Path, int], corruption: str, ended: threading.Event
) -> None:
    """Asks and reports until it has ended; a server that is away is asked again."""
    # As of the load client: a step with a share spoils that share of the pictures.
    kinds = list(variants(parse_corruption(corruption) if corruption else ()))
    random = np.random.default_rng(0)
    order = random.permutation(len(labels))
    pictures = list(labels.items())
    with Client(asked.server) as client:
        for turn in itertools.count():
            if ended.wait(asked.labels_s):
                return
            file, label = pictures[order[turn % len(order)]]
            kind = kinds[random.choice(len(kinds), p=[each.share for each in kinds])]
            try:
                answer = client.predict(corrupted(file.read_bytes(), kind.steps, seed=turn))
                client.report_outcome(handle=answer.handle, label=label)
            except BatchproofError as error:
                print(f"traffic: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
