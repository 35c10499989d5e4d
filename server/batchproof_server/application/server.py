"""The composition root: the only place where the parts meet."""

import asyncio
import importlib.metadata
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from batchproof_server.application.config import Config, ServerSettings
from batchproof_server.application.core import Core, Told, build_core
from batchproof_server.application.management import Management
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.application.ports import Port, drain_ports, open_ports
from batchproof_server.application.rest import web_ports
from batchproof_server.application.sources import Reloading
from batchproof_server.base.clock import Clock, Heartbeat, MonotonicClock, epoch_ms
from batchproof_server.base.events import Observer
from batchproof_server.models.discovery import Place
from batchproof_server.models.keeper import Keeper
from batchproof_server.models.loading import LoadingPlugs
from batchproof_server.models.looking import Sources, found_at
from batchproof_server.models.orders import Orders
from batchproof_server.models.planning import first_places
from batchproof_server.observing.fan_out import Observers
from batchproof_server.observing.logs import Logger, LogObserver
from batchproof_server.observing.prometheus.drift import DriftMetrics
from batchproof_server.observing.prometheus.outcomes import OutcomeMetrics
from batchproof_server.observing.prometheus.serving import Metrics
from batchproof_server.observing.statistics import Statistics
from batchproof_server.outcomes.desk import OutcomeDesk
from batchproof_server.outcomes.handle import SealingKey
from batchproof_server.outcomes.keys import process_key, read_keys
from batchproof_server.outcomes.sealing import Sealer
from batchproof_server.outcomes.settings import OutcomeSettings
from batchproof_server.proof.settings import Tell
from batchproof_server.rpc.calls import Calls
from batchproof_server.rpc.fronts.choosing import FrontOfChoice
from batchproof_server.rpc.fronts.front import Front, MakeFront
from batchproof_server.rpc.health import Health
from batchproof_server.rpc.methods import Service
from batchproof_server.rpc.native.outcomes import OutcomeReports
from batchproof_server.rpc.native.service import PredictionService
from batchproof_server.rpc.open_inference.service import OpenInferenceService
from batchproof_server.rpc.pressure import LoadShedder, Pressure
from batchproof_server.rpc.routing import make_routes
from batchproof_server.rpc.streams import Streams
from batchproof_server.rpc.tensorflow_serving.service import TensorFlowServing
from batchproof_server.serving.predictor import SealRows
from batchproof_server.web.operations import HttpServer
from batchproof_server.web.pages import Pages


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
    reloading: Reloading
    core: Core
    drift: DriftMetrics
    pressure: Pressure
    streams: Streams
    health: Health
    ports: tuple[Port, ...]
    operations: HttpServer
    heartbeat: Heartbeat
    clock: Clock

    async def open(self) -> dict[str, str]:
        """Opens all ports; health says NOT_SERVING.

        Returns:
            Where each listens, as ``host:port``, by its name.

        Raises:
            PortUnavailable: one of them cannot be opened.
        """
        self.health.start()
        self.core.versions.announce()
        self.heartbeat.start()
        return await open_ports(self.ports)

    async def load(self) -> bool:
        """Loads every version that is wanted, one after the other; whether any of them answers now.

        Cancelling it abandons the version at hand: its thread goes on until that is loaded.
        """
        await self.reloading.keeper.begin()
        await self.health.end_loading()
        return bool(self.core.versions.ready())

    async def drain(self) -> bool:
        """Answers what was accepted and refuses what is new; whether all was answered in time."""
        settings = self.config.server
        self.reloading.keeper.end()
        await self.health.start_draining()
        await asyncio.sleep(settings.lame_duck_s)
        started_s = self.clock.now_s()
        self.core.versions.start_draining()
        self.streams.start_draining()
        self.health.end_watches()
        stopping = asyncio.ensure_future(drain_ports(self.ports, settings.grace_s))
        in_time = self.pressure.is_idle
        while not (in_time or stopping.done()):
            await asyncio.wait({stopping}, timeout=_POLL_S)
            in_time = self.pressure.is_idle and self.clock.now_s() - started_s < settings.grace_s
        # What is left are answers on their way, and streams of reflection, which may stay for ever.
        await drain_ports(self.ports, min(settings.grace_s, _LAST_ANSWERS_S))
        await stopping
        return in_time

    def close(self) -> None:
        """Releases everything, whatever state it is in."""
        self.reloading.keeper.end()
        self.operations.close()
        self.heartbeat.stop()
        self.drift.close()
        self.core.close()


_POLL_S = 0.02
_LAST_ANSWERS_S = 5.0


def compose(
    config: Config,
    places: tuple[Place, ...],
    logger: Logger,
    *,
    plugs: Callable[[Config, Tell], LoadingPlugs] = loading_plugs,
    make_front: MakeFront | None = None,
    reread: Callable[[], Sources] | None = None,
) -> Server:
    """Builds the server; opens and loads nothing.

    Args:
        config: everything that can be set.
        places: of the versions.
        logger: gets the lines.
        plugs: what loads and proves.
        make_front: in place of the one that is configured.
        reread: says once more where versions lie and what is wanted of them; without it they are
            where they were.

    Raises:
        ValueError: a version label stands for a version that does not exist, or the keys of
            handles cannot be read.
    """
    here = Sources(partial(found_at, places), config.repository, config.version_labels)
    reread = reread or (lambda: here)
    sources = reread()
    config = replace(
        config, version_labels={name: dict(labels) for name, labels in sources.labels.items()}
    )
    clock, build_version = MonotonicClock(), importlib.metadata.version("batchproof")
    log = LogObserver(logger)
    observing = _compose_observing(config, build_version, clock, log)
    observer, health = observing.observer, observing.health
    told = Told(observer, log.write_proof_progress, log.write_failure)
    core = build_core(
        config,
        told,
        first_places(places, sources.settings, sources.labels),
        plugs=plugs,
        processes=config.devices.kind == "process",
        seal_rows=observing.seal_rows,
    )
    keeper = Keeper(core.versions, sources, clock=clock, observer=observer)
    heartbeat = Heartbeat(clock)
    streams = Streams(config.rpc.max_streams, config.rpc.stream_window)
    pressure = Pressure(config.rpc.max_concurrent_requests, clock)
    calls = Calls(pressure, clock, observer, log.write_failure)
    shedder = LoadShedder(core.predictor, core.versions, pressure)
    reloading, orders = Reloading(reread, keeper), Orders(keeper)
    public, foreign = _services(config, core, observing, build_version, orders)
    routes = make_routes(public, calls, streams, shedder, health)
    make_front = make_front or partial(FrontOfChoice, config.server.front, observer.notify)
    front = make_front(config.rpc, routes, clock)
    pages = Pages(observing.metrics.exposition, heartbeat.is_alive, lambda: health.is_serving)
    operations = HttpServer(pages, log.write_failure)
    return Server(
        config=config,
        reloading=reloading,
        core=core,
        drift=observing.drift,
        pressure=pressure,
        streams=streams,
        health=health,
        ports=(
            *_ports(config.server, front, operations),
            *Management(reloading, orders, log, observer, clock, health).ports(
                config, foreign, shedder
            ),
            *web_ports(config, core, public, calls, shedder, log.write_failure),
        ),
        operations=operations,
        heartbeat=heartbeat,
        clock=clock,
    )


def _ports(settings: ServerSettings, front: Front, operations: HttpServer) -> tuple[Port, ...]:
    return (
        Port("grpc", settings.host, settings.grpc_port, front, answers_requests=True),
        Port("http", settings.host, settings.http_port, operations, answers_requests=False),
    )


def _services(
    config: Config, core: Core, observing: "_Observing", build_version: str, orders: Orders
) -> tuple[tuple[Service, ...], tuple[Service, ...]]:
    """Those of the gRPC port, and those of others that take orders."""
    predictor, versions = core.predictor, core.versions
    max_rows = config.requests.max_request_rows

    def foreign(orders: Orders | None) -> tuple[Service, ...]:
        open_inference = OpenInferenceService(
            predictor,
            versions,
            observing.health,
            statistics=observing.statistics,
            build_version=build_version,
            orders=orders,
        )
        tensorflow = TensorFlowServing(predictor, versions, config.rpc.max_message_bytes, orders)
        return open_inference.published(max_rows), *tensorflow.published(max_rows)

    native = PredictionService(predictor, versions, OutcomeReports(observing.outcomes))
    public = foreign(orders if config.management.on_grpc_port else None)
    return (native.published(max_rows), *public), foreign(orders)


@dataclass(frozen=True, slots=True)
class _Observing:
    """Who is told of events, by what they do for others."""

    observer: Observer
    metrics: Metrics
    drift: DriftMetrics
    statistics: Statistics
    outcomes: OutcomeDesk
    seal_rows: SealRows | None
    health: Health


def _compose_observing(
    config: Config, build_version: str, clock: Clock, log: LogObserver
) -> _Observing:
    outcome_metrics, settings = OutcomeMetrics(), config.outcomes
    keys = _handle_keys(settings, log)
    outcomes = OutcomeDesk(settings, keys, clock, outcome_metrics, epoch_ms)
    seal_rows = Sealer(keys[0], epoch_ms, os.urandom).seal if settings.enabled else None
    drift = DriftMetrics(log.write_failure)
    metrics = Metrics(build_version, (outcome_metrics, drift))
    statistics = Statistics(epoch_ms)
    health = Health()
    subscribers = (drift, metrics, statistics, outcomes, log, health)
    observer = Observers(subscribers, on_failure=log.write_failure)
    return _Observing(observer, metrics, drift, statistics, outcomes, seal_rows, health)


def _handle_keys(settings: OutcomeSettings, log: LogObserver) -> tuple[SealingKey, ...]:
    if settings.key_file:
        return read_keys(Path(settings.key_file))
    if settings.enabled:
        log.write_process_key()
    return process_key()
