"""The management port: who answers there, and what they can reach."""

import signal
from dataclasses import dataclass, field

from batchproof_server.application.access import Entrance
from batchproof_server.application.config import Config
from batchproof_server.application.ports import Port
from batchproof_server.application.sources import Reloading
from batchproof_server.base.clock import Clock
from batchproof_server.base.events import FrontChosen, Observer
from batchproof_server.base.listener import is_loopback
from batchproof_server.models.orders import Orders
from batchproof_server.observing.logs import LogObserver
from batchproof_server.rpc.calls import Calls
from batchproof_server.rpc.fronts.choosing import FrontOfChoice
from batchproof_server.rpc.fronts.front import Front, Routes
from batchproof_server.rpc.fronts.health import check_routes
from batchproof_server.rpc.fronts.reflection import reflection_routes
from batchproof_server.rpc.gate import Gate, LoadShedder
from batchproof_server.rpc.health import Health
from batchproof_server.rpc.management.keeping import keeping
from batchproof_server.rpc.management.service import ManagementService, limited_to
from batchproof_server.rpc.methods import Service, unary_routes
from batchproof_server.rpc.pressure import Pressure
from batchproof_server.shadowing.orders import ShadowOrders

# What others' protocols have for operators, and what their clients ask before.
_FOREIGN = (
    "ServerLive",
    "ServerReady",
    "ServerMetadata",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
    "GetModelStatus",
    "HandleReloadConfigRequest",
)


@dataclass(frozen=True, slots=True)
class Management:
    """What operators may ask for.

    Attributes:
        reloading: reads the sources again.
        orders: about versions.
        shadow_orders: about shadows.
        log: whose level they set.
        observer: told of every call.
        clock: of deadlines.
        health: is told there too.
    """

    reloading: Reloading
    orders: Orders
    shadow_orders: ShadowOrders
    log: LogObserver
    observer: Observer
    clock: Clock
    health: Health

    def ports(
        self,
        config: Config,
        foreign: tuple[Service, ...],
        shedder: LoadShedder,
        entrance: Entrance,
    ) -> tuple[Port, ...]:
        """The port, where one is configured.

        Args:
            config: of the server.
            foreign: services of others' protocols that take orders.
            shedder: of the gate, which looks at predictions; there are none.
            entrance: lets callers in.
        """
        settings = config.management
        if not settings.enabled:
            return ()
        front = self._front(config, foreign, shedder, entrance)
        return (Port("management", settings.host, settings.port, front, answers_requests=True),)

    def _front(
        self,
        config: Config,
        foreign: tuple[Service, ...],
        shedder: LoadShedder,
        entrance: Entrance,
    ) -> Front:
        settings = config.management.front()
        own = ManagementService(
            self.reloading.keeper,
            self.orders,
            self.shadow_orders,
            self.reloading.reload,
            self.log.set_level,
            _End(self.reloading),
        ).published()
        limited = (limited_to(service, _FOREIGN) for service in foreign)
        services = entrance.metered(keeping((own, *limited), self.reloading.keep))
        # Of its own: an operator is answered while callers fill the other port.
        pressure = Pressure(settings.max_concurrent_requests, self.clock)
        calls = Calls(pressure, self.clock, self.observer, self.log.write_failure)
        shown = services if is_loopback(config.management.host) else ()
        routes = Routes(
            unary=unary_routes(services, calls) | check_routes(self.health),
            streams=reflection_routes(each.descriptor for each in shown) if shown else {},
            gate=Gate(shedder, calls, {}),
        )
        routes = entrance.guarded(routes, calls, services)
        return FrontOfChoice("grpc_aio", _tell_nobody, settings, routes, self.clock)


@dataclass(slots=True)
class _End:
    """Ends the server as SIGTERM does; a second time it does nothing, while SIGTERM would kill."""

    reloading: Reloading
    _is_asked: bool = field(default=False)

    def __call__(self) -> None:
        """Asks for the end."""
        if not self._is_asked and not self.reloading.keeper.is_over:
            self._is_asked = True
            signal.raise_signal(signal.SIGTERM)


def _tell_nobody(chosen: FrontChosen) -> None:
    """Which front serves there is no news."""
    del chosen
