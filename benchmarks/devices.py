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
from typing import Final, NamedTuple

import numpy as np
import psutil

from batchproof_server.application.config import Config, prepare_engines
from batchproof_server.application.core import Core, Told, build_core
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.events import Event
from batchproof_server.base.signature import Signature, Tensors
from batchproof_server.devices.settings import DeviceSettings
from batchproof_server.models.discovery import Place
from batchproof_server.models.process_loader import ProcessLoader
from batchproof_server.models.served import ServedModel
from batchproof_server.proof.settings import ProofSettings

ROUND_S: Final = 2.0
ALONE: Final = 200
OWN: Final = psutil.Process()


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


class Loaded(NamedTuple):
    """A bundle as one way of devices loaded it."""

    core: Core
    served: ServedModel
    processes: list[psutil.Process]

    def megabytes(self) -> float:
        """What its processes have in memory together."""
        return sum(process.memory_info().rss for process in self.processes) / 1e6


async def load(bundle: Path, devices: DeviceSettings, threads: int, kept: str) -> Loaded:
    """Loads a bundle one way."""
    proof, engine = ProofSettings(certificate_directory=kept), EngineSettings(threads)
    config = Config(proof=proof, engine=engine, devices=devices)
    core = build_core(config, Told(Silence()), processes=devices.kind == "process")
    place = Place("bundle", 1, bundle)
    if not isinstance(core.loader, ProcessLoader):
        return Loaded(core, await core.load(place), [])
    everywhere, before = replace(core.loader, stays_here=lambda _: ""), set(OWN.children())
    served = await everywhere.load(place, lambda _: None)
    return Loaded(core, served, [each for each in OWN.children() if each not in before])


async def compare(
    bundle: Path, concurrency: int, rounds: int, counts: list[int], threads: int
) -> None:
    """Loads a bundle each way and prints the figures."""
    ways = {"thread": DeviceSettings()}
    ways |= {f"{count} x process": DeviceSettings("process", count=count) for count in counts}
    with tempfile.TemporaryDirectory() as kept:
        loaded = {way: await load(bundle, devices, threads, kept) for way, devices in ways.items()}
    rows = rows_for(loaded["thread"].served.loaded.backend.signature)
    alone: dict[str, list[float]] = {way: [] for way in ways}
    rate: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, each in loaded.items():
            alone[way].append(await alone_ms(each.served, rows))
            rate[way].append(await requests_per_s(each.served, rows, concurrency))
    waiting = f"{concurrency} waiting, 1/s"
    print(f"{'':12} {'alone, ms':>10} {waiting:>18} {'lowest..highest':>17} {'MB':>6}")
    for way, each in loaded.items():
        span = f"{min(rate[way]):.0f}..{max(rate[way]):.0f}"
        figures = (
            f"{statistics.median(alone[way]):10.3f} {statistics.median(rate[way]):18.1f} {span:>17}"
        )
        print(f"{way:12} {figures} {each.megabytes():6.0f}")
        each.served.close()
        each.core.close()


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--counts", type=int, nargs="+", default=[1], help="of processes")
    parser.add_argument("--threads", type=int, default=0, help="of an execution (its share)")
    arguments = parser.parse_args()
    prepare_engines()
    bundle = arguments.bundle.resolve()
    given = arguments.concurrency, arguments.rounds, arguments.counts, arguments.threads
    asyncio.run(compare(bundle, *given))


if __name__ == "__main__":
    main()
