"""Time as a dependency: the only module that asks what time it is."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


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

    def now_s(self) -> float:
        """Seconds of ``time.monotonic``."""
        return time.monotonic()

    def call_at(self, when_s: float, callback: Callable[[], None]) -> Timer:
        """Calls ``callback`` on the running loop at ``when_s`` or as soon as it can."""
        delay_s = max(0.0, when_s - self.now_s())
        return asyncio.get_running_loop().call_later(delay_s, callback)


def epoch_ms() -> int:
    """Milliseconds since the beginning of 1970, UTC."""
    return time.time_ns() // 1_000_000


def utc_now() -> str:
    """The date and time in UTC to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


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
