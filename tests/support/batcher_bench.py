"""A batcher with a clock, a device and an engine that the test moves itself."""

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from batchproof_server.base.backend import Backend
from batchproof_server.base.clock import Clock
from batchproof_server.base.events import Observer
from batchproof_server.base.signature import Tensors
from batchproof_server.batching.batcher import Batcher
from batchproof_server.batching.replies import BatchedRows
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.devices.group import DeviceGroup
from batchproof_server.devices.thread import ThreadDevice
from batchproof_server.selfcheck.choosing import SelfChecks
from support.fakes import (
    ElementwiseBackend,
    FakeClock,
    PuppetDevice,
    Recorder,
    settle_loop,
)

POISON = 666.0


def tensors(value: float, rows: int = 1, *row_shape: int) -> Tensors:
    return {"x": np.full((rows, *(row_shape or (1,))), value, np.float64)}


def values(answer: BatchedRows) -> list[float]:
    """What the rows held when they were asked."""
    row_values: list[float] = ((answer.outputs["y"][:, 0] - 1) / 2).tolist()
    return row_values


def batcher_on(  # noqa: PLR0913 - each may be replaced
    threads: Sequence[Executor],
    backend: Backend,
    settings: BatchingSettings,
    *,
    version: int = 1,
    clock: Clock,
    observer: Observer,
    execution_s: tuple[float, ...] = (),
    known_row: Tensors | None = None,
    execution_limit_s: float = math.inf,
    self_checks: SelfChecks | None = None,
) -> Batcher:
    """A batcher of the model "model" that executes on these threads, a device on each."""
    devices = [ThreadDevice(backend, partial(_same, thread), clock) for thread in threads]
    return Batcher(
        "model",
        version,
        backend.signature,
        settings,
        device=devices[0] if len(devices) == 1 else DeviceGroup(devices),
        execution_s=execution_s,
        known_row=known_row,
        execution_limit_s=execution_limit_s,
        clock=clock,
        observer=observer,
        self_checks=self_checks,
    )


def _same(thread: Executor) -> Executor:
    return thread


@dataclass
class Bench:
    """A batcher and everything around it."""

    settings: BatchingSettings = field(
        default_factory=lambda: BatchingSettings(buckets_rows=(2, 4), max_queued_rows=8)
    )
    backend: ElementwiseBackend = field(default_factory=lambda: ElementwiseBackend(1))
    clock: FakeClock = field(default_factory=FakeClock)
    device: PuppetDevice = field(default_factory=PuppetDevice)
    recorder: Recorder = field(default_factory=Recorder)
    observer: Observer | None = None
    self_checks: SelfChecks | None = None
    known_row: Tensors | None = None
    execution_limit_s: float = math.inf

    def __post_init__(self) -> None:
        self.batcher = batcher_on(
            [self.device],
            self.backend,
            self.settings,
            version=3,
            clock=self.clock,
            observer=self.observer or self.recorder,
            known_row=self.known_row,
            execution_limit_s=self.execution_limit_s,
            self_checks=self.self_checks,
        )

    def ask(
        self, value: float, rows: int = 1, patience_s: float | None = None
    ) -> asyncio.Task[BatchedRows]:
        """One request, which comes to the batcher in the next iteration of the loop."""
        deadline_s = None if patience_s is None else self.clock.now_s() + patience_s
        return asyncio.create_task(self.batcher.submit(tensors(value, rows), rows, deadline_s))

    async def asked(
        self, *wanted: float, patience_s: float | None = None
    ) -> list[asyncio.Task[BatchedRows]]:
        """One request of one row for each value, submitted."""
        tasks = [self.ask(value, patience_s=patience_s) for value in wanted]
        await settle_loop()
        return tasks

    async def run_next(self) -> None:
        """Executes one micro-batch."""
        self.device.run_next()
        await settle_loop()

    async def run_device(self) -> None:
        """Executes what the device was given, and all that follows from it."""
        while self.device.waiting_jobs:
            self.device.run_next()
            await settle_loop()

    def executed(self) -> list[list[float]]:
        """The values of the rows of each executed micro-batch, padding included."""
        return [batch[:, 0].tolist() for batch in self.backend.batches]
