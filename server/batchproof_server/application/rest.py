"""The web port, put together of the core and of the services that the gRPC port publishes."""

from collections.abc import Callable

from batchproof_server.application.access import Entrance
from batchproof_server.application.calling import Calling
from batchproof_server.application.config import Config
from batchproof_server.application.core import Core
from batchproof_server.application.observers import Observing
from batchproof_server.application.ports import Port
from batchproof_server.rpc.methods import Service
from batchproof_server.serving.off_loop import ByteBudget
from batchproof_server.web.rest.access import Access
from batchproof_server.web.rest.answering import RECORDS, RestAnswers, RestLimits
from batchproof_server.web.rest.open_inference import open_inference_endpoints
from batchproof_server.web.rest.own import own_endpoints
from batchproof_server.web.rest.port import RestPort
from batchproof_server.web.rest.tensorflow_serving import tensorflow_endpoints
from batchproof_server.web.settings import read_token
from batchproof_server.web.site.endpoints import site_endpoints
from batchproof_server.web.site.front import SiteFront, site_files
from batchproof_server.web.site.templates import make_render


def web_ports(  # noqa: PLR0913, PLR0917 - each is a plug
    config: Config,
    core: Core,
    services: tuple[Service, ...],
    calling: Calling,
    entrance: Entrance,
    observing: Observing,
    report: Callable[[Exception], None],
) -> tuple[Port, ...]:
    """The web port where it is enabled; opens nothing.

    Raises:
        InvalidSettings: the token cannot be read.
    """
    settings = config.web
    if not settings.enabled:
        return ()
    scheme = settings.scheme if settings.site else ""
    access = Access(
        read_token(settings.token_file),
        settings.allow_origins,
        scheme,
        hosts=settings.allow_hosts,
        asks_callers=settings.asks_callers(has_callers=config.access.is_on),
    )
    render, times = make_render(), observing.metrics.answer_times
    limits = RestLimits(config.rpc.max_message_bytes, ByteBudget(settings.max_bytes_in_flight))
    endpoints = (
        *open_inference_endpoints(),
        *tensorflow_endpoints(core.versions),
        *own_endpoints(config.requests.max_request_rows),
        *(site_endpoints(render, observing.drift.comparisons, times) if settings.site else ()),
    )
    rest = RestAnswers(
        endpoints,
        services,
        calling.calls,
        shedder=calling.shedder,
        guard=entrance.guard(calling.calls, services, RECORDS),
        access=access,
        off_loop=core.off_loop,
        clock=core.clock,
        limits=limits,
    )
    work = SiteFront(rest, site_files(render), access) if settings.site else rest
    port = RestPort(settings, work, limits.bodies, core.clock, report)
    return (Port("web", settings.host, settings.port, port, answers_requests=True),)
