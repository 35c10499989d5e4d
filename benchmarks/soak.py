"""A soak: a server under mixed callers for a given time, how it grows, and what was lost.

    python benchmarks/soak.py [--minutes 10] [--bundle DIRECTORY]

Good callers ask in every protocol, some of them read slowly, and each answer must have the bits
that the same picture had before the load. Beside them others cancel, vanish in the midst of a
message, send garbage, and half ask for the metrics. Prints what became of the requests, what the
process held at rest before and after, and the slopes of its memory, descriptors and threads.
Ends with 1 when something was lost or wrong, or the server met what it did not foresee.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
from grpc import RpcError

from slopes import QUANTITIES, Sample, after, slopes_per_hour
from soak_callers import cancelling, garbage, half_asking, vanishing
from soak_protocols import STREAM_REQUESTS, Protocols, Served, Tally, connected
from subjects import EMBEDDED

UNFORESEEN: Final = {"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DATA_LOSS"}
_SAMPLES: Final = 300
_WARM_UP_SHARE: Final = 0.25
_SLOW_READER_S: Final = 0.02
_PAUSE_S: Final = 0.01
_REST_S: Final = 10.0
_LOG_MARKS: Final = ("Traceback", "unforeseen failure")


@dataclass
class Soak:
    """One run: its callers and what they saw.

    Attributes:
        truth: the bits of each picture by protocol, from before the load.
        unforeseen: codes that no caller should ever see.
        rounds: how often each unwanted caller came.
    """

    served: Served
    http: str
    process: psutil.Process
    chance: random.Random
    truth: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    unforeseen: list[str] = field(default_factory=list)
    rounds: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def sample(self, at_s: float) -> Sample:
        """What the server and its children hold now."""
        family = [self.process, *self.process.children(recursive=True)]
        return Sample(
            at_s,
            sum(each.memory_info().rss for each in family) / 2**20,
            sum(each.num_fds() for each in family),
            sum(each.num_threads() for each in family),
        )

    async def learn(self) -> None:
        """Asks for every picture in every way, once and alone."""
        truth: dict[str, list[bytes]] = {}
        async with connected(self.served.address) as channel:
            for name, ask in Protocols(channel, self.served).asks().items():
                for number in range(len(self.served.pictures)):
                    (answer,) = await ask([number])
                    if isinstance(answer, str):
                        raise SystemExit(f"{name}: {answer} before the load, expected an answer")
                    truth.setdefault(name, []).append(answer)
        self.truth = truth

    async def run(self, duration_s: float) -> None:
        """Lets all callers ask for so long, and samples the process meanwhile."""
        began_s = time.monotonic()
        until_s = began_s + duration_s
        callers = [
            *(self._good(name, until_s, 0.0) for name in self.truth),
            *(self._good(name, until_s, _SLOW_READER_S) for name in self.truth if "stream" in name),
            self._unwanted("cancelling", until_s, lambda: cancelling(self.served, self.chance)),
            self._unwanted("vanishing", until_s, lambda: vanishing(self.served, self.chance)),
            self._unwanted("half asking", until_s, lambda: half_asking(self.http, self.chance)),
            self._unwanted("garbage", until_s, self._garbage),
            self._unwanted("metrics", until_s, lambda: asyncio.to_thread(self._scrape)),
        ]
        asking = asyncio.gather(*callers)
        while not asking.done():
            self.samples.append(self.sample(time.monotonic() - began_s))
            await asyncio.wait((asking,), timeout=duration_s / _SAMPLES)
        await asking

    async def _good(self, name: str, until_s: float, pause_s: float) -> None:
        """Asks in one way, one batch after the other, over a connection that lives for some."""
        tally = self.tallies.setdefault(name + (", slowly" if pause_s else ""), Tally())
        while time.monotonic() < until_s:
            async with connected(self.served.address) as channel:
                ask = Protocols(channel, self.served, pause_s).asks()[name]
                for _ in range(STREAM_REQUESTS):
                    await self._batch(name, ask, tally)
                    if time.monotonic() >= until_s:
                        break

    async def _batch(
        self, name: str, ask: Callable[[Sequence[int]], Awaitable[list[bytes | str]]], tally: Tally
    ) -> None:
        numbers = self.chance.choices(range(len(self.served.pictures)), k=STREAM_REQUESTS)
        tally.asked += len(numbers)
        for number, answer in zip(numbers, await ask(numbers), strict=True):
            tally.count(answer, self.truth[name][number])
        await asyncio.sleep(_PAUSE_S)

    async def _unwanted(
        self, name: str, until_s: float, come: Callable[[], Awaitable[object]]
    ) -> None:
        while time.monotonic() < until_s:
            with suppress(OSError, RpcError):
                await come()
            self.rounds[name] = self.rounds.get(name, 0) + 1
            await asyncio.sleep(_PAUSE_S)

    async def _garbage(self) -> None:
        codes = await garbage(self.served, self.chance)
        self.unforeseen.extend(code for code in codes if code in UNFORESEEN)

    def _scrape(self) -> None:
        with urllib.request.urlopen(f"http://{self.http}/metrics") as page:
            page.read()


@contextmanager
def server_of(bundle: Path, log: Path) -> Iterator[tuple[Mapping[str, str], psutil.Process]]:
    """Addresses and process of a server that serves one bundle."""
    ports = ("--grpc-port", "0", "--http-port", "0", "--log-level", "warning")
    command = [sys.executable, "-m", "batchproof_server", "serve", str(bundle), *ports]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
        )
    try:
        with process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            where = json.loads(process.stdout.readline())
            wait = [sys.executable, "-m", "batchproof_client", "status", "--wait", "300"]
            subprocess.run([*wait, "--server", where["grpc"]], check=True, capture_output=True)
            yield where, psutil.Process(process.pid)
            process.terminate()
    finally:
        process.kill()


def report(soak: Soak, warm_up_s: float, rest: tuple[Sample, Sample]) -> None:
    """Prints the tables."""
    print(f"{'caller':<32} {'asked':>9} {'answered':>9} {'busy':>7} {'wrong':>6} {'lost':>5}")
    for name, tally in soak.tallies.items():
        print(
            f"{name:<32} {tally.asked:>9} {tally.answered:>9} {tally.refused:>7} "
            f"{tally.wrong:>6} {len(tally.lost):>5}"
        )
    print("came as well: " + ", ".join(f"{name} {n}" for name, n in sorted(soak.rounds.items())))
    slopes = slopes_per_hour(after(soak.samples, warm_up_s))
    print(f"\n{'':<14} {'at rest':>9} {'most':>9} {'at rest':>9} {'slope per hour':>15}")
    for name in QUANTITIES:
        before, later = (getattr(each, name) for each in rest)
        most = max(getattr(each, name) for each in soak.samples)
        print(f"{name:<14} {before:>9.1f} {most:>9.1f} {later:>9.1f} {slopes[name]:>+15.2f}")


def faults(soak: Soak, log: str) -> list[str]:
    """What must not be, one sentence each."""
    found = [f"{name}: lost, {how}" for name, each in soak.tallies.items() for how in each.lost]
    found += [f"{name}: {each.wrong} wrong" for name, each in soak.tallies.items() if each.wrong]
    found += [
        f"{name}: no answer at all" for name, each in soak.tallies.items() if not each.answered
    ]
    found += [f"garbage: ended {code}" for code in soak.unforeseen]
    return found + [f"the log has: {mark}" for mark in _LOG_MARKS if mark in log]


async def soaked(soak: Soak, duration_s: float, rest_s: float) -> tuple[Sample, Sample]:
    """Runs it; what the process held at rest before and after."""
    await soak.learn()
    before = soak.sample(0)
    await soak.run(duration_s)
    await asyncio.sleep(rest_s)
    at_rest = soak.sample(0)
    await soak.learn()
    return before, at_rest


def main() -> int:
    """Runs, prints, and judges."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--bundle", type=Path, default=EMBEDDED, help="of a model of pictures")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    duration_s = 60 * given.minutes
    pictures = [file.read_bytes() for file in sorted((EMBEDDED / "samples").glob("*.png"))]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with server_of(given.bundle, log) as (where, process):
            served = Served(where["grpc"], given.bundle.resolve().parent.name, pictures)
            soak = Soak(served, where["http"], process, random.Random(given.seed))  # noqa: S311 - a seed is wanted
            rest = asyncio.run(soaked(soak, duration_s, min(_REST_S, duration_s)))
        found = faults(soak, log.read_text())
    report(soak, _WARM_UP_SHARE * duration_s, rest)
    print("\n" + ("\n".join(found) or "nothing was lost"))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
