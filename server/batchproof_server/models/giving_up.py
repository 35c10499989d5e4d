"""Versions whose devices keep failing are released, and tried again later and later."""

import asyncio
from typing import Final

from batchproof_server.base.backoff import BackOff, Streak
from batchproof_server.base.clock import Clock
from batchproof_server.models.served import Lease, ServedModel

# A version that failed for reasons that may pass. All servers of a fleet may fail at once, but each
# reads its own disk: there is no need of chance.
_RETRIES: Final = BackOff(60.0, 3600.0, 600.0, jitter_share=0.0)


# Contract: who failed again soon after it was loaded is tried again later than the last time.
class Retries:
    """When versions that failed are worth another try.

    Args:
        clock: measures.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._streaks: dict[tuple[str, int], Streak] = {}

    def stand(self, name: str, version: int) -> None:
        """It was loaded."""
        if (streak := self._streaks.get((name, version))) is not None:
            streak.stand(self._clock.now_s())

    def at_s(self, name: str, version: int, since_s: float) -> float:
        """It failed: the instant of the next try.

        Args:
            name: of the model.
            version: its number.
            since_s: where it never failed before, the instant from which it stood.
        """
        new = Streak(_RETRIES.healthy_s, since_s)
        streak = self._streaks.setdefault((name, version), new)
        now_s = self._clock.now_s()
        return now_s + _RETRIES.pause_s(streak.fail(now_s), 0.0)

    def forget(self, name: str, version: int) -> None:
        """It is gone."""
        self._streaks.pop((name, version), None)


# Contract: what was let in is answered, as far as the devices still do, before a model is closed.
class Releases:
    """Closes models that were given up."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], ServedModel] = {}

    def begin(self, lease: Lease, served: ServedModel) -> None:
        """Closes it once nobody uses it."""
        task = asyncio.ensure_future(_release(lease, served))
        self._tasks[task] = served
        task.add_done_callback(self._tasks.pop)

    def close(self) -> None:
        """Closes those that are not closed yet, now."""
        for task, served in tuple(self._tasks.items()):
            task.cancel()
            served.close()


async def _release(lease: Lease, served: ServedModel) -> None:
    await lease.end()
    await served.batcher.drain()
    served.close()
