"""A soak: a server under mixed callers for a given time, how it grows, and what was lost.

    python benchmarks/soak.py [--minutes 10] [--bundle DIRECTORY]

Everything is on at once: three versions of a model in processes of their own, of which two share a
label and one is the shadow of the others; callers with names and priorities, traces, captured rows,
REST, and a port for operators that keeps their orders. Good callers ask in every protocol, some of
them read slowly, and each answer must have the bits that the same picture had before the load.
Beside them others cancel, vanish in the midst of a message, send garbage, and half ask for the
metrics; operators move shares, take versions away, bring them back and change the shadow; and some
ask for diagnoses. Now and then all callers rest for a moment, since nobody else gives the shadow a
turn. Prints what became of the requests, what else was done, what the server and its devices held
at rest before and after, and the slopes of memory, descriptors and threads. Ends with 1 when
something was lost or wrong, when the shadow gave another answer than its copy, when a part did
nothing, or the server met what it did not foresee.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from grpc import RpcError

from slopes import Sample
from soak_callers import cancelling, garbage, half_asking, vanishing
from soak_judging import FAMILIES, Soaked, faults, report
from soak_operators import diagnosing, operating
from soak_protocols import STREAM_REQUESTS, Protocols, Served, Tally, connected
from soak_setting import LABEL, Metadata, Setting, counted, everything_on
from subjects import EMBEDDED

UNFORESEEN: Final = {"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DATA_LOSS"}
_SAMPLES: Final = 300
_WARM_UP_SHARE: Final = 0.25
_SLOW_READER_S: Final = 0.02
_PAUSE_S: Final = 0.01
_REST_S: Final = 10.0
_ROUND_S: Final = 10.0
_FEWEST_ROUNDS: Final = 4
_REST_SHARE: Final = 0.2
_DIAGNOSIS_PAUSE_S: Final = 30.0


@dataclass
class Soak:
    """One run: its callers and what they saw.

    Attributes:
        served: as its callers ask it, by their names.
        truth: the bits of each picture by protocol, from before the load.
        unforeseen: what no caller should ever see.
        rounds: how often each of the others came.
    """

    setting: Setting
    served: Mapping[str, Served]
    chance: random.Random
    truth: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    unforeseen: list[str] = field(default_factory=list)
    rounds: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    may_ask: asyncio.Event = field(default_factory=asyncio.Event)

    def sample(self, at_s: float) -> Sample:
        """What the server and its children hold now."""
        process = self.setting.process
        family = [process, *process.children(recursive=True)]
        return Sample(
            at_s,
            sum(each.memory_info().rss for each in family) / 2**20,
            sum(each.num_fds() for each in family),
            sum(each.num_threads() for each in family),
        )

    async def learn(self) -> None:
        """Asks for every picture in every way, once and alone."""
        truth: dict[str, list[bytes]] = {}
        served = self.served["shop"]
        async with connected(served.address) as channel:
            for name, ask in Protocols(channel, served).asks().items():
                for number in range(len(served.pictures)):
                    (answer,) = await ask([number])
                    if isinstance(answer, str):
                        raise SystemExit(f"{name}: {answer} before the load, expected an answer")
                    truth.setdefault(name, []).append(answer)
        self.truth = truth

    async def run(self, duration_s: float) -> None:
        """Lets all callers ask for so long, and samples the process meanwhile."""
        began_s = time.monotonic()
        until_s = began_s + duration_s
        asking = asyncio.gather(*self._callers(until_s))
        beside = [asyncio.create_task(each) for each in (self._rest(duration_s), self._diagnose())]
        while not asking.done():
            with suppress(psutil.NoSuchProcess):  # a device that ends just now
                self.samples.append(self.sample(time.monotonic() - began_s))
            await asyncio.wait((asking,), timeout=duration_s / _SAMPLES)
        for each in beside:
            each.cancel()
        await asking

    def _callers(self, until_s: float) -> Iterator[Coroutine[Any, Any, None]]:
        where, setting, shop = self.setting.where, self.setting, self.served["shop"]
        for name in self.truth:
            yield self._good("shop", name, until_s, 0.0)
            if "stream" in name:
                yield self._good("shop", name, until_s, _SLOW_READER_S)
        for caller in ("door", "nightly"):
            yield self._good(caller, "native", until_s, 0.0)
        bearing = setting.bearing["operator"]
        others: dict[str, Callable[[], Awaitable[object]]] = {
            "cancelling": lambda: cancelling(shop, self.chance),
            "vanishing": lambda: vanishing(shop, self.chance),
            "half asking": lambda: half_asking(where["http"], self.chance),
            "garbage": self._garbage,
            "metrics": lambda: asyncio.to_thread(self.scrape),
            "operating": lambda: self._operate(where["management"], bearing),
        }
        for name, come in others.items():
            yield self._others(name, until_s, come)

    async def _rest(self, duration_s: float) -> None:
        """Has everybody rest for a part of each round."""
        round_s = min(_ROUND_S, duration_s / _FEWEST_ROUNDS)
        while True:
            self.may_ask.set()
            await asyncio.sleep(round_s * (1 - _REST_SHARE))
            self.may_ask.clear()
            await asyncio.sleep(round_s * _REST_SHARE)

    async def _good(self, caller: str, name: str, until_s: float, pause_s: float) -> None:
        """Asks in one way, one batch after the other, over a connection that lives for some."""
        served = self.served[caller]
        suffix = (f", {caller}" if caller != "shop" else "") + (", slowly" if pause_s else "")
        tally = self.tallies.setdefault(name + suffix, Tally())
        while time.monotonic() < until_s:
            async with connected(served.address) as channel:
                ask = Protocols(channel, served, pause_s).asks()[name]
                for _ in range(STREAM_REQUESTS):
                    await self.may_ask.wait()
                    await self._batch(name, ask, tally)
                    if time.monotonic() >= until_s:
                        break

    async def _batch(
        self, name: str, ask: Callable[[Sequence[int]], Awaitable[list[bytes | str]]], tally: Tally
    ) -> None:
        pictures = self.served["shop"].pictures
        numbers = self.chance.choices(range(len(pictures)), k=STREAM_REQUESTS)
        tally.asked += len(numbers)
        for number, answer in zip(numbers, await ask(numbers), strict=True):
            tally.count(answer, self.truth[name][number])
        await asyncio.sleep(_PAUSE_S)

    async def _others(
        self, name: str, until_s: float, come: Callable[[], Awaitable[object]]
    ) -> None:
        while time.monotonic() < until_s:
            await self.may_ask.wait()
            with suppress(OSError, RpcError):
                await come()
            self.rounds[name] = self.rounds.get(name, 0) + 1
            await asyncio.sleep(_PAUSE_S)

    async def _garbage(self) -> None:
        codes = await garbage(self.served["shop"], self.chance)
        self.unforeseen.extend(f"garbage ended {code}" for code in codes if code in UNFORESEEN)

    async def _operate(self, address: str, bearing: Metadata) -> None:
        refused = await operating(address, self.setting.model, bearing, self.chance)
        self.unforeseen.extend(f"operator: {each}" for each in refused)

    async def _diagnose(self) -> None:
        while True:
            code = await diagnosing(self.served["shop"], self.chance)
            if code == "OK":
                self.rounds["diagnosing"] = self.rounds.get("diagnosing", 0) + 1
            elif code:
                self.unforeseen.append(f"diagnosis ended {code}")
            # While one is under way the shadow has no turn.
            await asyncio.sleep(_DIAGNOSIS_PAUSE_S)

    def scrape(self) -> str:
        """The page of metrics."""
        with urllib.request.urlopen(f"http://{self.setting.where['http']}/metrics") as page:
            text: str = page.read().decode()
            return text


async def soaked(soak: Soak, duration_s: float, rest_s: float) -> Soaked:
    """Runs it."""
    await soak.learn()
    before = soak.sample(0)
    await soak.run(duration_s)
    await asyncio.sleep(rest_s)
    at_rest = soak.sample(0)
    await soak.learn()
    page = await asyncio.to_thread(soak.scrape)
    done = {name: counted(page, [name], label)[name] for name, label in FAMILIES.items()}
    return Soaked(soak.tallies, soak.rounds, soak.unforeseen, soak.samples, (before, at_rest), done)


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
        with everything_on(given.bundle, Path(folder), log) as setting:
            where = setting.where
            served = {
                name: Served(where["grpc"], setting.model, pictures, where["web"], LABEL, bearing)
                for name, bearing in setting.bearing.items()
            }
            soak = Soak(setting, served, random.Random(given.seed))  # noqa: S311 - a seed is wanted
            seen = asyncio.run(soaked(soak, duration_s, min(_REST_S, duration_s)))
        found = faults(seen, log.read_text())
    report(seen, _WARM_UP_SHARE * duration_s)
    print("\n" + ("\n".join(found) or "nothing was lost"))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
