"""A device process against the thread device: the hop, and requests/s of one version.

``python benchmarks/devices.py BUNDLE [--concurrency 16] [--rounds 5]``. Both devices are loaded by
one process, which asks them in turns, without a port; each figure is the median of the rounds.
``taskset -c 0`` confines everything to one core.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from batchproof_server.application.config import Config, prepare_engines
from batchproof_server.application.core import Told, build_core
from batchproof_server.base.events import Event
from batchproof_server.base.signature import Signature, Tensors
from batchproof_server.devices.child import DeviceProcess
from batchproof_server.devices.process import ProcessDevice
from batchproof_server.models.discovery import Place
from batchproof_server.models.process_loader import ProcessLoader
from batchproof_server.models.served import ServedModel
from batchproof_server.proof.settings import ProofSettings

ROUND_S: Final = 2.0
ALONE: Final = 200


class Silence:
    """An observer that forgets everything."""

    def notify(self, event: Event) -> None:
        """Does nothing."""


def rows_for(signature: Signature) -> Tensors:
    """One row of noise."""
    numbers = np.random.default_rng(0)
    return {
        spec.name: (numbers.random((1, *(size or 64 for size in spec.row_shape))) * 255).astype(
            spec.dtype
        )
        for spec in signature.inputs
    }


async def alone_ms(served: ServedModel, rows: Tensors) -> float:
    """The median time of a request that is alone."""
    took_s = []
    for _ in range(ALONE):
        started_s = time.perf_counter()
        await served.batcher.submit(rows, 1)
        took_s.append(time.perf_counter() - started_s)
    return statistics.median(took_s) * 1000


async def requests_per_s(served: ServedModel, rows: Tensors, concurrency: int) -> float:
    """Answers in a second to clients that ask again as soon as they are answered."""
    end_s, answered = time.perf_counter() + ROUND_S, 0

    async def ask() -> None:
        nonlocal answered
        while time.perf_counter() < end_s:
            await served.batcher.submit(rows, 1)
            answered += 1

    started_s = time.perf_counter()
    await asyncio.gather(*[ask() for _ in range(concurrency)])
    return answered / (time.perf_counter() - started_s)


def process_mb(served: ServedModel) -> float:
    """What the process of a process device has in memory, in megabytes."""
    device = served.device
    process = device._process if isinstance(device, ProcessDevice) else None  # noqa: SLF001 - a look
    return process.memory_bytes() / 1e6 if isinstance(process, DeviceProcess) else 0.0


async def compare(bundle: Path, concurrency: int, rounds: int, kept: str) -> None:
    """Loads a bundle both ways and prints the figures."""
    config = Config(proof=ProofSettings(certificate_directory=kept))
    place = Place("bundle", 1, bundle)
    cores = {
        kind: build_core(config, Told(Silence()), processes=kind == "process") for kind in KINDS
    }
    loader = cores["process"].loader
    assert isinstance(loader, ProcessLoader)  # noqa: S101 - narrows the type
    served = {
        "thread": await cores["thread"].load(place),
        "process": await replace(loader, stays_here=lambda _: "").load(place, lambda _: None),
    }
    rows = rows_for(served["thread"].loaded.backend.signature)
    alone: dict[str, list[float]] = {kind: [] for kind in KINDS}
    rate: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind in KINDS:
            alone[kind].append(await alone_ms(served[kind], rows))
            rate[kind].append(await requests_per_s(served[kind], rows, concurrency))
    for kind in KINDS:
        lowest, highest = min(rate[kind]), max(rate[kind])
        print(f"{kind:8} alone {statistics.median(alone[kind]):8.3f} ms")
        print(f"{concurrency} waiting {statistics.median(rate[kind]):8.1f}/s", end=" ")
        print(f"({lowest:.0f}..{highest:.0f})")
    print(f"memory of the device process: {process_mb(served['process']):.0f} MB")
    for kind in KINDS:
        served[kind].close()
        cores[kind].close()


KINDS: Final = ("thread", "process")


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    prepare_engines()
    with tempfile.TemporaryDirectory() as kept:
        asyncio.run(
            compare(arguments.bundle.resolve(), arguments.concurrency, arguments.rounds, kept)
        )


if __name__ == "__main__":
    main()
