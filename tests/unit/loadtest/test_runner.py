"""The runner in virtual time: no clock is read and nobody sleeps."""

import asyncio
import itertools

import pytest

from batchproof_client.loadtest.arrivals import (
    WARM_UP_STEP,
    Arrivals,
    ClosedLoop,
    OpenLoop,
    Phase,
)
from batchproof_client.loadtest.identical import Identity
from batchproof_client.loadtest.items import Item
from batchproof_client.loadtest.record import Recorder, Slice, Tally, total
from batchproof_client.loadtest.runner import Ending, Runner, Work
from batchproof_client.loadtest.target import Answer, Execution, Outcome
from support.virtual_time import VirtualLoop, run_virtually

ITEM = Item("one", b"", 1.0, 2)
STALL_S = (2.0, 4.0)


class Stalling:
    """Answers in 1 ms, but nothing between the second and the fourth second."""

    async def send(self, item: Item, timeout_s: float) -> Outcome:
        """Waits the stall out; gives up when the time is up, as gRPC does."""
        del item
        now_s = asyncio.get_running_loop().time()
        wait_s = 0.001 + (STALL_S[1] - now_s if STALL_S[0] <= now_s < STALL_S[1] else 0.0)
        await asyncio.sleep(min(wait_s, timeout_s))
        if wait_s > timeout_s:
            return Outcome("DEADLINE_EXCEEDED")
        return Outcome("OK", (Execution(4, 0.25, 0.5),))

    async def close(self) -> None:
        """Nothing to close."""


def play(
    arrivals: Arrivals,
    target: object = None,
    *,
    timeout_s: float = 60.0,
    count: int | None = None,
    stop_at_s: float | None = None,
) -> tuple[list[Slice], Ending]:
    async def run() -> tuple[list[Slice], Ending]:
        recorder, stop = Recorder(1.0), asyncio.Event()
        work = Work((ITEM,), arrivals, timeout_s, count)
        runner = Runner(work, [target or Stalling()], recorder)  # type: ignore[list-item]
        if stop_at_s is not None:
            asyncio.get_running_loop().call_at(stop_at_s, stop.set)
        ending = await runner.run(0.0, stop)
        assert runner.in_flight == 0
        return recorder.take_all(), ending

    return run_virtually(run())


def steady(rate_hz: float, duration_s: float = 6.0) -> OpenLoop:
    return OpenLoop((Phase(duration_s, rate_hz, rate_hz),), "constant")


def above(tally: Tally, limit_s: float, name: str = "latency") -> int:
    histogram = tally.histograms[name]
    return histogram.count - histogram.count_within(limit_s)


def test_a_stall_shows_in_every_request_that_was_due_during_it() -> None:
    slices, _ = play(steady(100))
    tally = total(slices)

    assert tally.codes == {"OK": 600}
    assert above(tally, 0.01) == pytest.approx(200, abs=2)  # all that were due in the 2 s
    assert above(tally, 1.0) == pytest.approx(100, abs=2)  # and each with its own wait
    assert tally.histograms["latency"].percentile_s(99) == pytest.approx(1.94, abs=0.02)
    assert tally.histograms["latency"].max_s == pytest.approx(2.0, abs=0.01)


def test_a_closed_loop_omits_what_it_did_not_send() -> None:
    """Which is why an open loop is the better question."""
    slices, _ = play(ClosedLoop(1, 6.0))
    tally = total(slices)

    assert above(tally, 0.01) == 1
    assert tally.histograms["latency"].percentile_s(99) < 0.01


def test_a_stall_of_the_client_shows_in_latency_and_lag_and_not_in_service_time() -> None:
    class Holding(Stalling):
        async def send(self, item: Item, timeout_s: float) -> Outcome:
            del item, timeout_s
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            if 1.0 <= loop.time() < 1.01:
                loop.hold_up(1.0)
            await asyncio.sleep(0.001)
            return Outcome("OK")

    slices, _ = play(steady(100, 3.0), Holding())
    tally = total(slices)

    assert above(tally, 0.005) == pytest.approx(101, abs=2)
    assert above(tally, 0.005, "send_lag") == pytest.approx(100, abs=2)
    assert above(tally, 0.005, "service") == 1  # the one that held everything up


def test_each_interval_and_step_counts_its_own() -> None:
    phases = (
        Phase(1.0, 10, 10, WARM_UP_STEP),
        Phase(1.0, 20, 20, 0),
        Phase(1.0, 40, 40, 1),
    )
    slices, ending = play(OpenLoop(phases, "constant"), Quick())

    assert ending == Ending(3.0, 0)
    assert [(each.interval, each.step, each.sent) for each in slices] == [
        (0, WARM_UP_STEP, 10),
        (1, 0, 20),
        (2, 1, 40),
    ]
    assert [each.ok_rows for each in slices] == [20, 40, 80]


class Quick(Stalling):
    """Answers at once."""

    async def send(self, item: Item, timeout_s: float) -> Outcome:
        """At once."""
        del item, timeout_s
        return Outcome("OK")


def test_codes_and_the_servers_figures_are_counted() -> None:
    script = itertools.cycle(["OK", "RESOURCE_EXHAUSTED", "OK", "UNAVAILABLE"])

    class Scripted(Stalling):
        async def send(self, item: Item, timeout_s: float) -> Outcome:
            del item, timeout_s
            code = next(script)
            if code == "OK":
                return Outcome(code, (Execution(8, 0.25, 0.5),))
            await asyncio.sleep(0.5)
            return Outcome(code, detail=f"says {code}")

    tally = total(play(steady(10, 4.0), Scripted())[0])

    assert tally.codes == {"OK": 20, "RESOURCE_EXHAUSTED": 10, "UNAVAILABLE": 10}
    assert (tally.sent, tally.ok_rows) == (40, 40)
    assert tally.buckets == {8: 20}
    assert tally.histograms["queue_delay"].percentile_s(50) == pytest.approx(0.25, rel=1e-3)
    assert tally.histograms["execution"].max_s == pytest.approx(0.5, rel=1e-3)
    assert tally.histograms["latency"].count == 20
    assert tally.histograms["failure"].percentile_s(50) == pytest.approx(0.5, rel=1e-3)
    assert tally.examples["UNAVAILABLE"] == "says UNAVAILABLE"


def test_the_deadline_counts_from_the_due_instant() -> None:
    tally = total(play(steady(100), timeout_s=0.5)[0])

    assert tally.codes["DEADLINE_EXCEEDED"] == pytest.approx(150, abs=2)
    assert tally.codes.total() == 600


def test_a_request_whose_time_is_up_before_it_could_be_sent_is_still_counted() -> None:
    class Holding(Quick):
        async def send(self, item: Item, timeout_s: float) -> Outcome:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            if loop.time() < 0.01:
                loop.hold_up(2.0)
            return await super().send(item, timeout_s)

    tally = total(play(steady(10, 3.0), Holding(), timeout_s=1.0)[0])

    assert tally.codes.total() == 30
    assert tally.codes["DEADLINE_EXCEEDED"] == pytest.approx(10, abs=1)


def test_a_count_ends_an_open_and_a_closed_loop() -> None:
    endless = OpenLoop((Phase(float("inf"), 10, 10),), "constant")
    slices, ending = play(endless, Quick(), count=25)
    assert total(slices).codes.total() == 25
    assert ending.ended_s == pytest.approx(2.4)

    slices, _ = play(ClosedLoop(4, float("inf"), warm_up_s=0.5), count=25)
    measured = total(piece for piece in slices if piece.step == 0)
    assert measured.codes.total() == 25
    assert any(piece.step == WARM_UP_STEP for piece in slices)


def test_a_stopped_run_keeps_what_it_counted_and_says_what_it_left() -> None:
    slices, ending = play(steady(100), stop_at_s=3.0)

    assert ending.ended_s == pytest.approx(3.0)
    assert total(slices).codes.total() == pytest.approx(200, abs=2)
    assert ending.abandoned == pytest.approx(100, abs=2)

    slices, ending = play(ClosedLoop(3, 6.0), stop_at_s=3.0)
    assert ending.abandoned == 3
    assert total(slices).codes["OK"] > 0


def test_answers_are_handed_on_for_comparison() -> None:
    contents = itertools.cycle([b"a", b"a", b"b"])

    class Fickle(Quick):
        async def send(self, item: Item, timeout_s: float) -> Outcome:
            del item, timeout_s
            return Outcome("OK", (Execution(2, 0, 0),), Answer("m:1", next(contents)))

    identity = Identity()

    async def run() -> None:
        work = Work((ITEM,), steady(10, 3.0), 1.0)
        runner = Runner(work, [Fickle()], Recorder(1.0), identity)
        await runner.run(0.0, asyncio.Event())

    run_virtually(run())
    (difference,) = identity.differences({0: "one"}, "oip")
    assert (identity.answers, identity.items) == (30, 1)
    assert (difference.item, difference.times) == ("one", (20, 10))
    assert difference.buckets == ((2,), (2,))


def test_a_fault_of_the_client_itself_is_not_swallowed() -> None:
    class Broken(Quick):
        async def send(self, item: Item, timeout_s: float) -> Outcome:
            raise ZeroDivisionError(item, timeout_s)

    for arrivals in (steady(10, 1.0), ClosedLoop(2, 1.0)):
        with pytest.raises(ZeroDivisionError):
            play(arrivals, Broken())


def test_connections_are_used_in_turn() -> None:
    class Counting(Quick):
        def __init__(self) -> None:
            self.sent = 0

        async def send(self, item: Item, timeout_s: float) -> Outcome:
            self.sent += 1
            return await super().send(item, timeout_s)

    targets = (Counting(), Counting())

    async def run() -> None:
        work = Work((ITEM,), steady(10, 1.0), 1.0)
        await Runner(work, targets, Recorder(1.0)).run(0.0, asyncio.Event())

    run_virtually(run())
    assert [target.sent for target in targets] == [5, 5]


def test_finished_intervals_are_given_away_once() -> None:
    recorder = Recorder(1.0)
    recorder.sent(0.5, 0)
    recorder.sent(1.5, 0)

    assert [each.interval for each in recorder.take(1.2)] == [0]
    assert recorder.take(1.2) == []
    assert [each.interval for each in recorder.take_all()] == [1]


@pytest.mark.parametrize(
    ("code", "says"), [("INVALID_ARGUMENT", "one: no"), ("RESOURCE_EXHAUSTED", "no")]
)
def test_what_is_refused_for_what_it_is_says_which_item_it_was(code: str, says: str) -> None:
    class Refusing(Stalling):
        async def send(self, item: Item, timeout_s: float) -> Outcome:
            del item, timeout_s
            return Outcome(code, detail="no")

    slices, _ = play(ClosedLoop(1, 1.0), Refusing(), count=1)
    assert total(slices).examples == {code: says}
