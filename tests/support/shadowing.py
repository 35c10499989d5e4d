"""Two versions of a model, of which one is a shadow, on devices that the test moves."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from batchproof_server.backends.affine import kind as affine
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.signature import Tensors
from batchproof_server.batching.replies import BatchedRows
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.models.bundle import Bundle
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.manifest import NO_MANIFEST
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.served import ServedModel
from batchproof_server.models.versions import Versions
from batchproof_server.shadowing.records import ShadowRecord
from batchproof_server.shadowing.settings import ShadowSettings
from batchproof_server.shadowing.shadow import Shadowing
from support.batcher_bench import batcher_on
from support.fakes import ElementwiseBackend, FakeClock, PuppetDevice, Recorder, settle_loop
from support.version_life import FakeLoader, place

CLASSES = 3
BATCHING = BatchingSettings(buckets_rows=(2, 4), max_queued_rows=8)


class ScriptedBackend(ElementwiseBackend):
    """Answers as the test says.

    Args:
        answer: from what ``ElementwiseBackend`` answers.
    """

    def __init__(self, answer: Callable[[Any], Any] = lambda y: y, classes: int = CLASSES) -> None:
        super().__init__(classes)
        self.answer = answer

    def execute(self, inputs: Tensors) -> Tensors:
        """Computes, and asks the test."""
        return {"y": self.answer(super().execute(inputs)["y"])}


@dataclass
class Shadowed:
    """Version 1 answers, version 2 is its shadow.

    Attributes:
        backends: of both.
        core: where both execute, one after the other; None gives each a device of its own.
        asking: requests that are under way.
    """

    backends: tuple[ElementwiseBackend, ElementwiseBackend] = field(
        default_factory=lambda: (ScriptedBackend(), ScriptedBackend())
    )
    settings: ShadowSettings = field(default_factory=lambda: ShadowSettings({"m": 2}, share=1.0))
    core: PuppetDevice | None = None
    batching: BatchingSettings = BATCHING
    kind: Any = "logits"
    clock: FakeClock = field(default_factory=FakeClock)
    recorder: Recorder = field(default_factory=Recorder)
    asking: int = 0

    def __post_init__(self) -> None:
        own = (PuppetDevice(), PuppetDevice())
        self.devices = own if self.core is None else (self.core, self.core)
        self.versions = Versions(
            (place(1), place(2)),
            {},
            loader=FakeLoader(make=self._make),
            observer=self.recorder,
            clock=self.clock,
            report_unforeseen=lambda _failure: None,
            shadows=self.settings.versions,
        )
        self.shadowing = Shadowing(
            self.versions, self.settings, self.clock, self.recorder, lambda: not self.asking
        )

    def _make(self, name: str, version: int) -> ServedModel:
        backend, device = self.backends[version - 1], self.devices[version - 1]
        bundle = replace(
            Bundle(name, version, affine.KIND, Path(), NO_MANIFEST, (), "digest"), name=name
        )
        output = OutputSettings(self.kind, None if self.kind == "raw" else "y")
        loaded = LoadedModel(bundle, backend, self.batching, output, None, classes=CLASSES)
        batcher = batcher_on(
            [device],
            backend,
            self.batching,
            version=version,
            clock=self.clock,
            observer=self.recorder,
        )
        return ServedModel(loaded, batcher, batcher._device, 8, 8)

    async def load(self) -> "Shadowed":
        """Loads both."""
        for version in (1, 2):
            await self.versions.load(place(version))
        return self

    def ask(self, *row: float) -> "asyncio.Task[BatchedRows]":
        """A request of one row."""
        self.asking += 1
        return asyncio.create_task(self._ask(np.array([row or (0.0, 1.0, 2.0)])))

    async def _ask(self, row: Any) -> BatchedRows:
        try:
            with self.versions.lease(ModelSelector("m")) as model:
                return await model.batcher.submit({"x": row}, 1)
        finally:
            self.asking -= 1

    async def answered(self, *row: float) -> BatchedRows:
        """The answer to a row that is alone."""
        task = self.ask(*row)
        await settle_loop()
        self.devices[0].run_next()
        await settle_loop()
        return await task

    async def pass_time(self, duration_s: float) -> None:
        """Time passes, and whatever follows from it."""
        self.clock.advance(duration_s)
        await settle_loop()

    async def run_shadow(self) -> None:
        """Executes what the shadow's device was given."""
        self.devices[1].run_next()
        await settle_loop()

    @property
    def told(self) -> list[ShadowRecord]:
        """The rows that were selected, in order."""
        return [each for each in self.recorder.events if isinstance(each, ShadowRecord)]

    @property
    def reasons(self) -> list[str]:
        """Why rows were skipped."""
        return [each.reason for each in self.told if each.reason]
