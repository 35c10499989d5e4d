"""One ``batchproof load``: prepares, runs or searches, and judges."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol

from batchproof_client.connection import Endpoint
from batchproof_client.loadtest import fleet
from batchproof_client.loadtest.arrivals import Arrivals
from batchproof_client.loadtest.histogram import Histogram
from batchproof_client.loadtest.identical import Identity
from batchproof_client.loadtest.items import Item
from batchproof_client.loadtest.preparation import prepare
from batchproof_client.loadtest.record import Tally
from batchproof_client.loadtest.runner import Work
from batchproof_client.loadtest.search import Search
from batchproof_client.loadtest.settings import LoadSettings
from batchproof_client.loadtest.summary import RunSummary, StepSummary, bottleneck, summarise
from batchproof_client.loadtest.verdict import IdentityFinding, Verdict, judge, kept
from batchproof_client.loadtest.worker import Job

INTERVAL_S: Final = 1.0


class Watcher(Protocol):
    """Is told how a load is going."""

    def begin(self, arrivals: Arrivals) -> None:
        """A run starts."""
        ...

    def look(self, harvest: fleet.Harvest, elapsed_s: float) -> None:
        """Called a few times a second during a run."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """Where to send.

    Attributes:
        endpoint: the server.
        timeout_s: of each request, from its due instant.
    """

    endpoint: Endpoint
    timeout_s: float


@dataclass(frozen=True, slots=True, eq=False)
class LoadResult:
    """All that is known in the end.

    Attributes:
        settings: what was asked for.
        address: where to.
        started_at: in UTC.
        run: the figures; of a search: those of the highest rate that held, or else the last.
        busy_shares: of the sending threads.
        abandoned: requests under way when the user stopped the run.
        search: how it ended; None without one.
        probes: the runs of the search.
        identity: None when answers were not compared.
        verdict: on everything.
    """

    settings: LoadSettings
    address: Address
    started_at: datetime
    run: RunSummary
    busy_shares: tuple[float, ...]
    abandoned: int
    search: Search | None
    probes: tuple[StepSummary, ...]
    identity: IdentityFinding | None
    verdict: Verdict


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One run of the fleet."""

    summary: RunSummary
    harvest: fleet.Harvest
    limited: str

    @property
    def busy_shares(self) -> tuple[float, ...]:
        return tuple(each.busy_share for each in self.harvest.finished)


def load(settings: LoadSettings, address: Address, watcher: Watcher) -> LoadResult:
    """Runs a whole load.

    Raises:
        BatchproofError: it cannot be done.
    """
    Histogram().record(0.0)  # a missing package shows before anything is sent
    started_at = datetime.now(UTC)
    items = asyncio.run(prepare(settings, address.endpoint, address.timeout_s))
    session = _Session(settings, address, items, watcher)
    search: Search | None = None
    probes: tuple[StepSummary, ...] = ()
    with session.interrupt.watching():  # also between two runs
        if settings.judgement.find_max:
            search, run, probes = session.search()
        else:
            run = session.run(settings.pace.arrivals())
        identity = session.identity()
    return LoadResult(
        settings=settings,
        address=address,
        started_at=started_at,
        run=run.summary,
        busy_shares=run.busy_shares,
        abandoned=run.harvest.abandoned,
        search=search,
        probes=probes,
        identity=identity,
        verdict=judge(
            settings.judgement,
            run.summary.tally,
            session.limited,
            search=search,
            identity=identity,
            interrupted=session.interrupt.pressed,
        ),
    )


class _Session:
    """Runs of the fleet over the same items."""

    def __init__(
        self, settings: LoadSettings, address: Address, items: tuple[Item, ...], watcher: Watcher
    ) -> None:
        self.interrupt = fleet.Interrupt()
        self.limited = ""
        self._settings = settings
        self._address = address
        self._items = items
        self._watcher = watcher
        self._identity = Identity()

    def run(self, arrivals: Arrivals) -> _Run:
        """Sends one load and reads its figures."""
        settings = self._settings
        work = Work(
            items=self._items,
            arrivals=arrivals,
            timeout_s=self._address.timeout_s,
            count=settings.pace.count,
            seed=settings.pace.seed,
        )
        job = Job(
            work=work,
            endpoint=self._address.endpoint,
            protocol=settings.protocol,
            connections=settings.connections,
            check_identical=settings.judgement.check_identical,
            interval_s=INTERVAL_S,
        )
        self._watcher.begin(arrivals)
        jobs = fleet.divided(job, settings.processes)
        harvest = fleet.run(jobs, self._watcher.look, self.interrupt)
        if (seen := harvest.identity()) is not None:
            self._identity.merge(seen)
        summary = summarise(
            harvest.slices, arrivals, harvest.ended_s, INTERVAL_S, keeps=self._keeps()
        )
        busy_shares = (each.busy_share for each in harvest.finished)
        self.limited = bottleneck(summary.tally, busy_shares, settings.judgement.send_lag_s)
        return _Run(summary, harvest, self.limited)

    def _keeps(self) -> Callable[[Tally], bool] | None:
        judgement = self._settings.judgement
        return partial(kept, judgement) if judgement.objectives else None

    def search(self) -> tuple[Search, _Run, tuple[StepSummary, ...]]:
        """Runs at one rate after the other; ends early when the client or the user does."""
        judgement = self._settings.judgement
        search = Search(self._settings.pace.start_hz, judgement.precision)
        probes: list[StepSummary] = []
        best: _Run | None = None
        while (rate_hz := search.next_hz()) is not None:
            run = self.run(self._settings.pace.arrivals(rate_hz))
            held = kept(judgement, run.summary.tally)
            probes.append(StepSummary(len(probes), rate_hz, held, run.summary.total))
            # A run that the client spoilt says nothing against the server.
            if self.interrupt.pressed or (run.limited and not held):
                return search, best or run, tuple(probes)
            search = search.after(rate_hz, held=held)
            if best is None or held or not search.held_hz:
                best = run
        if best is None:
            raise AssertionError("a search tries at least one rate")
        self.limited = best.limited
        return search, best, tuple(probes)

    def identity(self) -> IdentityFinding | None:
        """What the comparison of the answers of all runs found."""
        if not self._settings.judgement.check_identical:
            return None
        names = {number: item.name for number, item in enumerate(self._items)}
        differences = self._identity.differences(names, self._settings.protocol)
        return IdentityFinding(self._identity.answers, self._identity.items, differences)
