"""How many calls are being answered, and what answers take of late."""

import math
from collections import defaultdict

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import QueueFull
from batchproof_server.base.priorities import Priority
from batchproof_server.batching.connections import Holdings
from batchproof_server.serving.request import Trace

_RETRY_AFTER_S = 0.1
_WARY_S = 1.0
# Of the limit this part is kept, beyond it, for callers that have less than others.
_SPARE_SHARE = 8
# Fewer requests under way than these are no backlog.
_FEW = 8

FORGETS_S = 2.0
"""Of a model that answered nothing for so long nothing is known any more."""


# Contract
#
# What an answer takes beside its wait in a queue grows with the requests that are under way: they
# are read, decoded and sent by the same few threads. So the time is kept for each of them, and
# foretold for as many as are under way now (Little 1961, "A Proof for the Queuing Formula
# L = lambda W"). It is a mean of the latest answers that fades with time and not with each of them:
# those of a micro-batch come at once and took different times, and the last is no better than the
# first. The caution says how many times what is foretold must fit into the caller's time. It grows
# by half with an answer that came late, or took most of its caller's time, if that was let in after
# it grew before (what was let in earlier says nothing of it), and fades in some seconds. A model of
# which nothing was heard is forgotten: a server that refuses by it must try again.
class Pace:
    """What answers of one model took of late, and how far that can be relied on."""

    def __init__(self) -> None:
        self._took_s = self._were_under_way = 0.0
        self._caution = 1.0
        self._heard_s = self._learned_s = self._grown_s = self._tried_s = -math.inf

    def learn(self, duration_s: float, under_way: int, now_s: float) -> None:
        """An answer took so long.

        Args:
            duration_s: beside its wait in a queue.
            under_way: how many requests were, itself included, when it came.
            now_s: the instant.
        """
        if now_s - self._heard_s >= FORGETS_S:
            self._took_s = self._were_under_way = 0.0
        kept = math.exp((self._learned_s - now_s) / _FOLLOWS_S)
        self._took_s = self._took_s * kept + duration_s
        self._were_under_way = self._were_under_way * kept + under_way
        self._heard_s = self._learned_s = now_s

    def learn_late(self, duration_s: float, now_s: float) -> None:
        """An answer was not there in time, or not well before.

        Args:
            duration_s: how long ago its request had come.
            now_s: the instant.
        """
        if now_s - self._heard_s < FORGETS_S:
            self._heard_s = now_s
        if now_s - duration_s >= self._grown_s:
            self._caution = min(self.caution(now_s) * _GROWTH, _MOST_CAUTION)
            self._grown_s = now_s

    def likely_s(self, under_way: int, now_s: float) -> float:
        """What an answer takes now that so many are under way; 0 when nothing is known."""
        if now_s - self._heard_s >= FORGETS_S:
            return 0.0
        return self._took_s / self._were_under_way * under_way

    def caution(self, now_s: float) -> float:
        """How many times what is foretold must fit; 1 or more."""
        return 1.0 + (self._caution - 1.0) * math.exp((self._grown_s - now_s) / _FADES_S)

    def is_tried(self, now_s: float) -> bool:
        """Whether one that has too little time is let through all the same; ten a second are."""
        if now_s - self._tried_s < _TRIED_EVERY_S:
            return False
        self._tried_s = now_s
        return True


_FOLLOWS_S = 0.5
_GROWTH = 1.5
_MOST_CAUTION = 4.0
_FADES_S = 5.0
_TRIED_EVERY_S = 0.1
# Of the caller's time; what the caller sees ends later, by its own reading and the way there.
_NEARLY = 2 / 3


# Contract
#
# Lives on the loop thread. While only a few are under way, only the queue is asked: nothing is
# saved by refusing then, and an answer shows how long it takes. Of those that have too little time
# ten a second of each model are let through all the same, so that a wrong idea of what an answer
# takes mends itself. Shares: what is being answered cannot be taken back, so a caller that would
# have fewer requests under way than another (by address, and by connection within its own) is let
# in beyond the limit too, an eighth more at most; so is what is critical. As many as end then are
# refused to those that have more, until the caller has as many as they. A caller is remembered
# while it has any.
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
        """Whether one more request would be refused, or one was, or was late, a moment ago."""
        return self.is_full or self._clock.now_s() - self._pressed_s < _WARY_S

    def begin_request(self, caller: str) -> int:
        """One more request of a caller is being answered; how many are, with it."""
        self._running += 1
        self._holdings.add(caller)
        return self._running

    def end_request(self, caller: str) -> None:
        """One fewer is."""
        self._running -= 1
        self._holdings.remove(caller)

    def learn_answer(
        self, trace: Trace, duration_s: float, timeout_s: float | None, under_way: int
    ) -> None:
        """A request was answered.

        Args:
            trace: of it. How long a request of many rows took says nothing about one of a single
                row, nor does one that asked for no prediction.
            duration_s: how long it took.
            timeout_s: how long its caller would have waited; None for ever.
            under_way: how many requests were, when it came.
        """
        if not trace.model or trace.rows != 1:
            return
        pace, now_s = self._paces[trace.model], self._clock.now_s()
        pace.learn(duration_s - trace.queued_s, under_way, now_s)
        if timeout_s is not None and duration_s > _NEARLY * timeout_s:
            pace.learn_late(duration_s, now_s)

    def learn_refusal(self) -> None:
        """A request found no room."""
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

    def check_room(self, caller: str, priority: Priority | None = None) -> None:
        """Returns when one more request of this caller may be answered.

        Raises:
            QueueFull: too many are being answered.
        """
        if self.is_full_for(caller, priority):
            raise self.too_many()

    def executed_by_s(self, model: str, deadline_s: float, ahead: int) -> float:
        """When one more row must have been executed so that its answer is there by a deadline.

        What waits inside gRPC has no other sign of having waited than how little time is left.

        Args:
            model: of which is asked.
            deadline_s: an instant of the clock.
            ahead: requests that were let in and that nobody has begun to answer.

        Raises:
            QueueFull: it would be late without any wait for the device.
        """
        under_way = self._running + ahead
        if under_way < _FEW:
            return deadline_s
        now_s, pace = self._clock.now_s(), self._paces[model]
        likely_s, caution = pace.likely_s(under_way, now_s), pace.caution(now_s)
        by_s = now_s + (deadline_s - now_s) / caution - likely_s
        if by_s >= now_s:
            return by_s
        if pace.is_tried(now_s):
            return deadline_s
        raise QueueFull(
            f"an answer takes {likely_s * caution:.3f} s now, which is later than it is wanted",
            _RETRY_AFTER_S,
        )

    def too_many(self) -> QueueFull:
        """The refusal of one more than the limit."""
        limit = self._max_concurrent_requests
        return QueueFull(f"{limit} requests are being answered already", _RETRY_AFTER_S)
