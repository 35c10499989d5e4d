"""Loads versions in device processes: this process imports no engine."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias

from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.events import DeviceBack, DeviceLost, Observer
from batchproof_server.base.validation import parse_settings
from batchproof_server.devices.child import NOBODY, ChildListener, DeviceProcess, Loss
from batchproof_server.devices.failing import Failing
from batchproof_server.devices.group import DeviceGroup
from batchproof_server.devices.picture_slots import PictureDecoding
from batchproof_server.devices.process import ProcessDevice
from batchproof_server.devices.records import Record, Tag, unpack
from batchproof_server.devices.restarting import Restart, Restarter
from batchproof_server.devices.settings import DeviceSettings
from batchproof_server.models.bundle import Bundle, read_bundle
from batchproof_server.models.connecting import Connector
from batchproof_server.models.device_facts import DeviceFacts, check_same, describe, read_facts
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loader import Loader
from batchproof_server.models.loading import LoadingPlugs
from batchproof_server.models.off_loop import off_loop
from batchproof_server.models.served import ServedModel
from batchproof_server.models.stall import Stall
from batchproof_server.proof.settings import Progress, Tell

# Starts a process that loads the version which lies there; on the loop thread.
StartProcess: TypeAlias = Callable[[Place], DeviceProcess]
# Why a bundle is executed in this process; empty for one that is not.
StaysHere: TypeAlias = Callable[[Bundle], str]


class LoadingBroke(Exception):
    """A device process failed with something that nobody foresaw; the text is its traceback."""


# Contract: one version at a time. A process that makes no progress, takes too much memory, or of
# which nobody wants to know any more is ended: nothing of it stays. A version whose process is lost
# later is loaded again, and answers only if it is what it was.
@dataclass(frozen=True, slots=True)
class ProcessLoader:
    """Loads versions, each in a process of its own.

    Attributes:
        start: a process for a version.
        plugs: what this process reads of bundles.
        tell: learns of progress, on the loop thread.
        connector: makes answer what was loaded.
        here: loads what stays in this process.
        stays_here: says what does.
        settings: how many processes execute one version, and what becomes of those that fail.
        luck: draws 0 to below 1.
    """

    start: StartProcess
    plugs: LoadingPlugs
    tell: Tell
    connector: Connector
    here: Loader
    stays_here: StaysHere
    settings: DeviceSettings
    luck: Callable[[], float] = random.random
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def load(self, place: Place, tell_step: Callable[[str], None]) -> ServedModel:
        """Loads a version; as ``models.loader.Loader`` says."""
        read = partial(read_bundle, place.name, place.version, place.directory, self.plugs.kinds)
        bundle = await off_loop(read)
        if reason := self.stays_here(bundle):
            self.tell(Progress(place.name, place.version, "in this process", detail=reason))
            return await self.here.load(place, tell_step)
        async with self._turn:
            process, facts = await self._started(place, tell_step)
            processes = [process]
            try:
                processes += await self._others(place, facts)
                loaded = await off_loop(partial(describe, bundle, facts, self.plugs))
            except BaseException:
                for each in processes:
                    each.end()
                raise
        failing = Failing(len(processes))
        restart = partial(self._restarted, place, facts)
        decoding = None if loaded.recipe is None else self._decoding(loaded)
        devices = [
            self._device(each, loaded, restart, self._news(place, failing, number), decoding)
            for number, each in enumerate(processes)
        ]
        device = devices[0] if len(devices) == 1 else DeviceGroup(devices)
        return self.connector.connect(place, loaded, device, failing, decoding)

    def _decoding(self, loaded: LoadedModel) -> PictureDecoding:
        """Decodes its pictures in the processes that execute it."""
        limit_s = self.connector.execution.limit_s(loaded.execution_s)
        row = loaded.backend.signature.inputs[0]
        return PictureDecoding(row, limit_s, self.connector.clock)

    def _news(self, place: Place, failing: Failing, number: int) -> "_LossNews":
        tell = partial(failing.note, number)
        return _LossNews(place, self.connector.observer, self.settings, tell)

    def _device(
        self,
        process: DeviceProcess,
        loaded: LoadedModel,
        restart: Restart,
        told: "_LossNews",
        decoding: PictureDecoding | None,
    ) -> ProcessDevice:
        clock = self.connector.clock
        restarter = Restarter(restart, clock, told, self.settings.back_off, self.luck)
        return ProcessDevice(loaded.backend.signature, process, restarter, clock, decoding)

    async def _others(self, place: Place, facts: DeviceFacts) -> list[DeviceProcess]:
        """The processes beside the first, which proved the version.

        Raises:
            ModelRefused: one does not load, or loads something else.
        """
        starts = [
            asyncio.ensure_future(self._restarted(place, facts))
            for _ in range(1, self.settings.count)
        ]
        try:
            return list(await asyncio.gather(*starts))
        except BaseException:
            for start in starts:
                start.cancel()
            for ended in await asyncio.gather(*starts, return_exceptions=True):
                if isinstance(ended, DeviceProcess):
                    ended.end()
            raise

    async def _restarted(self, place: Place, facts: DeviceFacts) -> DeviceProcess:
        """Another process that executes the same.

        Raises:
            ModelRefused: it does not load, or loads something else.
        """
        process, again = await self._started(place, _tell_nobody)
        try:
            check_same(facts, again)
        except BaseException:
            process.end()
            raise
        return process

    async def _started(
        self, place: Place, tell_step: Callable[[str], None]
    ) -> tuple[DeviceProcess, DeviceFacts]:
        stall = Stall(self.connector.execution.max_load_step_s, self.connector.clock)
        process = self.start(place)
        loading = _LoadingProcess(process, asyncio.get_running_loop().create_future())

        def tell(progress: Progress) -> None:
            stall.note(progress.step)
            self.tell(progress)
            tell_step(progress.step)

        try:
            process.listen(ChildListener(partial(loading.receive, tell), lost=loading.lose))
            while not loading.facts.done():
                await asyncio.wait({loading.facts}, timeout=max(0.0, stall.left_s()))
                if not loading.facts.done():
                    stall.check()
            return process, loading.facts.result()
        except BaseException:
            process.listen(NOBODY)
            process.kill(Loss("hung", "was not waited for"))
            raise


@dataclass(frozen=True, slots=True)
class _LoadingProcess:
    """What a process has told so far.

    Attributes:
        facts: of what it loaded, in the end.
    """

    process: DeviceProcess
    facts: asyncio.Future[DeviceFacts]

    def receive(self, tell: Tell, record: bytes) -> None:
        """It said something."""
        if self.facts.done():
            return
        try:
            self._read(unpack(record), tell)
        except (ModelRefused, LoadingBroke) as failure:
            self.facts.set_exception(failure)
        except ValueError as fault:
            self.facts.set_exception(LoadingBroke(f"it said what it should not: {fault}"))

    def lose(self, loss: Loss) -> None:
        """It is there no more."""
        if not self.facts.done():
            finding = f"the device process that loaded it {loss.detail}"
            self.facts.set_exception(ModelRefused("the device was lost", (finding,)))

    def _read(self, record: Record, tell: Tell) -> None:
        if record.tag is Tag.PROGRESS:
            tell(parse_settings(Progress, json.loads(record.rest)))
            return
        if record.number > _MOST_TEXT_BYTES:
            raise ValueError(f"a text of {record.number} bytes")
        text = self.process.arena.read(record.number)
        if record.tag is Tag.LOADED:
            facts = read_facts(text)
            if self.process.check_memory():
                self.facts.set_result(facts)
        elif record.tag is Tag.REFUSED:
            refused: Any = json.loads(text)
            raise ModelRefused(str(refused["text"]), tuple(map(str, refused["findings"])))
        else:
            raise LoadingBroke(text.decode(errors="replace"))


@dataclass(slots=True)
class _LossNews:
    """Tells observers what becomes of a version's process, and that too many were lost."""

    place: Place
    observer: Observer
    settings: DeviceSettings
    keeps_failing: Callable[[str], None]
    latest: str = ""

    def lost(self, loss: Loss) -> None:
        """One is there no more, and another is started."""
        self._tell(loss.reason, f"it {loss.detail}")

    def not_started(self, failure: Exception) -> None:
        """Another could not be started, and is tried again later."""
        findings = failure.findings if isinstance(failure, ModelRefused) else ()
        self._tell("not_started", "; ".join(findings) or str(failure) or type(failure).__name__)

    def _tell(self, reason: str, detail: str) -> None:
        self.latest = f"{reason}, {detail}"
        self.observer.notify(DeviceLost(self.place.name, self.place.version, reason, detail))

    def is_back(self, away_s: float) -> None:
        """Another stands."""
        self.observer.notify(DeviceBack(self.place.name, self.place.version, away_s))

    def failed_in_a_row(self, failures: int) -> None:
        """Too often, or not."""
        most = self.settings.max_losses
        self.keeps_failing(self._reason(failures) if 0 < most <= failures else "")

    def _reason(self, failures: int) -> str:
        last = f"; the last known loss: {self.latest}" if self.latest else ""
        return (
            f"its device was lost, or did not start, {failures} times in a row and stood for less "
            f"than {self.settings.healthy_s:g} s each time{last}"
        )


def stays_here(bundle: Bundle) -> str:
    """Why a bundle is executed in the process of the server; empty for one that is not."""
    return "" if bundle.kind.module else "no engine has to be imported"


def _tell_nobody(step: str) -> None:
    """For a version that answers already."""
    del step


_MOST_TEXT_BYTES: Final = 64 << 20
