"""Versions in real device processes: loaded, described, refused, lost and loaded again."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from batchproof_server.application.config import Config
from batchproof_server.application.core import Told, build_core
from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.backends.plug_list import artefact_kinds
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.events import DeviceBack, DeviceLost
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.devices.child import DeviceProcess
from batchproof_server.devices.device import DeviceState
from batchproof_server.devices.group import DeviceGroup
from batchproof_server.devices.process import ProcessDevice
from batchproof_server.devices.settings import DeviceSettings, ExecutionSettings
from batchproof_server.models.bundle import Bundle
from batchproof_server.models.discovery import Place
from batchproof_server.models.manifest import NO_MANIFEST
from batchproof_server.models.process_loader import ProcessLoader, stays_here
from batchproof_server.models.served import ServedModel
from batchproof_server.proof.settings import Progress, ProofSettings
from support.bundles_on_disk import LOGITS, PICTURES, write_bundle
from support.fakes import Recorder, until

_REUSED = "certificate reused"
THREE = DeviceSettings(kind="process", count=3)
BATCHING = BatchingSettings(buckets_rows=(2, 4))


class House:
    """A core whose versions are all executed in processes, the affine ones too."""

    def __init__(self, config: Config) -> None:
        self.recorder = Recorder()
        self.progress: list[Progress] = []
        self.core = build_core(config, Told(self.recorder, self.progress.append), processes=True)
        loader = self.core.loader
        assert isinstance(loader, ProcessLoader)
        self.here = loader.here
        self.loader = replace(loader, stays_here=lambda _bundle: "")
        self.served: list[ServedModel] = []

    async def load(self, directory: Path) -> ServedModel:
        """Loads one version."""
        served = await self.loader.load(Place("m", 1, directory), lambda _step: None)
        self.served.append(served)
        return served

    def events(self, kind: type[Any]) -> list[Any]:
        """What observers were told."""
        return [event for event in self.recorder.events if type(event) is kind]


Build: TypeAlias = Callable[..., House]


@pytest.fixture
async def build() -> AsyncIterator[Build]:
    """Houses, of which nothing is left in the end."""
    houses: list[House] = []

    def make(**settings: Any) -> House:
        houses.append(House(Config(batching=BATCHING, **settings)))
        return houses[-1]

    yield make
    processes = [each for house in houses for served in house.served for each in _processes(served)]
    for house in houses:
        for served in house.served:
            served.close()
        house.core.close()
    for pid in [each.pid for each in processes]:
        await until(lambda: not Path(f"/proc/{pid}").exists())  # noqa: B023 - called in this turn


async def test_a_version_answers_in_its_process_as_it_would_here(
    build: Build, tmp_path: Path
) -> None:
    directory = write_bundle(tmp_path / "m")
    house = build()
    served = await house.load(directory)
    here = await house.here.load(Place("m", 2, directory), lambda _step: None)
    house.served.append(here)
    rows = {"image": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)}
    there, expected = [await each.batcher.submit(rows, 3) for each in (served, here)]
    assert isinstance(served.device, ProcessDevice)
    assert there.outputs.keys() == expected.outputs.keys()
    for name, array in there.outputs.items():
        assert array.tobytes() == expected.outputs[name].tobytes()


async def test_what_the_front_knows_of_it_is_what_who_loads_it_here_knows(
    build: Build, tmp_path: Path
) -> None:
    directory = write_bundle(tmp_path / "m", PICTURES, shape=(2, 2, 3))
    (directory / "labels.txt").write_text("cat\ndog\nowl\n")
    house = build()
    there = (await house.load(directory)).loaded
    here = await house.here.load(Place("m", 1, directory), lambda _step: None)
    house.served.append(here)
    for name in ("bundle", "batching", "output", "classes", "tta"):
        assert getattr(there, name) == getattr(here.loaded, name)
    assert there.backend.signature == here.loaded.backend.signature
    assert there.backend.engine == here.loaded.backend.engine
    assert there.recipe is not None
    assert here.loaded.recipe is not None
    assert there.recipe.digest == here.loaded.recipe.digest
    assert there.certificate is not None
    assert here.loaded.certificate is not None
    assert there.certificate.measured.answers == here.loaded.certificate.measured.answers
    assert len(there.execution_s) == len(there.batching.buckets_rows)


async def test_its_findings_and_its_progress_come_from_the_process(
    build: Build, tmp_path: Path
) -> None:
    house = build()
    with pytest.raises(ModelRefused) as refused:
        await house.load(write_bundle(tmp_path / "m", LOGITS, input_dtype="float99"))
    assert any("float99" in finding for finding in refused.value.findings)
    await house.load(write_bundle(tmp_path / "n"))
    assert {"probing"} <= {progress.step for progress in house.progress}


async def test_a_killed_process_is_followed_by_one_that_need_not_be_proven_again(
    build: Build, tmp_path: Path
) -> None:
    house = build()
    served = await house.load(write_bundle(tmp_path / "m"))
    process = _process(served)
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    await until(lambda: bool(house.events(DeviceBack)))
    (lost,) = house.events(DeviceLost)
    assert (lost.model, lost.version, lost.reason) == ("m", 1, "crashed")
    assert "SIGKILL" in lost.detail
    assert "certificate reused" in {progress.step for progress in house.progress}
    rows = {"image": np.zeros((1, 4), np.float32)}
    assert (await served.batcher.submit(rows, 1)).rows == 1


async def test_a_version_whose_bundle_changed_does_not_come_back(
    build: Build, tmp_path: Path
) -> None:
    house = build()
    directory = write_bundle(tmp_path / "m")
    served = await house.load(directory)
    write_bundle(tmp_path / "other", scale=3.0)
    (directory / "affine.json").write_bytes((tmp_path / "other" / "affine.json").read_bytes())
    process = _process(served)
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    await until(lambda: len(house.events(DeviceLost)) > 1)
    assert house.events(DeviceLost)[1].reason == "not_started"
    assert "model digest" in house.events(DeviceLost)[1].detail
    assert served.device.state is DeviceState.LOADING


async def test_several_processes_answer_one_version_and_one_that_is_killed_is_not_missed(
    build: Build, tmp_path: Path
) -> None:
    house = build(devices=DeviceSettings(kind="process", count=2))
    served = await house.load(write_bundle(tmp_path / "m"))
    first, second = _processes(served)
    assert first.pid != second.pid
    assert {progress.detail for progress in house.progress if progress.step == _REUSED} == {
        "m-1.json"
    }
    rows = {"image": np.random.default_rng(0).normal(size=(1, 4)).astype(np.float32)}
    answers = [served.batcher.submit(rows, 1) for _ in range(16)]
    given = [each.outputs for each in await asyncio.gather(*answers)]
    assert len({outputs[name].tobytes() for outputs in given for name in outputs}) == 1
    os.kill(first.pid, signal.SIGKILL)
    await until(lambda: bool(house.events(DeviceLost)))
    for _ in range(4):
        assert (await served.batcher.submit(rows, 1)).rows == 1
    await until(lambda: bool(house.events(DeviceBack)))
    assert len(_processes(served)) == 2


async def test_a_version_is_given_up_when_its_device_was_lost_too_often_in_a_row(
    build: Build, tmp_path: Path
) -> None:
    house = build(devices=DeviceSettings(kind="process", max_losses=2))
    served = await house.load(write_bundle(tmp_path / "m"))
    given_up: list[str] = []
    served.failing.listen(given_up.append)
    for losses in (1, 2):
        await until(lambda: len(house.events(DeviceBack)) == losses - 1)  # noqa: B023 - called in this turn
        (process,) = _processes(served)
        os.kill(process.pid, signal.SIGKILL)
        await until(lambda: len(house.events(DeviceLost)) == losses)  # noqa: B023 - called in this turn
    await until(lambda: bool(given_up))
    assert given_up[0].startswith("its device was lost, or did not start, 2 times in a row")
    assert "crashed, it was ended by SIGKILL" in given_up[0]


async def test_where_one_of_several_does_not_start_none_is_left(
    build: Build, tmp_path: Path
) -> None:
    house = build()
    started: list[DeviceProcess] = []

    def start(place: Place) -> DeviceProcess:
        if len(started) > 1:
            raise OSError("no room for another process")
        started.append(house.loader.start(place))
        return started[-1]

    with pytest.raises(OSError, match="no room"):
        await replace(house.loader, start=start, settings=THREE).load(
            Place("m", 1, write_bundle(tmp_path / "m")), lambda _step: None
        )
    for process in started:
        await until(lambda: not Path(f"/proc/{process.pid}").exists())  # noqa: B023 - called in this turn


async def test_a_process_that_takes_too_much_memory_refuses_the_version(
    build: Build, tmp_path: Path
) -> None:
    house = build(devices=DeviceSettings(max_memory_bytes=1 << 20))
    with pytest.raises(ModelRefused) as refused:
        await house.load(write_bundle(tmp_path / "m"))
    assert "max_memory_bytes" in refused.value.findings[0]


async def test_a_process_that_makes_no_progress_is_ended(build: Build, tmp_path: Path) -> None:
    house = build(execution=ExecutionSettings(max_load_step_s=0.001))
    with pytest.raises(ModelRefused) as refused:
        await house.load(write_bundle(tmp_path / "m"))
    assert "no progress within 0.001 s" in refused.value.findings[0]


async def test_certificates_are_kept_in_the_servers_directory_where_it_has_one(
    build: Build, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    house = build(proof=ProofSettings(certificate_directory=str(kept)))
    await house.load(write_bundle(tmp_path / "m"))
    assert (kept / "m-1.json").exists()


def _process(served: ServedModel) -> DeviceProcess | None:
    return next(iter(_processes(served)), None)


def _processes(served: ServedModel) -> list[DeviceProcess]:
    device = served.device
    members = device.members if isinstance(device, DeviceGroup) else (device,)
    processes = [each._process for each in members if isinstance(each, ProcessDevice)]
    return [process for process in processes if isinstance(process, DeviceProcess)]


@pytest.mark.parametrize("kind", artefact_kinds(), ids=lambda kind: kind.name)
def test_whatever_needs_a_library_to_be_executed_leaves_this_process(
    kind: ArtefactKind, tmp_path: Path
) -> None:
    bundle = Bundle("m", 1, kind, tmp_path, NO_MANIFEST, (), "")
    assert bool(stays_here(bundle)) == (kind.name == "affine")
