"""One alarm that is only ever moved forward."""

from collections.abc import Callable

from batchproof_server.base.clock import Clock, Timer


class Alarm:
    """Calls back at the earliest instant asked for since it last rang.

    An instant later than the one that is set leaves the alarm as it is: it then rings too early,
    once, which costs its owner a look for nothing and saves moving a timer with every request.

    Args:
        clock: rings.
        callback: asks again for whatever comes next.
    """

    def __init__(self, clock: Clock, callback: Callable[[], None]) -> None:
        self._clock = clock
        self._callback = callback
        self._timer: Timer | None = None
        self._at_s = 0.0

    def ring_by(self, at_s: float | None) -> None:
        """Sees to it that the alarm rings at ``at_s`` or earlier; None asks for nothing."""
        if at_s is None or (self._timer is not None and self._at_s <= at_s):
            return
        self.cancel()
        self._at_s = at_s
        self._timer = self._clock.call_at(at_s, self._ring)

    def cancel(self) -> None:
        """Does not ring until it is asked again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self._callback()
