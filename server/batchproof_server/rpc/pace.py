"""How long answers took of late, as far as it is worth knowing. Pure: time is an argument."""

import math
from dataclasses import dataclass

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
# that differs but what was asked. Each answer that came too late adds half to it, up to ten times
# the mean, and each that came in time takes a fiftieth of that away again: what callers ask for in
# their last milliseconds is not worth beginning. Nothing is remembered for three windows: a server
# that refuses by it and therefore answers nothing forgets, and tries again.
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
        self._margin_s = min(grown_s, _OF_ONE_KIND * (self._mean_s() or _UNKNOWN_MEAN_S))

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
_KEPT_IN_TIME = 0.98
_UNKNOWN_MEAN_S = 0.1
