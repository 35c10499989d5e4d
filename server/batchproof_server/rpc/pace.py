"""How quick the quickest answers of late were. Pure: time is an argument."""

import math

WINDOW_S = 1.0
"""An answer is remembered for as long as this at least, and less than three times as long."""


# Contract
#
# shortest_s is at most the duration of every answer that was learned within the last window, and
# nothing is remembered for three: a server that refuses by it and therefore answers
# nothing forgets, and tries again.
class Pace:
    """Remembers the shortest duration of the window at hand and of the one before."""

    def __init__(self) -> None:
        self._began_s = -math.inf
        self._before_s = math.inf
        self._now_s = math.inf

    def learn(self, duration_s: float, now_s: float) -> None:
        """An answer took so long."""
        self._turn(now_s)
        self._now_s = min(self._now_s, duration_s)

    def shortest_s(self, now_s: float) -> float:
        """The shortest of late; 0 when nothing was answered."""
        self._turn(now_s)
        shortest_s = min(self._before_s, self._now_s)
        return shortest_s if shortest_s < math.inf else 0.0

    def _turn(self, now_s: float) -> None:
        if now_s - self._began_s < WINDOW_S:
            return
        is_next = now_s - self._began_s < 2 * WINDOW_S
        self._before_s = self._now_s if is_next else math.inf
        self._began_s, self._now_s = now_s, math.inf
