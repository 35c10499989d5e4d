"""Laws of an overload: what is let in is answered in time, and the server is never idle for it."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchproof_server.base.errors import QueueFull
from batchproof_server.rpc.pressure import Pressure
from batchproof_server.serving.request import Trace
from support.fakes import FakeClock


@dataclass
class Overload:
    """Calls that come at random instants to a server that works on one after the other.

    Attributes:
        work_s: on each, beside any queue of the device; what was let in is worked on, late or not.
        timeout_s: of each caller.
        load: calls that come while one is worked on, in the mean.
    """

    work_s: float
    timeout_s: float
    load: float
    clock: FakeClock = field(default_factory=FakeClock)
    pressure: Pressure = field(init=False)
    in_time: int = 0
    late: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        self.pressure = Pressure(1_000_000, self.clock)

    def run(self, duration_s: float, counted_from_s: float = 0.0) -> None:
        """Lets calls come for so long, and counts those that end after an instant."""
        chance, waiting = np.random.default_rng(1), deque[tuple[float, float, int]]()
        began_s = self.clock.now_s()
        while (passed_s := self.clock.now_s() - began_s) < duration_s:
            if passed_s < counted_from_s:
                self.in_time = self.late = self.refused = 0
            self._until(self.clock.now_s() + chance.exponential(self.work_s / self.load), waiting)
            now_s = self.clock.now_s()
            try:
                by_s = self.pressure.executed_by_s("m", now_s + self.timeout_s, 0)
            except QueueFull:
                self.refused += 1
                continue
            assert by_s >= now_s
            free_s = max(now_s, waiting[-1][0] if waiting else now_s)
            waiting.append((free_s + self.work_s, now_s, self.pressure.begin_request("caller")))

    def _until(self, instant_s: float, waiting: deque[tuple[float, float, int]]) -> None:
        while waiting and waiting[0][0] <= instant_s:
            ended_s, came_s, under_way = waiting.popleft()
            self.clock.advance(ended_s - self.clock.now_s())
            self.pressure.end_request("caller")
            if ended_s - came_s > self.timeout_s:
                self.late += 1
                self.pressure.learn_late("m", ended_s - came_s)
            else:
                self.in_time += 1
                trace = Trace("m", 1, 1)
                took_s = ended_s - came_s
                self.pressure.learn_answer(trace, took_s, self.timeout_s, under_way)
        self.clock.advance(instant_s - self.clock.now_s())


@settings(max_examples=25)
@given(
    load=st.floats(1.5, 6),
    work_s=st.sampled_from([0.002, 0.01]),
    timeout_s=st.sampled_from([0.2, 0.5, 1.0]),
)
def test_soon_all_that_is_let_in_is_answered_in_time_and_the_server_is_never_idle(
    load: float, work_s: float, timeout_s: float
) -> None:
    # The first calls come before anything is known of the model, and the caution is learned once in
    # the time of an answer.
    settled_s = 10 * timeout_s
    overload = Overload(work_s, timeout_s, load)
    overload.run(settled_s + 2.0, counted_from_s=settled_s)
    assert overload.late <= 0.02 * (overload.in_time + overload.late)
    assert overload.in_time * work_s >= 0.97 * 2.0


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_without_overload_nobody_is_refused(load: float) -> None:
    overload = Overload(0.002, 0.5, load)
    overload.run(10.0)
    assert (overload.refused, overload.late) == (0, 0)
