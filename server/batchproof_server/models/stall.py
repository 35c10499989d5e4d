"""How long loading a version may go without any progress."""

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import ModelRefused


class LoadingHangs(ModelRefused):
    """There is no progress any more, and what hangs cannot be interrupted."""


class Stall:
    """Remembers the last progress of loading a version.

    Args:
        limit_s: until the next progress.
        clock: says what time it is.
    """

    def __init__(self, limit_s: float, clock: Clock) -> None:
        self._limit_s, self._clock = limit_s, clock
        self._step, self._at_s = "loading", clock.now_s()

    def note(self, step: str) -> None:
        """There is progress."""
        self._step, self._at_s = step, self._clock.now_s()

    def left_s(self) -> float:
        """How long the next progress may take yet."""
        return self._at_s + self._limit_s - self._clock.now_s()

    def check(self) -> None:
        """Returns while the next progress may still come.

        Raises:
            LoadingHangs: it has taken too long.
        """
        if self.left_s() > 0:
            return
        finding = (
            f"{self._step}: no progress within {self._limit_s:.3g} s; a model that hangs for some "
            "input never ends this, a large one needs a higher [execution] max_load_step_s"
        )
        raise LoadingHangs("loading takes too long", (finding,))
