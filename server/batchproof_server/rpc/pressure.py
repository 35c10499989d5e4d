"""Whether one more call may be answered: how many are, and what answers take of late."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import QueueFull
from batchproof_server.base.priorities import Priority
from batchproof_server.batching.connections import Ahead, Holdings
from batchproof_server.batching.priorities import with_priority
from batchproof_server.models.versions import Versions
from batchproof_server.serving.predictor import Predictor

_RETRY_AFTER_S = 0.1
_WARY_S = 1.0
_TRIED_EVERY_S = 0.1
# Of the limit this part is kept, beyond it, for callers that have less than others.
_SPARE_SHARE = 8


WINDOW_S = 1.0
"""An answer is remembered for as long as this at least, and less than three times as long."""


@dataclass(slots=True)
class _Window:
    answers: int = 0
    sum_s: float = 0.0
    squares_s2: float = 0.0
    shortest_s: float = math.inf

    def add(self, duration_s: float) -> None:
        self.answers += 1
        self.sum_s += duration_s
        self.squares_s2 += duration_s * duration_s
        self.shortest_s = min(self.shortest_s, duration_s)


# Contract
#
# likely_s is what nearly every answer of the last window took no longer than: their mean and two
# standard deviations, but no more than ten times the shortest, for beyond that it is not chance
# that differs but what was asked. An answer that came too late asks for at least as much and half
# more each time, up to three times the mean, and each that came in time for a hundredth less: what
# callers ask for in their last milliseconds is not worth beginning. Nothing is remembered for three
# windows: a server that refuses by it and therefore answers nothing forgets, and tries again.
class Pace:
    """Remembers the durations of the window at hand and of the one before."""

    def __init__(self) -> None:
        self._began_s = -math.inf
        self._before = _Window()
        self._now = _Window()
        self._margin_s = 0.0

    def learn(self, duration_s: float, now_s: float) -> None:
        """An answer took so long."""
        self._turn(now_s)
        self._now.add(duration_s)
        self._margin_s *= _KEPT_IN_TIME

    def learn_late(self, duration_s: float, now_s: float) -> None:
        """An answer was not there after so long, and then nobody waited for it any more."""
        self._turn(now_s)
        grown_s = max(self._margin_s * _GROWTH_LATE, duration_s)
        self._margin_s = min(grown_s, _MOST_MEANS * (self._mean_s() or _UNKNOWN_MEAN_S))

    def likely_s(self, now_s: float) -> float:
        """What an answer takes now, with some luck to spare; 0 when nothing is known."""
        self._turn(now_s)
        shortest_s = min(self._before.shortest_s, self._now.shortest_s)
        return max(self._margin_s, min(self._nearly_all_s(), _OF_ONE_KIND * shortest_s))

    def _nearly_all_s(self) -> float:
        answers = self._before.answers + self._now.answers
        if not answers:
            return 0.0
        mean_s = self._mean_s()
        squares_s2 = (self._before.squares_s2 + self._now.squares_s2) / answers
        return mean_s + _DEVIATIONS * math.sqrt(max(0.0, squares_s2 - mean_s * mean_s))

    def _mean_s(self) -> float:
        answers = self._before.answers + self._now.answers
        return (self._before.sum_s + self._now.sum_s) / answers if answers else 0.0

    def _turn(self, now_s: float) -> None:
        if now_s - self._began_s < WINDOW_S:
            return
        is_next = now_s - self._began_s < 2 * WINDOW_S
        self._before = self._now if is_next else _Window()
        self._margin_s = self._margin_s if is_next else 0.0
        self._began_s, self._now = now_s, _Window()


_DEVIATIONS = 2.0
_OF_ONE_KIND = 10.0
_GROWTH_LATE = 1.5
_KEPT_IN_TIME = 0.99
_MOST_MEANS = 3.0
_UNKNOWN_MEAN_S = 0.03


# Contract
#
# Lives on the loop thread. Of those that have too little time ten a second are let through all the
# same, so that a wrong idea of what an answer takes mends itself. Shares: what is being answered
# cannot be taken back, so a caller that would have fewer requests under way than another (by
# address, and by connection within its own) is let in beyond the limit too, an eighth more at most;
# so is what is critical. As many as end then are refused to those that have more, until the caller
# has as many as they. A caller is remembered while it has any.
class Pressure:
    """Counts the calls that are being answered and knows how long answers take.

    Args:
        max_concurrent_requests: more than these at the same time are refused, but for shares.
        clock: says what time it is.
    """

    def __init__(self, max_concurrent_requests: int, clock: Clock) -> None:
        self._max_concurrent_requests = max_concurrent_requests
        self._clock = clock
        self._running = 0
        self._holdings = Holdings()
        self._paces: defaultdict[str, Pace] = defaultdict(Pace)
        self._pressed_s = -math.inf
        self._tried_s = -math.inf

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self._running == 0

    @property
    def under_way(self) -> int:
        """How many requests are being answered."""
        return self._running

    @property
    def is_full(self) -> bool:
        """Whether one more request would be refused to those that have the most."""
        return self._running >= self._max_concurrent_requests

    def is_full_for(self, caller: str, priority: Priority | None = None) -> bool:
        """Whether one more request of this caller would be refused."""
        if self._running < self._max_concurrent_requests:
            return False
        spare = max(1, self._max_concurrent_requests // _SPARE_SHARE)
        if self._running >= self._max_concurrent_requests + spare:
            return True
        return priority != "critical" and self._holdings.more_than(caller) is None

    @property
    def is_pressed(self) -> bool:
        """Whether one more request would be refused, or one that was read was, or was late.

        Refusing unread does not keep it so: now and then one is read to see whether it is needed.
        """
        return self.is_full or self._clock.now_s() - self._pressed_s < _WARY_S

    def begin_request(self, caller: str) -> None:
        """One more request of a caller is being answered."""
        self._running += 1
        self._holdings.add(caller)

    def end_request(self, caller: str) -> None:
        """One fewer is."""
        self._running -= 1
        self._holdings.remove(caller)

    def learn_answer(self, model: str, rows: int, duration_s: float) -> None:
        """A request was answered.

        Args:
            model: which answered; empty for one that asked for no prediction.
            rows: how many; how long a large request took says nothing about a small one.
            duration_s: how long it took beside its wait in a queue, which knows itself how long it
                is.
        """
        if model and rows == 1:
            self._paces[model].learn(duration_s, self._clock.now_s())

    def learn_refusal(self) -> None:
        """A request that had been read found no room."""
        self._pressed_s = self._clock.now_s()

    def learn_late(self, model: str, duration_s: float) -> None:
        """A request that had been read was not answered in time.

        Args:
            model: of which it asked; empty when that was not found.
            duration_s: until nobody waited for it any more.
        """
        self._pressed_s = self._clock.now_s()
        if model:
            self._paces[model].learn_late(duration_s, self._pressed_s)

    def check_room(
        self,
        models: Iterable[str],
        timeout_s: float | None,
        caller: str = "",
        priority: Priority | None = None,
    ) -> None:
        """Returns when one more request may be answered in time.

        What waits inside gRPC has no other sign of having waited than how little time is left.

        Args:
            models: of which it may ask one.
            timeout_s: what is left of the caller's time; None when there is no limit.
            caller: who asks.
            priority: of the request; None where nobody asks who calls.

        Raises:
            QueueFull: too many are being answered; or of each model an answer to a single row
                takes longer now than the caller has.
        """
        if self.is_full_for(caller, priority):
            raise self.too_many()
        if timeout_s is None:
            return
        now_s = self._clock.now_s()
        likely_s = min((self._paces[each].likely_s(now_s) for each in models), default=0.0)
        if timeout_s < likely_s:
            if now_s - self._tried_s >= _TRIED_EVERY_S:
                self._tried_s = now_s
                return
            raise QueueFull(
                f"an answer takes {likely_s:.3f} s now, which is later than it is wanted",
                _RETRY_AFTER_S,
            )

    def too_many(self) -> QueueFull:
        """The refusal of one more than the limit."""
        limit = self._max_concurrent_requests
        return QueueFull(f"{limit} requests are being answered already", _RETRY_AFTER_S)


class LoadShedder:
    """Knows whether one more row could be answered, by whatever version.

    Args:
        predictor: turns the caller's time into a deadline.
        versions: whose queues are asked.
        pressure: knows what no queue does.
    """

    def __init__(self, predictor: Predictor, versions: Versions, pressure: Pressure) -> None:
        self._predictor = predictor
        self._versions = versions
        self._pressure = pressure

    def is_pressed(self) -> bool:
        """Whether looking closer is worth it: it costs each call a message of its own."""
        if self._pressure.is_pressed:
            return True
        # A loop and no generator: every call comes by here.
        for model in self._versions.ready():  # noqa: SIM110
            if model.batcher.is_pressed:
                return True
        return False

    def check(
        self,
        timeout_s: float | None,
        caller: str,
        ahead: Ahead,
        priority: Priority | None = None,
    ) -> None:
        """Returns when some version would accept one row.

        Args:
            timeout_s: what is left of the caller's time; None when there is no limit.
            caller: who asks.
            ahead: what was let in before and is in no queue yet.
            priority: of the request; None where nobody asks who calls.

        Raises:
            QueueFull: none would.
        """
        models = self._versions.ready()
        self._pressure.check_room((model.name for model in models), timeout_s, caller, priority)
        deadline_s, asking = self._predictor.deadline_s(timeout_s), with_priority(caller, priority)
        refusals = [model.batcher.refusal(deadline_s, asking, ahead) for model in models]
        full = [each for each in refusals if isinstance(each, QueueFull)]
        # Where a version drains, the call goes on to be told so.
        if full and len(full) == len(models):
            raise min(full, key=lambda each: each.retry_after_s)

    def only_model(self) -> tuple[str, int]:
        """Name and version when only one answers; else an empty name and 0."""
        models = self._versions.ready()
        return (models[0].name, models[0].version) if len(models) == 1 else ("", 0)
