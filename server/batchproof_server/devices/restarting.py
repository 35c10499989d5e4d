"""A process that was lost gets a successor: at once, or later where that did not help."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol, TypeAlias

from batchproof_server.base.backoff import BackOff, Streak
from batchproof_server.base.clock import Clock
from batchproof_server.devices.arena import Arena
from batchproof_server.devices.child import ChildListener, Loss
from batchproof_server.devices.device import TellDevice
from batchproof_server.devices.picture_slots import PictureSlots

# So long a device may be away before it says so.
PATIENCE_S: Final = 5.0


class Process(Protocol):
    """What executes, as ``child.DeviceProcess`` has it; loaded and waiting for work."""

    @property
    def arena(self) -> Arena:
        """What is shared with it."""
        ...

    @property
    def pictures(self) -> PictureSlots:
        """What it decodes in."""
        ...

    def listen(self, listener: ChildListener) -> None:
        """Says who is told from now on."""
        ...

    def send(self, record: bytes) -> None:
        """Sends a record."""
        ...

    def kill(self, why: Loss) -> None:
        """Ends it now."""
        ...

    def end(self) -> None:
        """Lets it go."""
        ...


# Brings a process that executes the same to the same point; raises whatever stands against it.
Restart: TypeAlias = Callable[[], Awaitable[Process]]


class TellLoss(Protocol):
    """Is told what becomes of a device's processes, on the loop thread."""

    def lost(self, loss: Loss) -> None:
        """One is there no more."""
        ...

    def not_started(self, failure: Exception) -> None:
        """Another could not be started, and is tried again later."""
        ...

    def is_back(self, away_s: float) -> None:
        """Another stands after so long."""
        ...

    def failed_in_a_row(self, failures: int) -> None:
        """So many were lost or did not start, and none of them stood for long."""
        ...


# Contract: a process that stood for a while is followed by another at once. The more of them are
# lost soon after they stood, or do not come to stand, the longer the next one is waited for. It is
# tried for ever; whether that is of use is for whoever is told to decide.
class Restarter:
    """Starts successors.

    Args:
        restart: starts one.
        clock: measures, and wakes.
        told: learns of them.
        back_off: how long to wait.
        luck: draws 0 to below 1.

    Attributes:
        told: the argument.
    """

    def __init__(
        self,
        restart: Restart,
        clock: Clock,
        told: TellLoss,
        back_off: BackOff,
        luck: Callable[[], float],
    ) -> None:
        self._restart = restart
        self._clock = clock
        self.told = told
        self._back_off = back_off
        self._luck = luck
        self._hurry = asyncio.Event()
        self._streak = Streak(back_off.healthy_s, clock.now_s())

    def hurry(self) -> None:
        """Waits for nothing more before it starts the next one."""
        self._hurry.set()

    async def bring_back(self, tell: TellDevice) -> Process:
        """Another process, however many tries it takes.

        Args:
            tell: told once that takes longer than PATIENCE_S, or as soon as it is not tried at
                once.
        """
        lost_s = self._clock.now_s()
        complaint = self._clock.call_at(lost_s + PATIENCE_S, partial(tell, _AWAY))
        try:
            process = await self._try(tell)
        finally:
            complaint.cancel()
        now_s = self._clock.now_s()
        self._streak.stand(now_s)
        self.told.is_back(now_s - lost_s)
        return process

    async def _try(self, tell: TellDevice) -> Process:
        while True:
            pause_s = self._pause_s()
            if pause_s:
                tell(_AWAY)
                await self._wait(pause_s)
            try:
                return await self._restart()
            except Exception as failure:  # noqa: BLE001 - whatever it is, it may be over next time
                self.told.not_started(failure)

    def _pause_s(self) -> float:
        failures = self._streak.fail(self._clock.now_s())
        self.told.failed_in_a_row(failures)
        return self._back_off.pause_s(failures, self._luck())

    async def _wait(self, pause_s: float) -> None:
        self._hurry.clear()
        timer = self._clock.call_at(self._clock.now_s() + pause_s, self._hurry.set)
        try:
            await self._hurry.wait()
        finally:
            timer.cancel()


_AWAY: Final = "the device was lost and is being started again"
