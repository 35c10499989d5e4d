"""The device: executes one micro-batch at a time on its own thread, and tells the loop."""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from batchproof_server.base.backend import Backend
from batchproof_server.base.clock import Clock
from batchproof_server.base.signature import Tensors
from batchproof_server.devices.execution import Executed, execute

_Running: TypeAlias = "concurrent.futures.Future[Executed]"
_Finish: TypeAlias = Callable[[Executed], None]


# Contract: lives on the loop thread. It is busy from ``execute`` until right before ``finish`` is
# called, which happens once, in a later turn of the loop, whatever becomes of the execution. Only
# when the loop is closed first is it never called: nobody waits then.
class Device:
    """Executes for one model version.

    Args:
        backend: loaded for every bucket.
        executor: of one thread; one that was shut down makes every execution a failure.
        clock: measures.
    """

    def __init__(
        self, backend: Backend, executor: concurrent.futures.Executor, clock: Clock
    ) -> None:
        self._backend = backend
        self._executor = executor
        self._clock = clock
        self._is_busy = False
        self._idle_since_s = clock.now_s()

    @property
    def is_busy(self) -> bool:
        """Whether it executes."""
        return self._is_busy

    @property
    def idle_since_s(self) -> float:
        """The instant at which it became idle the last time."""
        return self._idle_since_s

    def execute(self, parts: tuple[Tensors, ...], bucket_rows: int, finish: _Finish) -> None:
        """Begins to execute ``parts`` together, padded to ``bucket_rows``; to be called when idle.

        Args:
            parts: each with 1 or more rows.
            bucket_rows: at least the rows of all parts.
            finish: gets what became of it.
        """
        self._is_busy = True
        job = partial(execute, parts, bucket_rows, self._backend, self._clock)
        try:
            running = self._executor.submit(job)
        except RuntimeError as refusal:  # the executor was shut down
            running = concurrent.futures.Future()
            running.set_exception(refusal)
        loop = asyncio.get_running_loop()
        running.add_done_callback(partial(_tell, loop, partial(self._finished, finish)))

    def execute_here(self, parts: tuple[Tensors, ...], bucket_rows: int) -> Executed:
        """Executes on the loop thread, which waits; to be called when idle."""
        executed = execute(parts, bucket_rows, self._backend, self._clock)
        self._idle_since_s = self._clock.now_s()
        return executed

    def _finished(self, finish: _Finish, running: _Running) -> None:
        self._is_busy = False
        self._idle_since_s = self._clock.now_s()
        finish(_executed(running))


def _tell(
    loop: asyncio.AbstractEventLoop, finish: Callable[[_Running], None], running: _Running
) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(finish, running)


def _executed(running: _Running) -> Executed:
    try:
        return running.result()
    except (RuntimeError, concurrent.futures.CancelledError) as never_ran:
        return Executed((), 0.0, never_ran)
