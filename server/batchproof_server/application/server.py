"""The composition root: the only place where the parts meet."""

import asyncio
import importlib.metadata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs as loading_plugs
from batchproof_server.base.clock import Clock, Heartbeat, MonotonicClock, epoch_ms
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.events import ModelRecord, Observer
from batchproof_server.batching.batcher import Batcher
from batchproof_server.devices.thread import ThreadDevice
from batchproof_server.models.discovery import Place
from batchproof_server.models.loading import LoadedModel, LoadingPlugs, load_version
from batchproof_server.models.repository import ModelRepository, ModelState
from batchproof_server.models.served import ServedModel, self_checks
from batchproof_server.observing.fan_out import Observers
from batchproof_server.observing.logs import Logger, LogObserver
from batchproof_server.observing.prometheus.drift import DriftMetrics
from batchproof_server.observing.prometheus.outcomes import OutcomeMetrics
from batchproof_server.observing.prometheus.serving import Metrics
from batchproof_server.observing.statistics import Statistics
from batchproof_server.outcomes.desk import OutcomeDesk
from batchproof_server.rpc.calls import Calls
from batchproof_server.rpc.fronts.grpc_aio.gate import Admission, Gate
from batchproof_server.rpc.fronts.grpc_aio.health import Health
from batchproof_server.rpc.fronts.grpc_aio.server import PortUnavailable, RpcServer
from batchproof_server.rpc.native.outcomes import OutcomeReports
from batchproof_server.rpc.native.service import PredictionService
from batchproof_server.rpc.open_inference.service import OpenInferenceService
from batchproof_server.rpc.pressure import Pressure
from batchproof_server.rpc.streams import Streams
from batchproof_server.rpc.tensorflow_serving.service import TensorFlowServing
from batchproof_server.serving.off_loop import OffLoop
from batchproof_server.serving.predictor import Predictor
from batchproof_server.web.operations import HttpServer, Pages

_UNFORESEEN_FINDING = "the server failed while loading it; its log has more"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the server listens, each as ``host:port``."""

    grpc: str
    http: str


# Contract of the life-cycle
#
# open -> load -> drain -> close, each once, in this order, on one loop. Health says NOT_SERVING
# from before the port opens until load is done, and from the start of drain. A version that fails
# to load stops no other. Between drain and close every accepted request is answered, unless the
# grace ends before.
@dataclass(frozen=True, slots=True)
class Server:
    """The composed parts."""

    config: Config
    places: tuple[Place, ...]
    plugs: LoadingPlugs
    repository: ModelRepository
    off_loop: OffLoop
    drift: DriftMetrics
    pressure: Pressure
    streams: Streams
    health: Health
    rpc: RpcServer
    http: HttpServer
    heartbeat: Heartbeat
    observer: Observer
    outcomes: OutcomeDesk
    log_observer: LogObserver
    clock: Clock

    async def open(self) -> Addresses:
        """Opens both ports; health says NOT_SERVING.

        Raises:
            PortUnavailable: one of them cannot be opened.
        """
        settings = self.config.server
        await self.health.start()
        self.heartbeat.start()
        grpc_port = await self.rpc.start(settings.host, settings.grpc_port)
        try:
            self.http.start()
        except OSError as fault:
            await self.rpc.stop(0)
            raise PortUnavailable(
                f"HTTP cannot listen on {settings.host}:{settings.http_port}: it is taken or no "
                "address of this host"
            ) from fault
        return Addresses(f"{settings.host}:{grpc_port}", f"{settings.host}:{self.http.port}")

    async def load(self) -> bool:
        """Loads every version, one after the other; whether any of them answers now.

        Cancelling it abandons the version at hand: its thread goes on until that is loaded.
        """
        loading = ThreadPoolExecutor(1, thread_name_prefix="load")
        try:
            for place in self.places:
                await self._load_one(place, loading)
        finally:
            # Waiting here would stop the loop until the version at hand is loaded.
            loading.shutdown(wait=False, cancel_futures=True)
        await self.health.loading_finished()
        return bool(self.repository.ready())

    async def _load_one(self, place: Place, loading: ThreadPoolExecutor) -> None:
        started_s = self.clock.now_s()
        self._record(place, ModelState.LOADING, started_s)
        loop = asyncio.get_running_loop()
        try:
            loaded = await loop.run_in_executor(loading, load_version, place, self.plugs)
        except ModelRefused as refused:
            self._failed(place, refused.findings or (str(refused),), started_s)
        except Exception as failure:  # noqa: BLE001 - one bundle must not stop the others
            self.log_observer.failed(failure)
            self._failed(place, (_UNFORESEEN_FINDING,), started_s)
        else:
            self._ready(place, loaded, started_s)
        await self.health.models_changed()

    def _ready(self, place: Place, loaded: LoadedModel, started_s: float) -> None:
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
            clock=self.clock,
            observer=self.observer,
            self_checks=self_checks(loaded, self.config.self_check),
        )
        limits = (
            self.config.requests.max_request_rows,
            loaded.bundle.manifest.max_request_rows or self.config.requests.max_request_rows,
            loaded.batching.max_queued_rows,
        )
        max_request_views = min(
            self.config.requests.max_request_views, loaded.batching.max_queued_rows
        )
        self._watch(place, loaded)
        served = ServedModel(loaded, batcher, device, min(limits), max_request_views)
        self.outcomes.model_ready(served)
        self.repository.became_ready(served)
        self._record(place, ModelState.READY, started_s, loaded=loaded)

    def _watch(self, place: Place, loaded: LoadedModel) -> None:
        if loaded.classes:
            self.drift.watch(place.name, place.version, loaded.profile)
        for finding in loaded.profile_findings:
            self.log_observer.profile_ignored(place.name, place.version, finding)

    def _failed(self, place: Place, findings: tuple[str, ...], started_s: float) -> None:
        self.repository.became_failed(place.name, place.version, findings)
        self._record(place, ModelState.FAILED, started_s, findings=findings)

    def _record(
        self,
        place: Place,
        state: ModelState,
        started_s: float,
        *,
        loaded: LoadedModel | None = None,
        findings: tuple[str, ...] = (),
    ) -> None:
        recipe = None if loaded is None else loaded.recipe
        certificate = None if loaded is None else loaded.certificate
        self.observer.notify(
            ModelRecord(
                model=place.name,
                version=place.version,
                state=state,
                model_digest="" if loaded is None else loaded.bundle.model_digest,
                recipe_digest="" if recipe is None else recipe.digest,
                engine="" if loaded is None else loaded.backend.engine,
                findings=findings,
                duration_s=self.clock.now_s() - started_s,
                certificate_digest="" if loaded is None else loaded.certificate_digest,
                verdict="" if certificate is None else certificate.verdict,
                consistency="" if certificate is None else certificate.consistency,
                tta_policies=() if loaded is None or recipe is None else loaded.tta.names,
            )
        )

    async def drain(self) -> bool:
        """Answers what was accepted and refuses what is new; whether all was answered in time."""
        settings = self.config.server
        await self.health.start_draining()
        await asyncio.sleep(settings.lame_duck_s)
        started_s = self.clock.now_s()
        self.repository.start_draining()
        self.streams.start_draining()
        self.health.end_watches()
        stopping = asyncio.ensure_future(self.rpc.stop(settings.grace_s))
        in_time = self.pressure.is_idle
        while not (in_time or stopping.done()):
            await asyncio.wait({stopping}, timeout=_POLL_S)
            in_time = self.pressure.is_idle and self.clock.now_s() - started_s < settings.grace_s
        # What is left are answers on their way, and streams of reflection, which may stay for ever.
        await self.rpc.stop(min(settings.grace_s, _LAST_ANSWERS_S))
        await stopping
        return in_time

    def close(self) -> None:
        """Releases everything, whatever state it is in."""
        self.http.stop()
        self.heartbeat.stop()
        self.off_loop.close()
        self.drift.close()
        for model in self.repository.loaded():
            model.close()


_POLL_S = 0.02
_LAST_ANSWERS_S = 5.0


def compose(config: Config, places: tuple[Place, ...], logger: Logger) -> Server:
    """Builds the server; opens and loads nothing.

    Raises:
        ValueError: a version label stands for a version that does not exist.
    """
    clock = MonotonicClock()
    log_observer = LogObserver(logger)
    build_version = importlib.metadata.version("batchproof")
    outcome_metrics = OutcomeMetrics()
    outcomes = OutcomeDesk(config.outcomes, clock, outcome_metrics)
    drift = DriftMetrics(log_observer.failed)
    metrics = Metrics(build_version, (outcome_metrics, drift))
    statistics = Statistics(epoch_ms)
    subscribers = (drift, metrics, statistics, outcomes, log_observer)
    observer = Observers(subscribers, on_failure=log_observer.failed)
    repository = ModelRepository(places, config.version_labels)
    health = Health(repository)
    heartbeat = Heartbeat(clock)
    off_loop = OffLoop(config.decoding, clock, observer)
    streams = Streams(config.rpc.max_streams, config.rpc.stream_window)
    pressure = Pressure(config.rpc.max_concurrent_requests, clock)
    calls = Calls(pressure, clock, observer, log_observer.failed)
    predictor = Predictor(config.requests, off_loop, clock, observer)
    gate = Gate(Admission(predictor, repository, pressure), calls)
    service = PredictionService(predictor, repository, calls, streams, OutcomeReports(outcomes))
    open_inference = OpenInferenceService(
        predictor,
        repository,
        calls,
        streams,
        health,
        statistics=statistics,
        build_version=build_version,
    )
    tensorflow = TensorFlowServing(predictor, repository, calls, config.rpc.max_message_bytes)
    public = (open_inference.published(), *tensorflow.published())
    pages = Pages(metrics.exposition, heartbeat.is_alive, lambda: health.is_serving)
    return Server(
        config=config,
        places=places,
        plugs=loading_plugs(config, log_observer.proof_progressed),
        repository=repository,
        off_loop=off_loop,
        drift=drift,
        pressure=pressure,
        streams=streams,
        health=health,
        rpc=RpcServer(config.rpc, service, health, public, gate),
        http=HttpServer(config.server.host, config.server.http_port, pages, log_observer.failed),
        heartbeat=heartbeat,
        observer=observer,
        outcomes=outcomes,
        log_observer=log_observer,
        clock=clock,
    )
