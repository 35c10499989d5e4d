"""The core: everything between a request and its answer, without a port."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from batchproof_server.application.config import Config
from batchproof_server.application.device_process import (
    DEVICE_COMMAND,
    decode_threads,
    device_request,
)
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.clock import Clock, MonotonicClock
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.events import Observer
from batchproof_server.base.files import PrivateDirectory
from batchproof_server.devices.child import DeviceProcess, start_process
from batchproof_server.models.connecting import Connector
from batchproof_server.models.discovery import Place
from batchproof_server.models.loader import Loader
from batchproof_server.models.loading import LoadingPlugs
from batchproof_server.models.looking import SteadyLoader
from batchproof_server.models.process_loader import ProcessLoader, stays_here
from batchproof_server.models.served import ServedModel
from batchproof_server.models.thread_loader import ThreadLoader
from batchproof_server.models.versions import Versions
from batchproof_server.proof.certificate.machine import usable_cpus
from batchproof_server.proof.settings import Tell, silent
from batchproof_server.serving.off_loop import OffLoop
from batchproof_server.serving.predictor import Predictor, SealRows
from batchproof_server.serving.request import Prediction, PredictRequest, Refusal


@dataclass(frozen=True, slots=True)
class Told:
    """Who hears of what happens in a core.

    Attributes:
        observer: of every event.
        progress: of proofs, on the loading thread.
        unforeseen: of what loading failed with and nobody foresaw.
    """

    observer: Observer
    progress: Tell = silent
    unforeseen: Callable[[Exception], None] = lambda _failure: None


# Contract: lives on one loop. Whoever answers pictures or tensors asks this: the server for its
# callers, and every offline command. Nothing else composes these parts.
@dataclass(frozen=True, slots=True)
class Core:
    """Versions, and what answers requests to them.

    Attributes:
        versions: the life of every version.
        loader: makes one answer.
        predictor: answers.
        off_loop: the threads beside the loop.
        clock: of all of them.
        kept: what device processes keep for those that come after them.
    """

    versions: Versions
    loader: Loader
    predictor: Predictor
    off_loop: OffLoop
    clock: Clock
    kept: PrivateDirectory

    async def predict(self, requests: Sequence[PredictRequest]) -> list[Prediction | Refusal]:
        """Answers several requests together, in their order; one that fails spoils no other."""
        return await self.predictor.predict_each(requests)

    async def load(self, place: Place) -> ServedModel:
        """Loads a version for the caller alone, who closes it.

        Raises:
            ModelRefused: with the findings.
        """
        try:
            return await self.loader.load(place, lambda _step: None)
        except ModelRefused as refused:
            findings = refused.findings or (str(refused),)
            text = f"{place.name} version {place.version} cannot be loaded"
            raise ModelRefused(text, findings) from refused

    def close(self) -> None:
        """Releases every version and the threads."""
        self.off_loop.close()
        self.versions.close()
        self.kept.close()


def build_core(  # noqa: PLR0913 - each is a plug
    config: Config,
    told: Told,
    places: tuple[Place, ...] = (),
    *,
    plugs: Callable[[Config, Tell], LoadingPlugs] = loading_plugs,
    watches_inputs: bool = False,
    seal_rows: SealRows | None = None,
    processes: bool = False,
) -> Core:
    """Composes a core; loads nothing.

    Args:
        config: what the user set.
        told: who hears of what happens.
        places: the versions that are known from the start.
        plugs: what bundles may name.
        watches_inputs: whether observers are told what inputs are like, even where a version has no
            reference profile.
        seal_rows: makes the handles of answers; None gives them none.
        processes: whether versions are executed in processes of their own; these know the
            configuration and what bundles may name by themselves.

    Raises:
        ValueError: a version label stands for a version that is not among the places.
    """
    clock = MonotonicClock()
    connector = Connector(
        clock=clock,
        observer=told.observer,
        self_check=config.self_check,
        execution=config.execution,
        max_request_rows=config.requests.max_request_rows,
        max_request_views=config.requests.max_request_views,
        watches_inputs=watches_inputs,
        answers_non_finite=config.requests.non_finite == "answer",
    )
    loader: Loader = ThreadLoader(partial(plugs, config), told.progress, connector)
    kept = PrivateDirectory()
    if processes:
        loader = ProcessLoader(
            start=partial(_start_device, config, kept, clock),
            plugs=plugs(config, told.progress),
            tell=told.progress,
            connector=connector,
            here=loader,
            stays_here=stays_here,
            settings=config.devices,
        )
    versions = Versions(
        places,
        config.version_labels,
        loader=SteadyLoader(loader),
        observer=told.observer,
        clock=clock,
        report_unforeseen=told.unforeseen,
        shadows=config.shadow.versions,
    )
    off_loop = OffLoop(config.decoding, clock, told.observer)
    predictor = Predictor(
        config.requests,
        off_loop,
        clock,
        told.observer,
        seal_rows=seal_rows,
        tells_inputs=bool(config.capture.directory),
    )
    return Core(versions, loader, predictor, off_loop, clock, kept)


def _start_device(
    config: Config, kept: PrivateDirectory, clock: Clock, place: Place
) -> DeviceProcess:
    """Starts a process that loads a version.

    Where certificates are not kept they are as long as the server runs, so that a device that was
    lost is not proven once more before it is back. Several processes of a version divide the
    cores among them, or each would take a thread for every one of them, and so the threads that
    decode.
    """
    if not config.proof.certificate_directory:
        proof = replace(config.proof, certificate_directory=kept.path())
        config = replace(config, proof=proof)
    if config.devices.count > 1 and not config.engine.intra_op_threads:
        share = max(1, usable_cpus() // config.devices.count)
        config = replace(config, engine=replace(config.engine, intra_op_threads=share))
    request, limit_bytes = device_request(config, place), config.devices.max_memory_bytes
    slots = decode_threads(config) + _SLOTS_AHEAD
    return start_process(DEVICE_COMMAND, request, clock, limit_bytes, slots)


# So many pictures lie ready for the threads that decode: a process that shares a core with the
# front then decodes several before it is the front's turn again.
_SLOTS_AHEAD: Final = 8
