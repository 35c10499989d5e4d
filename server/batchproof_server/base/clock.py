"""Time as a dependency: the only module that asks what time it is."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Makes sure that the call does not happen; harmless when it has."""
        ...


class Clock(Protocol):
    """A monotonic clock and its alarm."""

    def now_s(self) -> float:
        """Seconds since an arbitrary fixed instant; never goes back."""
        ...

    def call_at(self, when_s: float, callback: Callable[[], None]) -> Timer:
        """Calls ``callback`` on the loop thread once ``now_s() >= when_s``."""
        ...


class MonotonicClock:
    """The clock of the operating system and the alarm of the running event loop."""

    # Not a method that calls it: every request asks for the time a dozen times.
    now_s = staticmethod(time.monotonic)

    def call_at(self, when_s: float, callback: Callable[[], None]) -> Timer:
        """Calls ``callback`` on the running loop at ``when_s`` or as soon as it can."""
        delay_s = max(0.0, when_s - self.now_s())
        return asyncio.get_running_loop().call_later(delay_s, callback)


def epoch_ms() -> int:
    """Milliseconds since the beginning of 1970, UTC."""
    return time.time_ns() // 1_000_000


def epoch_ns() -> int:
    """Nanoseconds since the beginning of 1970, UTC."""
    return time.time_ns()


def epoch_s() -> float:
    """Seconds since the beginning of 1970, UTC."""
    return time.time()


def utc_now() -> str:
    """The date and time in UTC to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def utc_of(at_ms: int) -> str:
    """A date and time in UTC to the second, ISO 8601.

    Args:
        at_ms: milliseconds since the beginning of 1970, 0 to LAST_MS.
    """
    return datetime.fromtimestamp(at_ms // 1000, UTC).isoformat(timespec="seconds")


LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999, after which there are no dates."""


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


class Heartbeat:
    """Tells other threads whether the event loop turns.

    Args:
        clock: of the loop.
        interval_s: between two beats.
        patience_s: without a beat for this long, the loop is taken for stuck.
    """

    def __init__(self, clock: Clock, interval_s: float = 1.0, patience_s: float = 15.0) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._patience_s = patience_s
        self._last_beat_s: float | None = None
        self._timer: Timer | None = None

    def start(self) -> None:
        """Beats now and from now on; called on the loop thread."""
        self._last_beat_s = self._clock.now_s()
        self._timer = self._clock.call_at(self._last_beat_s + self._interval_s, self.start)

    def stop(self) -> None:
        """Beats no more."""
        if self._timer is not None:
            self._timer.cancel()

    def is_alive(self) -> bool:
        """Whether the last beat is recent; may be asked on any thread."""
        beat_s = self._last_beat_s
        return beat_s is not None and self._clock.now_s() - beat_s < self._patience_s
