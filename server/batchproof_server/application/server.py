"""The composition root: the only place where the parts meet."""

import asyncio
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from batchproof_server.application.access import make_entrance
from batchproof_server.application.calling import compose_calling
from batchproof_server.application.config import Config, ServerSettings
from batchproof_server.application.core import Core, Told, build_core
from batchproof_server.application.kept_orders import read_beginning
from batchproof_server.application.management import Management
from batchproof_server.application.observers import Observing, compose_observing
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.application.ports import Port, drain_ports, open_ports
from batchproof_server.application.rest import web_ports
from batchproof_server.application.sources import Reloading, fixed_sources
from batchproof_server.base.clock import Clock, Heartbeat, MonotonicClock
from batchproof_server.models.discovery import Place
from batchproof_server.models.keeper import Keeper
from batchproof_server.models.loading import LoadingPlugs
from batchproof_server.models.looking import Sources
from batchproof_server.models.orders import Orders
from batchproof_server.models.overview import is_as_ordered
from batchproof_server.observing.logs import LogObserver
from batchproof_server.observing.prometheus.drift import DriftMetrics
from batchproof_server.offline.diagnosing.desk import DiagnosisDesk
from batchproof_server.proof.settings import Tell
from batchproof_server.rpc.fronts.choosing import FrontOfChoice
from batchproof_server.rpc.fronts.front import Front, MakeFront
from batchproof_server.rpc.health import Health
from batchproof_server.rpc.management.keeping import keeping
from batchproof_server.rpc.methods import Service
from batchproof_server.rpc.native.diagnoses import Diagnoses
from batchproof_server.rpc.native.outcomes import OutcomeReports
from batchproof_server.rpc.native.service import PredictionService
from batchproof_server.rpc.open_inference.repository import RepositoryCalls
from batchproof_server.rpc.open_inference.service import OpenInferenceService
from batchproof_server.rpc.pressure import Pressure
from batchproof_server.rpc.routing import make_routes
from batchproof_server.rpc.streams import Streams
from batchproof_server.rpc.tensorflow_serving.reloading import ConfigReloads
from batchproof_server.rpc.tensorflow_serving.service import TensorFlowServing
from batchproof_server.shadowing.shadow import Shadowing
from batchproof_server.web.operations import HttpServer
from batchproof_server.web.pages import Pages


# Contract of the life-cycle
#
# open -> load -> open_late -> drain -> close, each once, in this order, on one loop. Health says
# NOT_SERVING from before the port opens until load is done, and from the start of drain. With
# listen_from = "ready" the ports of requests open in open_late, else in open. A version that fails
# to load stops no other. Between drain and close every accepted request is answered, unless the
# grace ends before.
@dataclass(frozen=True, slots=True)
class Server:
    """The composed parts."""

    config: Config
    reloading: Reloading
    shadowing: Shadowing
    desk: DiagnosisDesk
    core: Core
    drift: DriftMetrics
    pressure: Pressure
    streams: Streams
    health: Health
    front: Front
    ports: tuple[Port, ...]
    operations: HttpServer
    heartbeat: Heartbeat
    clock: Clock
    observing: Observing

    async def open(self) -> dict[str, str]:
        """Opens the ports that open at the start; health says NOT_SERVING.

        Returns:
            Where each listens, as ``host:port``, by its name.

        Raises:
            PortUnavailable: one of them cannot be opened.
        """
        self.health.start()
        self.core.versions.announce()
        self.heartbeat.start()
        self.observing.tally_book.start()
        return await open_ports([port for port in self.ports if not self._waits(port)])

    async def open_late(self) -> dict[str, str]:
        """Opens the ports that wait for the versions; see ``open``."""
        return await open_ports([port for port in self.ports if self._waits(port)])

    @property
    def listens_late(self) -> bool:
        """Whether some ports wait for the versions."""
        return self.config.server.listen_from == "ready"

    def _waits(self, port: Port) -> bool:
        return self.listens_late and port.name in _PORTS_OF_CALLERS

    async def load(self) -> bool:
        """Loads every version that is wanted, one after the other.

        Returns:
            Whether any of them answers now, or operators ordered that none does.

        Cancelling it abandons the version at hand: its thread goes on until that is loaded.
        """
        await self.reloading.begin()
        await self.health.end_loading()
        return bool(self.core.versions.ready()) or is_as_ordered(self.reloading.keeper)

    async def drain(self) -> bool:
        """Answers what was accepted and refuses what is new; whether all was answered in time."""
        settings = self.config.server
        self.reloading.keeper.end()
        self.shadowing.end()
        await self.health.start_draining()
        await asyncio.sleep(settings.lame_duck_s)
        if settings.leaving_s:
            self.front.stop_listening()
            await asyncio.sleep(settings.leaving_s)
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
        await self.observing.tally_book.end()
        return in_time

    def close(self) -> None:
        """Releases everything, whatever state it is in."""
        self.reloading.keeper.end()
        self.operations.close()
        self.heartbeat.stop()
        self.drift.close()
        self.desk.close()
        self.core.close()
        self.observing.tracing.close()
        self.observing.capturing.close()


_PORTS_OF_CALLERS = frozenset({"grpc", "web"})
_POLL_S = 0.02
_LAST_ANSWERS_S = 5.0


def compose(
    config: Config,
    places: tuple[Place, ...],
    log: LogObserver,
    *,
    plugs: Callable[[Config, Tell], LoadingPlugs] = loading_plugs,
    make_front: MakeFront | None = None,
    reread: Callable[[], Sources] | None = None,
) -> Server:
    """Builds the server; opens and loads nothing.

    Args:
        config: everything that can be set.
        places: of the versions.
        log: gets the lines.
        plugs: what loads and proves.
        make_front: in place of the one that is configured.
        reread: says once more where versions lie and what is wanted of them; without it they are
            where they were.

    Raises:
        ValueError: a version label stands for a version that does not exist, or the keys of
            handles, the tokens of callers or the orders of operators cannot be read.
    """
    reread = reread or partial(fixed_sources, config, places)
    sources = reread()
    beginning = read_beginning(config, sources, places)
    config = beginning.configured(config)
    clock, build_version = MonotonicClock(), importlib.metadata.version("batchproof")
    observing = compose_observing(config, build_version, clock, log)
    observer, health = observing.observer, observing.health
    log.write_ignored(beginning.restored.ignored)
    core = _compose_core(config, beginning.places(places, sources), plugs, observing, log)
    keeper = Keeper(core.versions, sources, clock=clock, observer=observer)
    keep = beginning.keep_with(keeper)
    calling = compose_calling(config.rpc, core, observer, log, observing.tracing.begin)
    reloading, orders = Reloading(reread, keeper, keep, log.write_unkept), Orders(keeper)
    shadowing = Shadowing(
        core.versions, config.shadow, clock, observer, lambda: calling.pressure.is_idle
    )
    desk = DiagnosisDesk(core.versions, config.diagnosis, clock, lambda: calling.pressure.under_way)
    public, foreign = _services(config, core, observing, build_version, orders, desk)
    make_front = make_front or partial(FrontOfChoice, config.server.front, observer.notify)
    entrance = make_entrance(config.access, clock, log.write_failure)
    public = entrance.metered(keeping(public, keep))
    shown = config.server.shows_methods
    calls, streams, shedder = calling.calls, calling.streams, calling.shedder
    routes = make_routes(public, calls, streams, shedder, health, shows_methods=shown)
    front = make_front(config.rpc, entrance.guarded(routes, calls, public), clock)
    heartbeat = Heartbeat(clock)
    operations = _operations(observing, heartbeat, log)
    shadow_orders = observing.shadow_orders(keeper, orders, shadowing)
    management = Management(reloading, orders, shadow_orders, log, observer, clock, health)
    return Server(
        config=config,
        reloading=reloading,
        shadowing=shadowing,
        desk=desk,
        core=core,
        drift=observing.drift,
        pressure=calling.pressure,
        streams=calling.streams,
        health=health,
        front=front,
        ports=(
            *_ports(config.server, front, operations),
            *management.ports(config, foreign, calling.shedder, entrance),
            *web_ports(config, core, public, calling, entrance, observing, log.write_failure),
        ),
        operations=operations,
        heartbeat=heartbeat,
        clock=clock,
        observing=observing,
    )


def _compose_core(
    config: Config,
    places: tuple[Place, ...],
    plugs: Callable[[Config, Tell], LoadingPlugs],
    observing: Observing,
    log: LogObserver,
) -> Core:
    return build_core(
        config,
        Told(observing.observer, log.write_proof_progress, log.write_failure),
        places,
        plugs=plugs,
        processes=config.devices.kind == "process",
        seal_rows=observing.seal_rows,
    )


def _ports(settings: ServerSettings, front: Front, operations: HttpServer) -> tuple[Port, ...]:
    return (
        Port("grpc", settings.host, settings.grpc_port, front, answers_requests=True),
        Port("http", settings.host, settings.http_port, operations, answers_requests=False),
    )


def _operations(observing: Observing, heartbeat: Heartbeat, log: LogObserver) -> HttpServer:
    """What answers on the port of probes and metrics."""
    health = observing.health
    pages = Pages(observing.metrics.exposition, heartbeat.is_alive, lambda: health.is_serving)
    return HttpServer(pages, log.write_failure)


def _services(
    config: Config,
    core: Core,
    observing: Observing,
    build_version: str,
    orders: Orders,
    desk: DiagnosisDesk,
) -> tuple[tuple[Service, ...], tuple[Service, ...]]:
    """Those of the gRPC port, and those of others that take orders."""
    predictor, versions = core.predictor, core.versions
    max_rows = config.requests.max_request_rows
    native = PredictionService(
        predictor, versions, OutcomeReports(observing.outcomes), Diagnoses(desk, versions)
    )
    open_inference = OpenInferenceService(
        predictor,
        versions,
        observing.health,
        statistics=observing.statistics,
        build_version=build_version,
    )
    tensorflow = TensorFlowServing(predictor, versions, config.rpc.max_message_bytes)

    taking_orders = (
        open_inference.published(max_rows, RepositoryCalls(orders).specs()),
        *tensorflow.published(max_rows, ConfigReloads(orders).specs()),
    )
    taking_none = (
        open_inference.published(max_rows, {}),
        *tensorflow.published(max_rows, {}),
    )
    foreign = taking_orders if config.management.on_grpc_port else taking_none
    return (native.published(max_rows), *foreign), taking_orders
