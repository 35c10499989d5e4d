"""Work that is done while nobody waits."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import Draining, ModelNotReady
from batchproof_server.base.signature import Array
from batchproof_server.devices.device import Execution, NotExecuted
from batchproof_server.models.served import ServedModel
from batchproof_server.models.versions import Versions
from batchproof_server.offline.diagnosing.asking import RowAsker
from batchproof_server.selfcheck.choosing import QUIET_S

Result = TypeVar("Result")


# Contract
#
# Who waits   A step begins only while no request is under way in this server, whatever its model,
#             but for those that are diagnosed, and no device executes anything. Else it is tried
#             again every QUIET_S.
# How much    One step at a time: a piece of work on a thread of its own, or one execution of the
#             smallest bucket. Whoever comes meanwhile has at most the rest of that step beside
#             theirs.
# Cancelling  Nothing begins for a caller who has gone; the step that was begun ends by itself.
# Thread      The loop thread, but for the work.
class IdleTurns:
    """Gives diagnoses their turns.

    Args:
        versions: whose queues are asked.
        clock: for waiting.
        nobody_asks: whether no request but diagnoses is under way.
    """

    def __init__(self, versions: Versions, clock: Clock, nobody_asks: Callable[[], bool]) -> None:
        self._versions = versions
        self._clock = clock
        self._nobody_asks = nobody_asks
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="diagnose")

    def asker(self, served: ServedModel) -> RowAsker:
        """Asks a version in its smallest bucket, while nobody waits."""
        most_rows = served.batcher.settings.buckets_rows[0]
        return RowAsker(served.loaded, most_rows, partial(self._execute, served), self.run)

    async def run(self, work: Callable[[], Result], /) -> Result:
        """What the work returns, done on a thread."""
        while self._somebody_waits():
            await self._pause()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Begins no further work."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _execute(self, served: ServedModel, rows: Array) -> Array:
        while self._somebody_waits() or not served.batcher.is_at_rest:
            if all(each is not served for each in self._versions.loaded()):
                raise ModelNotReady("the version was unloaded while it was diagnosed")
            if served.batcher.is_draining:
                raise Draining("the version is going away")
            await self._pause()
        finished: asyncio.Future[Execution] = asyncio.get_running_loop().create_future()
        inputs = {served.loaded.backend.signature.inputs[0].name: rows}
        served.batcher.execute_aside(inputs, partial(_tell, finished))
        execution = await finished
        if isinstance(execution, NotExecuted):
            raise execution.cause
        return execution.parts[0][served.loaded.output.name or ""]

    def _somebody_waits(self) -> bool:
        loaded = self._versions.loaded()
        return not self._nobody_asks() or any(each.batcher.has_work for each in loaded)

    async def _pause(self) -> None:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_at(self._clock.now_s() + QUIET_S, partial(_end, over))
        try:
            await over
        finally:
            timer.cancel()


def _tell(finished: "asyncio.Future[Execution]", execution: Execution) -> None:
    if not finished.done():
        finished.set_result(execution)


def _end(over: "asyncio.Future[None]") -> None:
    if not over.done():
        over.set_result(None)
