"""A search in virtual time: the server of the test keeps up with 100 requests/s and no more."""

import asyncio
import signal
from collections.abc import Sequence

import pytest

from batchproof_client.connection import Endpoint
from batchproof_client.loadtest import fleet, session
from batchproof_client.loadtest.arrivals import Arrivals, ClosedLoop, OpenLoop
from batchproof_client.loadtest.identical import Identity
from batchproof_client.loadtest.items import Item
from batchproof_client.loadtest.live import LiveView
from batchproof_client.loadtest.record import Recorder
from batchproof_client.loadtest.runner import Runner, Work
from batchproof_client.loadtest.settings import Pace
from batchproof_client.loadtest.target import Answer, Outcome
from batchproof_client.loadtest.worker import Finished, Job
from support.virtual_time import run_virtually
from unit.loadtest.results import settings

PACE = Pace("30", 0, "constant", None, 5.0, 0.0, None, 0)
ADDRESS = session.Address(Endpoint("s:1"), 60.0)


class Queue:
    """Serves one request after the other, each in the same time."""

    def __init__(self, service_s: float) -> None:
        self._service_s = service_s
        self._free_at_s = 0.0

    async def send(self, item: Item, timeout_s: float) -> Outcome:
        """Waits for its turn."""
        del item, timeout_s
        now_s = asyncio.get_running_loop().time()
        self._free_at_s = max(now_s, self._free_at_s) + self._service_s
        await asyncio.sleep(self._free_at_s - now_s)
        return Outcome("OK", answer=Answer("m:1", b"same"))

    async def close(self) -> None:
        """Nothing to close."""


class Fleet:
    """Stands in for the processes."""

    def __init__(self, *, service_s: float = 0.01, busy_above_hz: float = 1e9) -> None:
        self.rates_hz: list[float] = []
        self.interrupt_after = 100
        self._service_s = service_s
        self._busy_above_hz = busy_above_hz

    def run(
        self, jobs: Sequence[Job], observe: fleet.Observer, interrupt: fleet.Interrupt
    ) -> fleet.Harvest:
        """Runs the one job here."""
        (job,) = jobs
        rate_hz = rate_of(job.work.arrivals)
        self.rates_hz.append(rate_hz)
        interrupt.pressed = interrupt.pressed or len(self.rates_hz) >= self.interrupt_after
        harvest = run_virtually(self._perform(job, busy=rate_hz > self._busy_above_hz))
        observe(harvest, 1.0)
        return harvest

    async def _perform(self, job: Job, *, busy: bool) -> fleet.Harvest:
        recorder, identity = Recorder(1.0), Identity()
        runner = Runner(job.work, [Queue(self._service_s)], recorder, identity)
        ending = await runner.run(0.0, asyncio.Event())
        slices = tuple(recorder.take_all())
        finished = Finished(slices, ending, 1.0 if busy else 0.1, identity)
        return fleet.Harvest(list(slices), {}, [finished])


def rate_of(arrivals: Arrivals) -> float:
    assert isinstance(arrivals, OpenLoop)
    return arrivals.phases[-1].start_rate_hz


async def _items(*_: object) -> tuple[Item, ...]:
    return (Item("a", b"", 1.0, 1), Item("b", b"", 1.0, 1))


def search(
    monkeypatch: pytest.MonkeyPatch, stand_in: Fleet, view: LiveView | None = None
) -> session.LoadResult:
    monkeypatch.setattr(fleet, "run", stand_in.run)
    monkeypatch.setattr(session, "prepare", _items)
    return session.load(settings(PACE, find_max=True), ADDRESS, view or LiveView(None))


def test_the_highest_rate_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = Fleet()
    result = search(monkeypatch, stand_in)

    assert result.search is not None
    assert 90 <= result.search.held_hz <= 105
    assert result.verdict.exit_code == 0
    assert [probe.held for probe in result.probes[:3]] == [True, True, False]
    assert len(result.probes) == len(stand_in.rates_hz)
    assert result.run.total.sent_hz == pytest.approx(result.search.held_hz, rel=0.02)
    assert result.identity is not None
    assert result.identity.differences == ()


def test_a_server_that_keeps_nothing_is_a_missed_objective(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = search(monkeypatch, Fleet(service_s=10.0))
    assert result.verdict.exit_code == 1
    assert "no rate held the objectives" in result.verdict.reasons[0]


def test_a_client_at_its_end_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    result = search(monkeypatch, Fleet(busy_above_hz=100.0))
    assert result.verdict.exit_code == 3
    assert result.search is not None
    assert result.search.held_hz == 60
    assert "busy 100%" in result.verdict.client_limited


def test_ctrl_c_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = Fleet()
    stand_in.interrupt_after = 2
    result = search(monkeypatch, stand_in)
    assert len(result.probes) == 2
    assert result.verdict.exit_code == 130


def test_ctrl_c_between_two_runs_of_a_search_brings_the_report_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Pressing(LiveView):
        def begin(self, arrivals: Arrivals) -> None:
            super().begin(arrivals)
            if stand_in.rates_hz:
                signal.raise_signal(signal.SIGINT)

    stand_in = Fleet()
    result = search(monkeypatch, stand_in, Pressing(None))
    assert len(result.probes) == 2
    assert result.verdict.exit_code == 130


def job(arrivals: Arrivals, count: int | None = None) -> Job:
    return Job(Work((), arrivals, 1.0, count), Endpoint("s:1"), "batchproof", 1, False, 1.0)  # noqa: FBT003 - a value of a Job


def test_callers_and_requests_are_divided_without_a_rest() -> None:
    parts = fleet.divided(job(ClosedLoop(7, 1.0), count=11), 3)
    loops = [part.work.arrivals for part in parts]

    assert [each.concurrency for each in loops if isinstance(each, ClosedLoop)] == [3, 2, 2]
    assert [part.work.count for part in parts] == [4, 4, 3]
    assert len(fleet.divided(job(ClosedLoop(2, 1.0)), 5)) == 2
    assert len(fleet.divided(job(ClosedLoop(9, 1.0), count=1), 5)) == 1
    assert [part.work.worker for part in fleet.divided(job(PACE.arrivals()), 2)] == [0, 1]


def test_the_interrupt_is_caught_once_and_handed_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    interrupt = fleet.Interrupt()
    with interrupt.watching():
        signal.raise_signal(signal.SIGINT)
        assert interrupt.pressed
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
