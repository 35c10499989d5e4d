"""A device that is one thread of this process: it pads, executes and splits."""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Final, TypeAlias

from batchproof_server.base.backend import Backend, Looping
from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import BackendFailed
from batchproof_server.base.signature import Tensors
from batchproof_server.devices.assembly import assemble, split
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

_Running: TypeAlias = "concurrent.futures.Future[Execution]"


# Contract: see ``Device``. Nothing interrupts a thread: one that hangs goes on until its execution
# ends, and the backend, which runs on one thread at a time, is not executed meanwhile unless
# ``replace`` is called, whose caller knows that the backend bears it.
class ThreadDevice:
    """Executes on a thread, which holds the interpreter's lock while it assembles and splits.

    Args:
        backend: loaded for every bucket; closed with the device.
        make_thread: makes an executor of one thread; called now and by ``replace``. One that was
            shut down makes every execution a failure.
        clock: measures.
    """

    width: Final = 1

    def __init__(self, backend: Backend, make_thread: Callable[[], Executor], clock: Clock) -> None:
        self._backend = backend
        self._output_names = {spec.name for spec in backend.signature.outputs}
        self._make_thread = make_thread
        self._thread = make_thread()
        self._clock = clock
        self._may_hang = isinstance(backend, Looping) and backend.has_loops
        self._running: tuple[_Running, Finish] | None = None
        self._tell: TellDevice = tell_nobody
        self._given_up: _Running | None = None
        self.room = 1
        self._is_gone = False
        self.idle_since_s = clock.now_s()

    @property
    def state(self) -> DeviceState:
        """What it is doing now."""
        if self._is_gone:
            return DeviceState.GONE
        if self._running is not None:
            return DeviceState.BUSY
        return DeviceState.IDLE if self.room else DeviceState.STUCK

    def listen(self, tell: TellDevice) -> None:
        """Says who is told that a micro-batch that was given up came back after all."""
        self._tell = tell

    def execute(self, parts: tuple[Tensors, ...], bucket_rows: int, finish: Finish) -> None:
        """Begins to execute; see ``Device``."""
        self.room = 0
        try:
            running = self._thread.submit(self._execute, parts, bucket_rows)
        except RuntimeError as refusal:  # the executor was shut down
            running = concurrent.futures.Future()
            running.set_result(NotExecuted(refusal, 0.0))
        self._running = (running, finish)
        loop = asyncio.get_running_loop()
        running.add_done_callback(partial(_tell, loop, self._finish))

    def execute_here(self, parts: tuple[Tensors, ...], bucket_rows: int) -> Execution | None:
        """Executes on the loop thread, which waits; None for what might never come back."""
        if self._may_hang:
            return None
        execution = self._execute(parts, bucket_rows)
        self.idle_since_s = self._clock.now_s()
        return execution

    def cancel(self) -> None:
        """Gives the micro-batch at hand up; the thread is busy until it comes back."""
        if self._running is None:
            return
        self._given_up, finish = self._running
        self._running = None
        given_up = NotExecuted(BackendFailed(GIVEN_UP), 0.0)
        asyncio.get_running_loop().call_soon(finish, given_up)

    def replace(self) -> None:
        """Takes another thread; the one that hangs is left alone."""
        if self.state is DeviceState.STUCK:
            self._thread.shutdown(wait=False)
            self._thread = self._make_thread()
            self._given_up = None
            self._be_idle()

    def close(self) -> None:
        """Ends the thread once it is idle, and releases the model."""
        if not self._is_gone:
            self._is_gone = True
            self._thread.shutdown(wait=False)
            self._backend.close()

    def _execute(self, parts: Sequence[Tensors], bucket_rows: int) -> Execution:
        """Assembles, executes and splits; never raises."""
        started_s = self._clock.now_s()
        try:
            outputs = self._execute_parts(parts, bucket_rows)
        except BaseException as failure:  # noqa: BLE001 - whatever it is, the members must hear of it
            return NotExecuted(failure, self._clock.now_s() - started_s)
        return Executed(outputs, self._clock.now_s() - started_s)

    def _execute_parts(self, parts: Sequence[Tensors], bucket_rows: int) -> tuple[Tensors, ...]:
        rows_of_parts = [len(next(iter(part.values()))) for part in parts]
        outputs, names = self._backend.execute(assemble(parts, bucket_rows)), self._output_names
        try:
            if outputs.keys() != names:
                raise BackendFailed(f"outputs are {sorted(outputs)}, expected {sorted(names)}")
            return split(outputs, rows_of_parts, bucket_rows)
        except (AttributeError, TypeError) as fault:
            raise BackendFailed(f"outputs are no arrays by their names: {fault}") from fault

    def _finish(self, running: _Running) -> None:
        if running is self._given_up:
            self._given_up = None
            self._be_idle()
            self._tell("")
        elif self._running is not None and running is self._running[0]:
            _, finish = self._running
            self._running = None
            self._be_idle()
            finish(_execution(running))

    def _be_idle(self) -> None:
        self.room = 1
        self.idle_since_s = self._clock.now_s()


def _tell(
    loop: asyncio.AbstractEventLoop, finish: Callable[[_Running], None], running: _Running
) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(finish, running)


def _execution(running: _Running) -> Execution:
    try:
        return running.result()
    except concurrent.futures.CancelledError as never_ran:
        return NotExecuted(never_ran, 0.0)
