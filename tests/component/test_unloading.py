"""A version that is unloaded under load: everything accepted is answered, and memory comes back."""

import asyncio
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from batchproof_server.backends.affine import kind as affine
from batchproof_server.base.clock import MonotonicClock
from batchproof_server.base.errors import Draining, ModelNotFound
from batchproof_server.base.output import RAW_OUTPUT
from batchproof_server.batching.batcher import Batcher
from batchproof_server.devices.thread import ThreadDevice
from batchproof_server.models.bundle import Bundle
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.manifest import NO_MANIFEST
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.served import ServedModel
from batchproof_server.models.version_states import VersionState
from support.engine_bench import SMALL
from support.fakes import ElementwiseBackend, GatedBackend, Recorder, settle_loop, until
from support.patience import PATIENCE_S
from support.version_life import FakeLoader, Life, place

NEWEST = ModelSelector("m")


class Backends:
    """Loads backends, each behind a real batcher and a real thread; keeps none of them alive."""

    def __init__(self, *, gated: bool = False) -> None:
        self.kind: type[ElementwiseBackend] = GatedBackend if gated else ElementwiseBackend
        self.made: list[weakref.ref[ElementwiseBackend]] = []

    def make(self, name: str, version: int) -> ServedModel:
        """A loaded version."""
        backend = self.kind(1)
        self.made.append(weakref.ref(backend))
        bundle = Bundle(name, version, affine.KIND, Path(), NO_MANIFEST, (), "digest")
        loaded = LoadedModel(bundle, backend, SMALL, RAW_OUTPUT, None)
        clock = MonotonicClock()
        device = ThreadDevice(backend, partial(ThreadPoolExecutor, 1), clock)
        batcher = Batcher(
            name,
            version,
            backend.signature,
            SMALL,
            clock=clock,
            device=device,
            observer=Recorder(),
        )
        return ServedModel(loaded, batcher, device, 16, 16)

    def are_gone(self) -> bool:
        """Whether nothing holds any of them; a thread that ends may do so a moment longer."""
        gc.collect()
        return all(each() is None for each in self.made)

    def newest(self) -> GatedBackend:
        """The backend that was made last."""
        backend = self.made[-1]()
        assert isinstance(backend, GatedBackend)
        return backend


async def ask(life: Life, value: float, decoding: asyncio.Event | None = None) -> float:
    """One request, which waits for its picture when it is told to; what its row held."""
    with life.versions.lease(NEWEST) as model:
        if decoding is not None:
            await decoding.wait()
        answer = await model.batcher.submit({"x": np.full((1, 1), value)}, 1)
        return float((answer.outputs["y"][0, 0] - 1) / 2)


async def test_an_unload_under_load_answers_everything_accepted_and_everything_leased() -> None:
    backends = Backends(gated=True)
    life = Life(loader=FakeLoader(backends.make))
    await life.versions.load(place())
    decoded = asyncio.Event()
    tasks = [asyncio.create_task(ask(life, value)) for value in range(6)]
    late = [asyncio.create_task(ask(life, value, decoded)) for value in range(6, 9)]
    await settle_loop()
    unloading = asyncio.create_task(life.versions.unload("m", 1))
    await settle_loop()
    assert life.state() is VersionState.DRAINING
    with pytest.raises(Draining):
        await ask(life, 99.0)
    backends.newest().release_all()
    assert await asyncio.gather(*tasks) == list(range(6))
    assert not unloading.done()
    decoded.set()
    assert await asyncio.gather(*late) == list(range(6, 9))
    await unloading
    assert life.state() is VersionState.UNLOADED


async def test_the_memory_of_an_unloaded_version_is_given_back() -> None:
    backends = Backends()
    life = Life(loader=FakeLoader(backends.make))
    for _ in range(3):
        await life.versions.load(place())
        await asyncio.gather(*(ask(life, value) for value in range(9)))
        await life.versions.unload("m", 1)
    await until(backends.are_gone)
    with pytest.raises(ModelNotFound, match="was unloaded"):
        await ask(life, 0.0)


async def test_the_older_version_answers_as_soon_as_the_newer_one_drains() -> None:
    backends = Backends()
    life = Life((place(1), place(2)), loader=FakeLoader(backends.make))
    await life.versions.load(place(1))
    await life.versions.load(place(2))
    with life.versions.lease(NEWEST) as model:
        assert model.version == 2
        unloading = asyncio.create_task(life.versions.unload("m", 2))
        await settle_loop()
        with life.versions.lease(NEWEST) as other:
            assert other.version == 1
    await unloading
    assert life.state(2) is VersionState.UNLOADED
    life.versions.close()


async def test_a_request_that_fails_or_goes_away_gives_its_lease_back() -> None:
    backends = Backends(gated=True)
    life = Life(loader=FakeLoader(backends.make))
    await life.versions.load(place())
    gone = asyncio.create_task(ask(life, 1.0, asyncio.Event()))
    await settle_loop()
    gone.cancel()
    with life.versions.lease(NEWEST) as model, pytest.raises(ValueError, match="do not hold"):
        await model.batcher.submit({"x": np.zeros((1, 1))}, 2)
    await asyncio.wait_for(life.versions.unload("m", 1), PATIENCE_S)


async def test_a_stuck_version_is_released_without_waiting_for_its_device() -> None:
    backends = Backends(gated=True)
    life = Life(loader=FakeLoader(backends.make))
    await life.versions.load(place())
    backend = backends.newest()
    hanging = asyncio.create_task(ask(life, 1.0))
    await backend.entered()
    life.versions.follow_trouble("m", 1, "it hangs")
    unloading = asyncio.create_task(life.versions.unload("m", 1))
    await settle_loop()
    hanging.cancel()  # its caller's time is over
    await asyncio.wait_for(unloading, PATIENCE_S)
    assert life.state() is VersionState.UNLOADED
    backend.release_all()


async def test_two_versions_of_a_name_are_leased_apart() -> None:
    backends = Backends()
    life = Life((place(1), place(2)), {"m": {"stable": 1}}, FakeLoader(backends.make))
    await life.versions.load(place(1))
    await life.versions.load(place(2))
    with life.versions.lease(replace(NEWEST, label="stable")) as stable:
        assert stable.version == 1
        await life.versions.unload("m", 2)
    life.versions.close()
