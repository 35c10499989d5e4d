"""Versions whose loading the test decides."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import ModelRefused
from batchproof_server.models.discovery import Place
from batchproof_server.models.selection import Labels, ModelSelector
from batchproof_server.models.served import ServedModel
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import VersionState
from batchproof_server.models.versions import Versions
from support.engine_bench import engine_bench
from support.fakes import ElementwiseBackend, FakeClock, PuppetDevice, Recorder, settle_loop

REFUSED = ModelRefused("refused", ("why",))


def place(version: int = 1, name: str = "m") -> Place:
    return Place(name, version, Path())


def served(name: str = "m", version: int = 1) -> ServedModel:
    """A loaded version; its queue is closed already."""
    with engine_bench(ElementwiseBackend(1), device=PuppetDevice()) as bench:
        loaded = bench.model.loaded
        bundle = replace(loaded.bundle, name=name, version=version)
        return replace(bench.model, loaded=replace(loaded, bundle=bundle))


@dataclass
class FakeLoader:
    """Loads at once, or fails, or never ends.

    Attributes:
        make: makes what is loaded.
        failure: raised instead.
        is_endless: whether loading goes on until it is cancelled.
        steps: told while it loads.
    """

    make: Callable[[str, int], ServedModel] = served
    failure: Exception | None = None
    is_endless: bool = False
    steps: tuple[str, ...] = ()

    async def load(self, place: Place, tell_step: Callable[[str], None]) -> ServedModel:
        """Does what the attributes say."""
        for step in self.steps:
            tell_step(step)
        if self.is_endless:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        return self.make(place.name, place.version)


@dataclass
class Life:
    """Versions, and all that they say."""

    places: tuple[Place, ...] = (place(),)
    labels: Labels = field(default_factory=dict)
    loader: FakeLoader = field(default_factory=FakeLoader)
    clock: Clock = field(default_factory=FakeClock)
    recorder: Recorder = field(default_factory=Recorder)
    unforeseen: list[Exception] = field(default_factory=list)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.versions = Versions(
            self.places,
            self.labels,
            loader=self.loader,
            observer=self.recorder,
            clock=self.clock,
            report_unforeseen=self.unforeseen.append,
        )

    @property
    def news(self) -> list[tuple[VersionState | None, VersionState]]:
        """The changes of states."""
        events = self.recorder.events
        return [(each.old, each.new) for each in events if isinstance(each, VersionChanged)]

    def state(self, version: int = 1) -> VersionState:
        """The state of a version now."""
        (state,) = [each.state for each in self.versions.statuses() if each.version == version]
        return state

    async def bring(self, version: int, state: VersionState) -> None:
        """Brings a version that was discovered into a state."""
        if state is VersionState.DISCOVERED:
            return
        self.loader.failure = REFUSED if state is VersionState.FAILED else None
        self.loader.is_endless = state is VersionState.LOADING
        self.tasks.append(load := asyncio.create_task(self.versions.load(place(version))))
        await asyncio.wait({load}, timeout=0 if self.loader.is_endless else None)
        if state is VersionState.STUCK:
            self.versions.follow_trouble("m", version, "it hangs")
        elif state is VersionState.DRAINING:
            self.versions.lease(ModelSelector("m", version)).__enter__()
            self.tasks.append(asyncio.create_task(self.versions.unload("m", version)))
            await settle_loop()
        elif state is VersionState.UNLOADED:
            await self.versions.unload("m", version)
