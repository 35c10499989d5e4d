"""A device that is one thread of this process: it pads, executes and splits."""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TypeAlias

import numpy as np

from batchproof_server.base.backend import Backend, Looping
from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import BackendFailed
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.devices.device import (
    DeviceState,
    Executed,
    Execution,
    Finish,
    NotExecuted,
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

    def __init__(self, backend: Backend, make_thread: Callable[[], Executor], clock: Clock) -> None:
        self._backend = backend
        self._make_thread = make_thread
        self._thread = make_thread()
        self._clock = clock
        self._may_hang = isinstance(backend, Looping) and backend.has_loops
        self._running: tuple[_Running, Finish] | None = None
        self._given_up: _Running | None = None
        self.is_busy = False
        self._is_gone = False
        self.idle_since_s = clock.now_s()

    @property
    def state(self) -> DeviceState:
        """What it is doing now."""
        if self._is_gone:
            return DeviceState.GONE
        if self._running is not None:
            return DeviceState.BUSY
        return DeviceState.STUCK if self.is_busy else DeviceState.IDLE

    def execute(self, parts: tuple[Tensors, ...], bucket_rows: int, finish: Finish) -> None:
        """Begins to execute; see ``Device``."""
        self.is_busy = True
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
        given_up = NotExecuted(BackendFailed("the execution was given up"), 0.0)
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
            outputs = _execute_parts(parts, bucket_rows, self._backend)
        except BaseException as failure:  # noqa: BLE001 - whatever it is, the members must hear of it
            return NotExecuted(failure, self._clock.now_s() - started_s)
        return Executed(outputs, self._clock.now_s() - started_s)

    def _finish(self, running: _Running) -> None:
        if running is self._given_up:
            self._given_up = None
            self._be_idle()
        elif self._running is not None and running is self._running[0]:
            _, finish = self._running
            self._running = None
            self._be_idle()
            finish(_execution(running))

    def _be_idle(self) -> None:
        self.is_busy = False
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


def _execute_parts(
    parts: Sequence[Tensors], bucket_rows: int, backend: Backend
) -> tuple[Tensors, ...]:
    rows_of_parts = [len(next(iter(part.values()))) for part in parts]
    outputs = backend.execute(assemble(parts, bucket_rows))
    names = [spec.name for spec in backend.signature.outputs]
    try:
        if sorted(outputs) != sorted(names):
            raise BackendFailed(f"outputs are {sorted(outputs)}, expected {sorted(names)}")
        return split(outputs, rows_of_parts, bucket_rows)
    except (AttributeError, TypeError) as fault:
        raise BackendFailed(f"outputs are no arrays by their names: {fault}") from fault


def assemble(parts: Sequence[Tensors], bucket_rows: int) -> Tensors:
    """Concatenates the rows of ``parts`` in order and pads them up to ``bucket_rows``.

    The padding repeats the last real row: a row that the model is known to accept, which zeros or
    noise are not. The arrays of a single part that fills the bucket are passed on as they are.

    Args:
        parts: one or more, each with the same names, dtypes and row shapes, and with 1 or more
            rows on axis 0; never changed.
        bucket_rows: at least the rows of all parts.

    Returns:
        For each name an array of ``bucket_rows`` rows.

    Raises:
        ValueError: the parts hold more rows than the bucket, or differ in row shape.
        TypeError: the parts differ in dtype.
    """
    return {name: _joined([part[name] for part in parts], bucket_rows) for name in parts[0]}


def _joined(arrays: list[Array], bucket_rows: int) -> Array:
    first, last = arrays[0], arrays[-1]
    rows = sum(array.shape[0] for array in arrays)
    if rows > bucket_rows:
        raise ValueError(f"{rows} rows do not fit a bucket of {bucket_rows}")
    if len(arrays) == 1 and rows == bucket_rows:
        return last
    _check_alike(first, arrays)
    joined = np.empty((bucket_rows, *first.shape[1:]), first.dtype)
    start = 0
    for array in arrays:
        joined[start : start + array.shape[0]] = array
        start += array.shape[0]
    joined[start:] = last[-1]
    return joined


def _check_alike(first: Array, arrays: list[Array]) -> None:
    # An assignment would cast and broadcast without a word.
    for array in arrays:
        if array.dtype != first.dtype:
            raise TypeError(f"the parts are {first.dtype.name} and {array.dtype.name}")
        if array.shape[1:] != first.shape[1:]:
            raise ValueError(f"rows of {first.shape[1:]} and {array.shape[1:]} do not join")


def split(outputs: Tensors, rows_of_parts: Sequence[int], bucket_rows: int) -> tuple[Tensors, ...]:
    """Gives each part its rows of the outputs, in order, and drops the padding.

    The rows are copied. A view would keep the answers of all neighbours and the padding alive as
    long as any member keeps its own, and would let one member change another's through an output
    whose rows share memory; a row of class scores costs well under a microsecond to copy.

    Args:
        outputs: what the backend returned for ``bucket_rows`` rows.
        rows_of_parts: rows of each part, together at most ``bucket_rows``.
        bucket_rows: rows that were executed.

    Raises:
        BackendFailed: an output does not have ``bucket_rows`` rows.
    """
    for name, array in outputs.items():
        if array.shape[:1] != (bucket_rows,):
            raise BackendFailed(
                f'output "{name}" has shape {list(array.shape)}, expected {bucket_rows} rows'
            )
    parts: list[Tensors] = []
    start = 0
    for rows in rows_of_parts:
        stop = start + rows
        parts.append({name: array[start:stop].copy() for name, array in outputs.items()})
        start = stop
    return tuple(parts)
