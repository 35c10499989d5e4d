"""Loads versions on a thread of this process, and gives each its queue and its device."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.events import Observer
from batchproof_server.batching.batcher import Batcher
from batchproof_server.devices.settings import ExecutionSettings
from batchproof_server.devices.thread import ThreadDevice
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import LoadingPlugs, load_version
from batchproof_server.models.served import ServedModel, self_checks
from batchproof_server.models.warm_up import accepted_row
from batchproof_server.proof.settings import Progress, Tell
from batchproof_server.selfcheck.settings import SelfCheckSettings

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
        clock: time and alarms of the batchers.
        observer: of the batchers.
        self_check: which answers are tried again.
        execution: how long one execution may take, and a step of loading.
        max_request_rows: of one request; a manifest and the queue may lower it.
        max_request_views: rows times views of one request; the queue may lower it.
        watches_inputs: see ``ServedModel``.
    """

    plugs: MakePlugs
    tell: Tell
    clock: Clock
    observer: Observer
    self_check: SelfCheckSettings
    execution: ExecutionSettings
    max_request_rows: int
    max_request_views: int
    watches_inputs: bool = False
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def load(self, place: Place, tell_step: Callable[[str], None]) -> ServedModel:
        """Loads a version; as ``models.loader.Loader`` says."""
        loop = asyncio.get_running_loop()
        stall = _Stall(self.execution.max_load_step_s, self.clock)

        def note(step: str) -> None:
            stall.note(step)
            tell_step(step)

        def tell(progress: Progress) -> None:
            self.tell(progress)
            loop.call_soon_threadsafe(note, progress.step)

        async with self._turn:
            stall.note("loading")
            return self._make_served(place, await _load(place, self.plugs(tell), stall))

    def _make_served(self, place: Place, loaded: LoadedModel) -> ServedModel:
        thread_name = f"device-{place.name}-{place.version}"
        make_thread = partial(ThreadPoolExecutor, 1, thread_name_prefix=thread_name)
        device = ThreadDevice(loaded.backend, make_thread, self.clock)
        batcher = Batcher(
            place.name,
            place.version,
            loaded.backend.signature,
            loaded.batching,
            device=device,
            execution_s=loaded.execution_s,
            known_row=accepted_row(loaded.backend.signature),
            execution_limit_s=self.execution.limit_s(loaded.execution_s),
            clock=self.clock,
            observer=self.observer,
            self_checks=self_checks(loaded, self.self_check),
        )
        queued_rows = loaded.batching.max_queued_rows
        declared_rows = loaded.bundle.manifest.max_request_rows or self.max_request_rows
        return ServedModel(
            loaded,
            batcher,
            device,
            max_request_rows=min(self.max_request_rows, declared_rows, queued_rows),
            max_request_views=min(self.max_request_views, queued_rows),
            watches_inputs=self.watches_inputs,
        )


class _Stall:
    """Remembers the last progress of loading a version."""

    def __init__(self, limit_s: float, clock: Clock) -> None:
        self._limit_s, self._clock = limit_s, clock
        self._step, self._at_s = "", clock.now_s()

    def note(self, step: str) -> None:
        """There is progress."""
        self._step, self._at_s = step, self._clock.now_s()

    def left_s(self) -> float:
        """How long the next progress may take yet."""
        return self._at_s + self._limit_s - self._clock.now_s()

    def check(self) -> None:
        """Returns while the next progress may still come.

        Raises:
            ModelRefused: it has taken too long.
        """
        if self.left_s() > 0:
            return
        finding = (
            f"{self._step}: no progress within {self._limit_s:.3g} s; a model that hangs for some "
            "input never ends this, a large one needs a higher [execution] max_load_step_s"
        )
        raise ModelRefused("loading takes too long", (finding,))


async def _load(place: Place, plugs: LoadingPlugs, stall: _Stall) -> LoadedModel:
    thread = ThreadPoolExecutor(1, thread_name_prefix="load")
    loading = thread.submit(load_version, place, plugs)
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
