"""P15: the schedule is monotone, seeded and blind to the answers; latency counts from due."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_client.loadtest.arrivals import (
    WARM_UP_STEP,
    Arrival,
    Burst,
    ClosedLoop,
    OpenLoop,
    Phase,
    Spacing,
    first_measured,
    schedule,
    share_of,
)
from batchproof_client.loadtest.items import Item
from batchproof_client.loadtest.record import Recorder, Sample
from batchproof_client.loadtest.runner import Runner, Work
from batchproof_client.loadtest.target import Outcome
from support.virtual_time import run_virtually

rates = st.floats(0, 40)
durations = st.floats(0.1, 5)
bursts = st.none() | st.builds(Burst, st.integers(1, 5), st.floats(0.1, 4))
spacings: st.SearchStrategy[Spacing] = st.sampled_from(["poisson", "constant"])


@st.composite
def loads(draw: st.DrawFn) -> OpenLoop:
    steps = draw(st.integers(1, 4))
    phases = tuple(
        Phase(draw(durations), draw(rates), draw(rates), WARM_UP_STEP if step == 0 else step)
        for step in range(steps)
    )
    return OpenLoop(phases, draw(spacings), draw(bursts), draw(st.integers(0, 9)))


@given(loads())
def test_arrivals_come_in_the_order_of_time_and_within_their_phases(load: OpenLoop) -> None:
    arrivals = list(schedule(load))
    dues_s = [each.due_s for each in arrivals]
    ends_s = list(itertools.accumulate(phase.duration_s for phase in load.phases))
    edges = dict(zip([phase.step for phase in load.phases], [0.0, *ends_s], strict=False))

    assert dues_s == sorted(dues_s)
    for arrival in arrivals:
        end_s = ends_s[[phase.step for phase in load.phases].index(arrival.step)]
        assert edges[arrival.step] <= arrival.due_s <= end_s


@given(loads())
def test_the_same_seed_gives_the_same_arrivals(load: OpenLoop) -> None:
    assert list(schedule(load)) == list(schedule(load))


def test_another_seed_gives_other_arrivals() -> None:
    phases = (Phase(10, 10, 10),)
    assert list(schedule(OpenLoop(phases, seed=1))) != list(schedule(OpenLoop(phases, seed=2)))


@given(st.integers(1, 500), st.integers(1, 20))
def test_a_constant_rate_gives_exactly_its_requests_evenly(rate_hz: int, duration_s: int) -> None:
    load = OpenLoop((Phase(duration_s, rate_hz, rate_hz),), "constant")
    dues_s = [each.due_s for each in schedule(load)]

    assert len(dues_s) == rate_hz * duration_s
    assert dues_s == pytest.approx([number / rate_hz for number in range(len(dues_s))])


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 10))
def test_a_ramp_gives_the_area_under_its_line(start: int, end: int, half_s: int) -> None:
    load = OpenLoop((Phase(2 * half_s, start, end),), "constant")
    assert len(list(schedule(load))) == (start + end) * half_s


def test_random_arrivals_have_the_mean_and_the_spread_of_a_poisson_process() -> None:
    load = OpenLoop((Phase(1000.0, 50, 50),), "poisson", seed=3)
    dues_s = [each.due_s for each in schedule(load)]
    gaps_s = [after - before for before, after in itertools.pairwise(dues_s)]
    mean_s = sum(gaps_s) / len(gaps_s)
    variance = sum((gap_s - mean_s) ** 2 for gap_s in gaps_s) / len(gaps_s)

    assert mean_s == pytest.approx(1 / 50, rel=0.02)
    assert variance == pytest.approx(mean_s**2, rel=0.05)


@given(loads(), st.integers(1, 5))
def test_the_shares_of_all_processes_are_the_whole_schedule(load: OpenLoop, workers: int) -> None:
    shares = [list(share_of(schedule(load), number, workers)) for number in range(workers)]
    together = sorted(itertools.chain(*shares), key=lambda each: each.due_s)

    assert [each.due_s for each in together] == [each.due_s for each in schedule(load)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(loads(), st.integers(1, 20))
def test_a_count_ends_after_so_many_measured_requests(load: OpenLoop, count: int) -> None:
    cut = list(first_measured(schedule(load), count))
    whole = list(schedule(load))

    assert cut == whole[: len(cut)]
    measured = sum(each.step != WARM_UP_STEP for each in cut)
    assert measured == min(count, sum(each.step != WARM_UP_STEP for each in whole))


def test_bursts_come_on_top() -> None:
    load = OpenLoop((Phase(10, 0, 0),), burst=Burst(3, 4.0))
    assert list(schedule(load)) == [Arrival(4.0, 0)] * 3 + [Arrival(8.0, 0)] * 3


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Phase(0, 1, 1), "more than 0"),
        (lambda: Phase(1, -1, 1), "0 or more"),
        (lambda: Phase(float("inf"), 1, 2), "no slope"),
        (lambda: Burst(0, 1), "1 or more"),
        (lambda: Burst(1, 0), "more than 0"),
        (lambda: ClosedLoop(0, 1), "1 or more"),
    ],
)
def test_what_cannot_be_scheduled_is_refused(make: object, says: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=says):
        make()


class _Slow:
    """Answers after the next of some delays."""

    def __init__(self, delays_s: list[float]) -> None:
        self._delays_s = itertools.cycle(delays_s)

    async def send(self, item: Item, timeout_s: float) -> Outcome:
        del item, timeout_s
        await asyncio.sleep(next(self._delays_s))
        return Outcome("OK")

    async def close(self) -> None:
        """Nothing to close."""


class _Kept(Recorder):
    """Keeps every sample."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.samples: list[Sample] = []

    def ended(self, sample: Sample) -> None:
        """Keeps it."""
        self.samples.append(sample)


@given(loads(), st.lists(st.floats(0, 30), min_size=1, max_size=4))
def test_no_answer_changes_when_requests_are_sent(load: OpenLoop, delays_s: list[float]) -> None:
    item = Item("one", b"", 1.0, 1)
    kept = _Kept()

    async def run() -> None:
        runner = Runner(Work((item,), load, timeout_s=60.0), [_Slow(delays_s)], kept)
        await runner.run(0.0, asyncio.Event())

    run_virtually(run())
    dues_s = [each.due_s for each in schedule(load)]
    assert sorted(each.due_s for each in kept.samples) == dues_s
    for sample in kept.samples:
        assert sample.sent_s == pytest.approx(sample.due_s, abs=1e-6)
        assert sample.done_s - sample.sent_s == pytest.approx(
            min(delays_s, key=lambda each: abs(each - (sample.done_s - sample.sent_s))), abs=1e-6
        )
