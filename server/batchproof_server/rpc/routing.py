"""Everything that is answered on the port, put together for a front."""

from collections.abc import Sequence

from batchproof_server.rpc.calls import Calls
from batchproof_server.rpc.fronts.front import Routes
from batchproof_server.rpc.fronts.health import check_routes, watch_routes
from batchproof_server.rpc.fronts.reflection import reflection_routes
from batchproof_server.rpc.gate import Gate, LoadShedder
from batchproof_server.rpc.health import Health
from batchproof_server.rpc.methods import Service, predictions_of, stream_routes, unary_routes
from batchproof_server.rpc.streams import Streams


def make_routes(
    services: Sequence[Service],
    calls: Calls,
    streams: Streams,
    shedder: LoadShedder,
    health: Health,
    *,
    shows_methods: bool = True,
) -> Routes:
    """The routes of the services, of health and, where methods are shown, of reflection."""
    shown = (service.descriptor for service in services)
    return Routes(
        unary=unary_routes(services, calls) | check_routes(health),
        streams=stream_routes(services, calls, streams)
        | watch_routes(health)
        | (reflection_routes(shown) if shows_methods else {}),
        gate=Gate(shedder, calls, predictions_of(services)),
    )
