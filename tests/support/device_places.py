"""Devices of each kind whose executions a test lets through by hand."""

from typing import Protocol

from batchproof_server.base.backend import Backend
from batchproof_server.devices.arena import make_arena
from batchproof_server.devices.child import NOBODY, ChildListener, Loss
from batchproof_server.devices.device import Device, DeviceState, Execution
from batchproof_server.devices.executing import SlotExecutor
from batchproof_server.devices.picture_slots import PictureSlots
from batchproof_server.devices.process import ProcessDevice
from batchproof_server.devices.restarting import Process, Restart, Restarter
from batchproof_server.devices.settings import DeviceSettings
from batchproof_server.devices.thread import ThreadDevice
from support.batcher_bench import tensors
from support.fakes import ElementwiseBackend, FakeClock, PuppetDevice


class DevicePlace(Protocol):
    """A device, what it told, and the hand that lets its executions through."""

    device: Device
    backend: ElementwiseBackend
    finished: list[Execution]
    told: list[str]
    clock: FakeClock

    def run_next(self) -> None:
        """What executes now does its work, and tells of it."""
        ...

    def come_back(self) -> None:
        """What was given up does what it has to do before the device can go on."""
        ...


def state(place: DevicePlace) -> DeviceState:
    """What the device is doing now."""
    return place.device.state


def execute(place: DevicePlace, value: float = 1.0) -> None:
    """Gives it one row."""
    place.device.execute((tensors(value),), 2, place.finished.append)


class ThreadPlace:
    """A thread device on threads that the test runs itself."""

    def __init__(self, backend: ElementwiseBackend | None = None) -> None:
        self.threads: list[PuppetDevice] = []
        self.clock = FakeClock()
        self.backend = backend or ElementwiseBackend(1)
        self.finished: list[Execution] = []
        self.told: list[str] = []
        self.device: Device = ThreadDevice(self.backend, self._thread, self.clock)
        self.device.listen(self.told.append)

    def _thread(self) -> PuppetDevice:
        self.threads.append(PuppetDevice())
        return self.threads[-1]

    def run_next(self) -> None:
        """Runs the oldest job of the latest thread."""
        self.threads[-1].run_next()

    def come_back(self) -> None:
        """The thread ends the execution that was given up."""
        self.run_next()


class FakeProcess:
    """A device process without a process: it executes when the test says so.

    Args:
        backend: executes.
    """

    def __init__(self, backend: Backend) -> None:
        self.arena = make_arena()
        self.executor = SlotExecutor(backend, self.arena)
        self.records: list[bytes] = []
        self.pictures = PictureSlots((), self.records.append, FakeClock(), lambda: None)
        self.listener = NOBODY
        self.ended = ""

    def listen(self, listener: ChildListener) -> None:
        """Remembers it."""
        self.listener = listener

    def send(self, record: bytes) -> None:
        """Keeps the record."""
        self.records.append(record)

    def run_next(self) -> None:
        """Executes the oldest record, unless the process was ended."""
        record = self.records.pop(0)
        if not self.ended:
            self.listener.receive(self.executor.answer(record))

    def kill(self, why: Loss) -> None:
        """Is gone at once, and dead."""
        if not self.ended:
            self.ended = why.reason
            self.arena.close()
            self.listener.gone()
            self.listener.lost(why)

    def end(self) -> None:
        """Is gone, and tells nobody."""
        if not self.ended:
            self.ended = "in order"
            self.arena.close()


class ProcessPlace:
    """A process device whose processes are fakes; further ones stand as soon as they are wanted."""

    def __init__(
        self, backend: ElementwiseBackend | None = None, clock: FakeClock | None = None
    ) -> None:
        self.clock = clock or FakeClock()
        self.backend = backend or ElementwiseBackend(1)
        self.processes = [FakeProcess(self.backend)]
        self.finished: list[Execution] = []
        self.told: list[str] = []
        self.losses: list[Loss] = []
        self.away_s: list[float] = []
        self.failures: list[Exception] = []
        self.in_a_row: list[int] = []
        self.start: Restart = self.stand
        restarter = Restarter(
            self._restart, self.clock, self, DeviceSettings().back_off, lambda: 0.0
        )
        self.device: Device = ProcessDevice(
            self.backend.signature, self.processes[0], restarter, self.clock
        )
        self.device.listen(self.told.append)

    def another(self) -> FakeProcess:
        """One more process."""
        self.processes.append(FakeProcess(self.backend))
        return self.processes[-1]

    async def stand(self) -> Process:
        """One more process, at once."""
        return self.another()

    async def _restart(self) -> Process:
        return await self.start()

    def lost(self, loss: Loss) -> None:
        """Remembers it."""
        self.losses.append(loss)

    def not_started(self, failure: Exception) -> None:
        """Remembers it."""
        self.failures.append(failure)

    def is_back(self, away_s: float) -> None:
        """Remembers it."""
        self.away_s.append(away_s)

    def failed_in_a_row(self, failures: int) -> None:
        """Remembers it."""
        self.in_a_row.append(failures)

    def run_next(self) -> None:
        """The latest process executes."""
        self.processes[-1].run_next()

    def come_back(self) -> None:
        """Another process was started already."""
