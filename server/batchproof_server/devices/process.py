"""A device that is a process of its own, fed through shared memory, and replaced when lost."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import BackendFailed, ModelNotReady, ModelRaised
from batchproof_server.base.signature import Signature, Tensors
from batchproof_server.devices.arena import Arena
from batchproof_server.devices.assembly import fill, split
from batchproof_server.devices.child import ChildListener, Loss
from batchproof_server.devices.device import (
    GIVEN_UP,
    DeviceState,
    Executed,
    Execution,
    Finish,
    NotExecuted,
    TellDevice,
    tell_nobody,
)
from batchproof_server.devices.picture_slots import PictureDecoding
from batchproof_server.devices.records import (
    Record,
    Shapes,
    Tag,
    aligned,
    pack,
    slots_of,
    unpack,
)
from batchproof_server.devices.restarting import Process, Restarter


@dataclass(frozen=True, slots=True)
class _InFlight:
    number: int
    finish: Finish
    started_s: float
    rows_of_parts: tuple[int, ...]
    bucket_rows: int
    outputs_start: int = 0


# Contract: see ``Device``. A process that is lost is replaced by itself. The listener is told why
# the device is away once that takes longer than PATIENCE_S, or at once where processes are lost
# again and again.
class ProcessDevice:
    """Executes in a child process.

    Args:
        signature: of what it executes.
        process: loaded; belongs to the device from now on.
        restarter: starts the like.
        clock: measures.
        decoding: given the slots for pictures of each process; None for a model of tensors.
    """

    width: Final = 1

    def __init__(
        self,
        signature: Signature,
        process: Process,
        restarter: Restarter,
        clock: Clock,
        decoding: PictureDecoding | None = None,
    ) -> None:
        self._signature = signature
        self._inputs, self._outputs = Shapes(signature.inputs), Shapes(signature.outputs)
        self._restarter = restarter
        self._clock = clock
        self._decoding = decoding
        self._tell: TellDevice = tell_nobody
        self._number = 0
        self._running: _InFlight | None = None
        self._coming: asyncio.Task[None] | None = None
        self._is_closed = False
        self._process: Process | None = None
        self._take(process)

    @property
    def state(self) -> DeviceState:
        """What it is doing now."""
        if self._is_closed:
            return DeviceState.GONE
        if self._process is None:
            return DeviceState.LOADING
        if self._running is not None:
            return DeviceState.BUSY
        return DeviceState.IDLE if self.room else DeviceState.STUCK

    def listen(self, tell: TellDevice) -> None:
        """Says who is told that it cannot execute, and that it can."""
        self._tell = tell

    def execute(self, parts: tuple[Tensors, ...], bucket_rows: int, finish: Finish) -> None:
        """Begins to execute; see ``Device``."""
        self.room = 0
        self._number = (self._number + 1) % (1 << 32)
        rows = tuple(len(next(iter(part.values()))) for part in parts)
        started_s = self._clock.now_s()
        running = _InFlight(self._number, finish, started_s, rows, bucket_rows)
        try:
            self._running, record = self._write(parts, running)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the members must hear of it
            self._running = running
            asyncio.get_running_loop().call_soon(self._conclude, running, fault)
            return
        if self._process is not None:
            self._process.send(record)

    def execute_here(self, parts: tuple[Tensors, ...], bucket_rows: int) -> Execution | None:
        """None: the loop would wait for another process."""
        del parts, bucket_rows
        return None

    def cancel(self) -> None:
        """Gives the micro-batch at hand up, and ends the process, which is replaced."""
        if self._running is None or self._process is None:
            return
        self._give_up(BackendFailed(GIVEN_UP))
        self._process.kill(Loss("hung", "did not end an execution in time"))

    def replace(self) -> None:
        """Starts another process now, if the device waits to do so."""
        self._restarter.hurry()

    def close(self) -> None:
        """Ends the process."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._coming is not None:
            self._coming.cancel()
        if self._process is not None:
            self._process.end()
        self._give_up(_gone())

    def _write(self, parts: Sequence[Tensors], running: _InFlight) -> tuple[_InFlight, bytes]:
        """Puts the rows into their slots."""
        if self._process is None or self._is_closed:
            raise _gone()
        arena, first = self._process.arena, parts[0]
        shapes = [
            (running.bucket_rows, *first[spec.name].shape[1:]) for spec in self._signature.inputs
        ]
        slots = slots_of(self._signature.inputs, shapes)
        arena.reserve(slots[-1].end)
        for slot in slots:
            fill(arena.array(slot), [part[slot.name] for part in parts])
        record = pack(Tag.EXECUTE, running.number, self._inputs.pack(shapes))
        return replace(running, outputs_start=aligned(slots[-1].end)), record

    def _receive(self, record: bytes) -> None:
        try:
            self._answer(unpack(record))
        except ValueError as fault:
            self._kill_liar(fault)

    def _answer(self, record: Record) -> None:
        running, process = self._running, self._process
        if running is None or process is None or record.number != running.number:
            raise ValueError(f"an answer to {record.number}, which nobody waits for")
        if record.tag is Tag.DONE:
            self._conclude(running, self._read_outputs(process.arena, record.rest, running))
        elif record.tag in _FAILURES:
            text = record.rest.decode(errors="replace")
            self._conclude(running, _FAILURES[record.tag](text))
        else:
            raise ValueError(f"a record {record.tag.name} in the middle of an execution")

    def _read_outputs(self, arena: Arena, shapes: bytes, running: _InFlight) -> tuple[Tensors, ...]:
        forms = self._outputs.unpack(shapes, running.bucket_rows)
        slots = slots_of(self._signature.outputs, forms, running.outputs_start)
        outputs = {slot.name: arena.array(slot) for slot in slots}
        return split(outputs, running.rows_of_parts, running.bucket_rows)

    def _conclude(self, running: _InFlight, came: tuple[Tensors, ...] | Exception) -> None:
        if running is not self._running:
            return
        self._running = None
        took_s = self._clock.now_s() - running.started_s
        if self._process is not None:
            self._be_idle()
        if isinstance(came, Exception):
            running.finish(NotExecuted(came, took_s))
        else:
            running.finish(Executed(came, took_s))

    def _kill_liar(self, fault: ValueError) -> None:
        if self._process is not None:
            self._process.kill(Loss("crashed", f"sent what cannot be: {fault}"))

    def _be_idle(self) -> None:
        self.room = 1
        self.idle_since_s = self._clock.now_s()

    def _take(self, process: Process) -> None:
        """Goes on with a process that was loaded."""
        self._process = process
        if self._decoding is not None:
            self._decoding.join(process.pictures)
        process.listen(ChildListener(self._receive, self._lose, self._restarter.told.lost))
        self._be_idle()

    def _lose(self) -> None:
        if self._decoding is not None and self._process is not None:
            self._decoding.leave(self._process.pictures)
        self._process = None
        self.room = 0
        self._give_up(ModelNotReady(_LOST_WITH))
        self._coming = asyncio.get_running_loop().create_task(self._come_back())

    def _give_up(self, cause: Exception) -> None:
        """The execution at hand, if there is one, has failed; who waits for it hears of it soon."""
        if self._running is not None:
            running, self._running = self._running, None
            took_s = self._clock.now_s() - running.started_s
            asyncio.get_running_loop().call_soon(running.finish, NotExecuted(cause, took_s))

    async def _come_back(self) -> None:
        self._take(await self._restarter.bring_back(self._tell))
        self._coming = None
        self._tell("")


_LOST_WITH: Final = (
    "the process that executed this request was lost, and another is being started; try again"
)
_FAILURES: Final = {Tag.RAISED: ModelRaised, Tag.FAILED: BackendFailed}


def _gone() -> BackendFailed:
    return BackendFailed("the device is gone")
