"""A real server with a real profile, the pictures that it is sent, and what its counters say."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from batchproof_client import Client, PredictResult
from batchproof_client.loadtest.corruption import Step, corrupted
from batchproof_server.base.signature import TensorSpec
from batchproof_server.drift.counters import Ruler
from batchproof_server.drift.pictures import input_values
from batchproof_server.drift.signals import Signals, prediction_signals
from batchproof_server.imaging.decoded import decode_image, input_statistics
from batchproof_server.imaging.encoding import encode_png
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.recipe import Recipe, compile_recipe, pillow_plugs
from batchproof_server.models.manifest import parse_manifest
from batchproof_server.models.profiles import read_profile
from drift_tests import Floats

EMBEDDED: Final = Path(__file__).parents[1] / "examples/fashion_mnist/models/fashion-mnist/1"
DEBIAN_FOLDER: Final = Path("/usr/share/datasets/fashion-mnist")
CHUNK_ROWS: Final = 50
"""Pictures of one request; the counters are read after each."""
_PATIENCE_S: Final = 5.0
_POLL_S: Final = 0.005
_SERIES: Final = re.compile(
    r"^batchproof_drift_(\w+)\{(.*)\} (\S+)$",
    re.MULTILINE,
)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, eq=False)
class Pictures:
    """Labelled grey pictures: uint8 [pictures, 28, 28] and [pictures]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def take(self, rows: NDArray[np.intp]) -> "Pictures":
        """Some of them."""
        return Pictures(self.images[rows], self.labels[rows])


@dataclass(frozen=True, eq=False)
class Reading:
    """The drift counters at one instant.

    Attributes:
        counts: by signal, float64 [bins].
        shares: of the reference, by signal, float64 [bins].
        reference: how many observations those are of, by signal.
    """

    counts: Mapping[str, Floats]
    shares: Mapping[str, Floats]
    reference: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Sent:
    """What came of one stream of pictures.

    Attributes:
        signals: the values of each picture, by name, float64 [pictures].
        readings: of the counters before the first request and after each.
    """

    signals: Mapping[str, Floats]
    readings: Sequence[Reading]

    def chunk_counts(self, signal: str) -> Floats:
        """What the exported counters grew by with each request, float64 [requests, bins]."""
        counted: Floats = np.diff([each.counts[signal] for each in self.readings], axis=0)
        return counted


def read_test_pictures(folder: Path) -> Pictures:
    """The 10,000 test pictures of Fashion-MNIST, which the model has not seen in training."""
    images = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return Pictures(pixels, np.frombuffer(labels, np.uint8, offset=8))


def build_bundle(directory: Path, reference: Pictures) -> Path:
    """A copy of the embedded bundle with a profile, built by ``batchproof-server profile``."""
    bundle = directory / "fashion-mnist" / "1"
    shutil.copytree(EMBEDDED, bundle, ignore=shutil.ignore_patterns("profile.json"))
    data = directory / "reference.npz"
    np.savez(data, images=reference.images, labels=reference.labels)
    command = [sys.executable, "-m", "batchproof_server", "profile", str(bundle), "--data"]
    subprocess.run([*command, str(data)], check=True, stdout=subprocess.DEVNULL)
    return bundle


class Bench:
    """A running server that is sent pictures.

    Attributes:
        profile: what it compares with.

    Args:
        bundle: what it serves.
        http: the address of its metrics.
        client: connected to it.
    """

    def __init__(self, bundle: Path, http: str, client: Client) -> None:
        self.profile = read_profile(bundle / "profile.json")
        self._ruler = Ruler(self.profile)
        self._recipe = _recipe(bundle)
        self._metrics = f"http://{http}/metrics"
        self._client = client

    def send(self, pictures: Sequence[bytes]) -> Sent:
        """Sends each picture once and reads the counters after every request.

        Raises:
            RuntimeError: the counters are not what the server's counting code makes of the answers.
        """
        readings = [self.read()]
        parts = []
        for start in range(0, len(pictures), CHUNK_ROWS):
            chunk = pictures[start : start + CHUNK_ROWS]
            result = self._client.predict(
                list(chunk), top_k=0, return_probabilities=True, return_logits=True
            )
            readings.append(self._read_after(readings[-1], len(chunk)))
            signals = self._signals(result, chunk)
            self._check(signals, readings[-2], readings[-1])
            parts.append(signals)
        values = {
            name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values
        }
        classes = np.concatenate([part.classes for part in parts]).astype(np.float64)
        return Sent({"class": classes, **values}, readings)

    def read(self) -> Reading:
        """Reads the exposition."""
        with urllib.request.urlopen(self._metrics) as page:  # noqa: S310 - our own server
            text = page.read().decode()
        found: dict[str, dict[str, dict[str, float]]] = {}
        for family, text_labels, value in _SERIES.findall(text):
            labels = dict(_LABEL.findall(text_labels))
            if "signal" in labels:
                series = found.setdefault(family, {}).setdefault(labels["signal"], {})
                series[labels.get("bin", "")] = float(value)
        return Reading(
            counts=_by_bin(found["observations_total"]),
            shares=_by_bin(found["reference_share_ratio"]),
            reference={
                name: int(bins[""]) for name, bins in found["reference_observations"].items()
            },
        )

    def _read_after(self, before: Reading, rows: int) -> Reading:
        """The counters once they hold the rows: an answer goes out before it is counted."""
        reached = before.counts["class"].sum() + rows
        until_s = time.monotonic() + _PATIENCE_S
        while (reading := self.read()).counts["class"].sum() < reached:
            if time.monotonic() > until_s:
                break
            time.sleep(_POLL_S)
        return reading

    def _signals(self, result: PredictResult, chunk: Sequence[bytes]) -> Signals:
        rows = result.rows
        signals = prediction_signals(
            np.stack([row.probabilities for row in rows if row.probabilities is not None]),
            np.stack([row.logits for row in rows if row.logits is not None]),
            np.array([row.entropy for row in rows]),
            np.array([row.top.index for row in rows]),
        )
        inputs = input_statistics([decode_image(self._recipe, each).seen for each in chunk])
        every = {**signals.values, **input_values([inputs])}
        values = {name: each for name, each in every.items() if name in self.profile.signals}
        return Signals(signals.classes, values, signals.log_probabilities)

    def _check(self, signals: Signals, before: Reading, after: Reading) -> None:
        expected = self._ruler.counted(signals)
        for name, bins in zip(self._ruler.names, expected.bins, strict=True):
            counted = after.counts[name] - before.counts[name]
            if not np.array_equal(counted, bins[: len(counted)]) or bins[len(counted) :].any():
                raise RuntimeError(f"{name}: the server counted {counted}, expected {bins}")


@contextmanager
def served(bundle: Path) -> Iterator[Bench]:
    """Runs the server in a process of its own."""
    command = [sys.executable, "-m", "batchproof_server", "serve", str(bundle)]
    process = subprocess.Popen(
        [*command, "--grpc-port=0", "--http-port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"BATCHPROOF_SELF_CHECK__SHARE": "0"},
    )
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        addresses = json.loads(process.stdout.readline())
        wait = [sys.executable, "-m", "batchproof_client", "status", "--wait", "120"]
        subprocess.run([*wait, "--server", addresses["grpc"]], check=True, capture_output=True)
        with Client(addresses["grpc"], timeout_s=60) as client:
            yield Bench(bundle, addresses["http"], client)
    finally:
        process.terminate()
        process.wait()


def encoded(pictures: Pictures, step: Step | None) -> list[bytes]:
    """The pictures as PNG files, spoilt by ``batchproof load``'s own code."""
    files = [encode_png(image) for image in pictures.images]
    if step is None:
        return files
    return [corrupted(file, (step,), seed) for seed, file in enumerate(files)]


def _recipe(bundle: Path) -> Recipe:
    settings = parse_manifest((bundle / "batchproof.toml").read_text()).recipe
    if settings is None:
        raise RuntimeError("the embedded bundle has no recipe")
    spec = TensorSpec("image", np.dtype(np.float32), (28, 28, 1))
    return compile_recipe(settings, spec, pillow_plugs(), ImageLimits())


def _by_bin(found: Mapping[str, Mapping[str, float]]) -> dict[str, Floats]:
    return {name: np.array([bins[each] for each in sorted(bins)]) for name, bins in found.items()}
