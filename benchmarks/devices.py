"""Device processes against the thread device: the hop, and requests/s of one version.

``python benchmarks/devices.py BUNDLE [--concurrency 16] [--rounds 5] [--counts 1 2]``. All are
loaded by one process, which asks them in turns, without a port; each figure is the median of the
rounds. ``taskset -c 0`` confines everything to one core. Several processes divide the cores that
they may use among them.
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
from batchproof_server.application.core import Core, Told, build_core
from batchproof_server.base.events import Event
from batchproof_server.base.signature import Signature, Tensors
from batchproof_server.devices.child import DeviceProcess
from batchproof_server.devices.group import DeviceGroup
from batchproof_server.devices.process import ProcessDevice
from batchproof_server.devices.settings import DeviceSettings
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


def processes_mb(served: ServedModel) -> float:
    """What the processes of a version have in memory together, in megabytes."""
    device = served.device
    members = device.members if isinstance(device, DeviceGroup) else (device,)
    processes = [each._process for each in members if isinstance(each, ProcessDevice)]  # noqa: SLF001 - a look
    return sum(each.memory_bytes() for each in processes if isinstance(each, DeviceProcess)) / 1e6


async def load(bundle: Path, devices: DeviceSettings, kept: str) -> tuple[Core, ServedModel]:
    """Loads a bundle one way."""
    config = Config(proof=ProofSettings(certificate_directory=kept), devices=devices)
    core = build_core(config, Told(Silence()), processes=devices.kind == "process")
    place = Place("bundle", 1, bundle)
    if not isinstance(core.loader, ProcessLoader):
        return core, await core.load(place)
    everywhere = replace(core.loader, stays_here=lambda _: "")
    return core, await everywhere.load(place, lambda _: None)


async def compare(bundle: Path, concurrency: int, rounds: int, counts: list[int]) -> None:
    """Loads a bundle each way and prints the figures."""
    ways = {"thread": DeviceSettings()}
    ways |= {f"{count} x process": DeviceSettings("process", count=count) for count in counts}
    with tempfile.TemporaryDirectory() as kept:
        loaded = {way: await load(bundle, devices, kept) for way, devices in ways.items()}
    rows = rows_for(loaded["thread"][1].loaded.backend.signature)
    alone: dict[str, list[float]] = {way: [] for way in ways}
    rate: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, (_, served) in loaded.items():
            alone[way].append(await alone_ms(served, rows))
            rate[way].append(await requests_per_s(served, rows, concurrency))
    waiting = f"{concurrency} waiting, 1/s"
    print(f"{'':12} {'alone, ms':>10} {waiting:>18} {'lowest..highest':>17} {'MB':>6}")
    for way, (core, served) in loaded.items():
        span = f"{min(rate[way]):.0f}..{max(rate[way]):.0f}"
        figures = (
            f"{statistics.median(alone[way]):10.3f} {statistics.median(rate[way]):18.1f} {span:>17}"
        )
        print(f"{way:12} {figures} {processes_mb(served):6.0f}")
        served.close()
        core.close()


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--counts", type=int, nargs="+", default=[1], help="of processes")
    arguments = parser.parse_args()
    prepare_engines()
    bundle = arguments.bundle.resolve()
    asyncio.run(compare(bundle, arguments.concurrency, arguments.rounds, arguments.counts))


if __name__ == "__main__":
    main()
