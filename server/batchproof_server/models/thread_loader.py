"""Loads versions on a thread of this process, which also executes them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from batchproof_server.devices.thread import ThreadDevice
from batchproof_server.models.connecting import Connector
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import LoadingPlugs
from batchproof_server.models.recorded import load_warm
from batchproof_server.models.served import ServedModel
from batchproof_server.models.stall import Stall
from batchproof_server.proof.settings import Progress, Tell

MakePlugs: TypeAlias = Callable[[Tell], LoadingPlugs]


# Contract: one version at a time. Cancelling abandons the version at hand: its thread goes on until
# that is loaded, and releases it then. So does a version that makes no progress: nothing can
# interrupt its thread, which may go on for ever while others are loaded.
@dataclass(frozen=True, slots=True)
class ThreadLoader:
    """Loads versions.

    Attributes:
        plugs: what loading needs, with a proof that tells of its progress.
        tell: learns of that progress on the loading thread.
        connector: makes answer what was loaded.
    """

    plugs: MakePlugs
    tell: Tell
    connector: Connector
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def load(self, place: Place, tell_step: Callable[[str], None]) -> ServedModel:
        """Loads a version; as ``models.loader.Loader`` says."""
        loop = asyncio.get_running_loop()
        clock = self.connector.clock
        async with self._turn:
            stall = Stall(self.connector.execution.max_load_step_s, clock)

            def note(step: str) -> None:
                stall.note(step)
                tell_step(step)

            def tell(progress: Progress) -> None:
                self.tell(progress)
                loop.call_soon_threadsafe(note, progress.step)

            loaded = await _load(place, self.plugs(tell), stall)
        thread_name = f"device-{place.name}-{place.version}"
        make_thread = partial(ThreadPoolExecutor, 1, thread_name_prefix=thread_name)
        device = ThreadDevice(loaded.backend, make_thread, clock)
        return self.connector.connect(place, loaded, device)


async def _load(place: Place, plugs: LoadingPlugs, stall: Stall) -> LoadedModel:
    thread = ThreadPoolExecutor(1, thread_name_prefix="load")
    loading = thread.submit(load_warm, place, plugs)
    # Waiting for the thread would stop the loop until the version is loaded.
    thread.shutdown(wait=False)
    loaded = asyncio.wrap_future(loading)
    try:
        while not loaded.done():
            await asyncio.wait({loaded}, timeout=max(0.0, stall.left_s()))
            if not loaded.done():
                stall.check()
    except BaseException:
        loaded.cancel()
        loading.add_done_callback(_release)
        raise
    return loaded.result()


def _release(loading: Future[LoadedModel]) -> None:
    if not loading.cancelled() and loading.exception() is None:
        loading.result().backend.close()
