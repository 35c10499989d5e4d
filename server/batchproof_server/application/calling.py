"""What every call of a caller goes through."""

from dataclasses import dataclass

from batchproof_server.application.core import Core
from batchproof_server.base.events import Observer
from batchproof_server.base.spans import BeginSpans
from batchproof_server.observing.logs import LogObserver
from batchproof_server.rpc.calls import Calls
from batchproof_server.rpc.gate import LoadShedder
from batchproof_server.rpc.pressure import Pressure
from batchproof_server.rpc.settings import RpcSettings
from batchproof_server.rpc.streams import Streams


@dataclass(frozen=True, slots=True)
class Calling:
    """What every call of a caller goes through, whatever port it comes by."""

    pressure: Pressure
    streams: Streams
    calls: Calls
    shedder: LoadShedder


def compose_calling(
    settings: RpcSettings,
    core: Core,
    observer: Observer,
    log: LogObserver,
    begin_spans: BeginSpans | None,
) -> Calling:
    """Puts together what every call goes through."""
    pressure = Pressure(settings.max_concurrent_requests, core.clock)
    return Calling(
        pressure,
        Streams(settings.max_streams, settings.stream_window),
        Calls(pressure, core.clock, observer, log.write_failure, begin_spans),
        LoadShedder(core.predictor, core.versions, pressure),
    )
