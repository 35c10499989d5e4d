"""A finished load, made up in virtual time."""

import asyncio
import itertools
from datetime import UTC, datetime

from batchproof_client.connection import Endpoint
from batchproof_client.loadtest.arrivals import Arrivals, OpenLoop, Phase
from batchproof_client.loadtest.identical import Difference
from batchproof_client.loadtest.items import Item
from batchproof_client.loadtest.mix import Kind
from batchproof_client.loadtest.objective import Objective
from batchproof_client.loadtest.record import Recorder, Slice
from batchproof_client.loadtest.runner import Runner, Work
from batchproof_client.loadtest.search import Search
from batchproof_client.loadtest.session import Address, LoadResult
from batchproof_client.loadtest.settings import Files, Judgement, LoadSettings, Pace
from batchproof_client.loadtest.summary import summarise
from batchproof_client.loadtest.target import Execution, Outcome
from batchproof_client.loadtest.verdict import IdentityFinding, judge, kept
from support.virtual_time import run_virtually

PACE = Pace("20..60/3", 0, "constant", None, 6.0, 1.0, None, 5)
SERVER = '<b>"server"</b>:1'


class Varied:
    """Answers more slowly each time, refuses every tenth, and says nothing in the third second."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    async def send(self, item: Item, timeout_s: float) -> Outcome:
        """Waits in virtual time."""
        del item, timeout_s
        number = next(self._numbers)
        now_s = asyncio.get_running_loop().time()
        await asyncio.sleep(number / 10_000 + (4.0 - now_s if 3.0 <= now_s < 4.0 else 0.0))
        if number % 10 == 0:
            return Outcome("RESOURCE_EXHAUSTED", detail="<full>")
        return Outcome("OK", (Execution(4, 0.001, 0.002),))

    async def close(self) -> None:
        """Nothing to close."""


def slices_of(arrivals: Arrivals) -> list[Slice]:
    """Runs."""

    async def run() -> list[Slice]:
        recorder = Recorder(1.0)
        work = Work((Item("a", b"", 1.0, 1),), arrivals, 10.0)
        await Runner(work, [Varied()], recorder).run(0.0, asyncio.Event())
        return recorder.take_all()

    return run_virtually(run())


def settings(pace: Pace = PACE, *, find_max: bool = False) -> LoadSettings:
    """Of a load that is strict."""
    judgement = Judgement(
        objectives=(Objective(99, 0.05),),
        find_max=find_max,
        precision=0.05,
        most_errors=0.01,
        send_lag_s=0.01,
        check_identical=True,
    )
    return LoadSettings(
        pace=pace,
        kinds=(Kind(2.0, "m:1", generate="8x8:png"), Kind(model="n", tensors="random")),
        corruption=(),
        protocol="batchproof",
        connections=1,
        processes=1,
        metadata=(),
        judgement=judgement,
        files=Files(None, None, None),
    )


def result(pace: Pace = PACE, *, search: Search | None = None, empty: bool = False) -> LoadResult:
    """A load that went as badly as it can."""
    arrivals = pace.arrivals()
    asked = settings(pace, find_max=search is not None)
    slices = [] if empty else slices_of(arrivals)
    run = summarise(slices, arrivals, 7.0, 1.0, keeps=lambda tally: kept(asked.judgement, tally))
    difference = Difference(
        "<i>boot\u202e\x1b[2K.png</i>", "m:1 ab cd", 2, (9, 1), ((2,), (4,)), 1e-7
    )
    identity = IdentityFinding(10, 2, (difference,))
    return LoadResult(
        settings=asked,
        address=Address(Endpoint(SERVER), 10.0),
        started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        run=run,
        busy_shares=(0.5,),
        abandoned=3,
        search=search,
        probes=run.steps if search is not None else (),
        identity=identity,
        verdict=judge(asked.judgement, run.tally, "it was slow", identity=identity, search=search),
    )


def endless() -> OpenLoop:
    """An open loop without a last phase."""
    return OpenLoop((Phase(float("inf"), 5, 5),), "constant")
