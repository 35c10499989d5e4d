"""``grpc.health.v1``, told from the states of the models."""

import asyncio
from collections.abc import Iterable
from typing import Any, TypeAlias

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from batchproof_server.base.events import Subscription
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import VersionState

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

Context: TypeAlias = aio.ServicerContext[Any, Any]


# Contract
#
# "" is the server as a whole; every model has its own name, until none of its versions is known any
# more. A model is SERVING while a version of it is ready; the server is SERVING while any model is,
# from when loading is over until draining starts. Before that everything is NOT_SERVING; from the
# start of draining on, for good. Lives on the loop thread.
class Health:
    """The health of the server and of each model."""

    def __init__(self) -> None:
        self._ready: dict[str, dict[int, bool]] = {}
        self._is_loaded = False
        self._is_serving = False
        self._is_draining = False
        self.servicer = HealthServicer()

    @property
    def is_serving(self) -> bool:
        """Whether the server as a whole is SERVING; may be asked on any thread."""
        return self._is_serving

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """The states of the versions."""
        return (Subscription(VersionChanged, self.version_changed),)

    def start(self) -> None:
        """The server is NOT_SERVING; to be called before the port opens."""
        self.servicer.set("", is_serving=False)

    def version_changed(self, change: VersionChanged) -> None:
        """Tells the state of its model anew, and of the server if that changes with it."""
        versions = self._ready.setdefault(change.model, {})
        versions[change.version] = change.new is VersionState.READY
        if change.new is VersionState.UNLOADED:
            del versions[change.version]
        if versions:
            self._tell_model(change.model)
        else:
            del self._ready[change.model]
            self.servicer.forget(change.model)
        self._tell_server()

    async def loading_finished(self) -> None:
        """The server is SERVING while any model is."""
        self._is_loaded = True
        self._tell_server()

    async def start_draining(self) -> None:
        """Everything is NOT_SERVING from now on."""
        self._is_draining = True
        for model in self._ready:
            self._tell_model(model)
        self._tell_server()

    def _tell_model(self, model: str) -> None:
        is_serving = any(self._ready[model].values()) and not self._is_draining
        self.servicer.set(model, is_serving=is_serving)

    def _tell_server(self) -> None:
        any_ready = any(any(versions.values()) for versions in self._ready.values())
        is_serving = self._is_loaded and any_ready and not self._is_draining
        if is_serving != self._is_serving:
            self._is_serving = is_serving
            self.servicer.set("", is_serving=is_serving)

    def end_watches(self) -> None:
        """Ends every watch once it has been told the last state: it would hold up the drain."""
        self.servicer.end_watches()


# The servicer of grpc-health-checking lets a watch go on until its caller ends it: the server would
# wait out its grace at every orderly end. A watch is told the latest state, not each change.
class HealthServicer(health_pb2_grpc.HealthServicer):
    """Answers checks and watches from a table. Lives on the loop thread."""

    def __init__(self) -> None:
        self._statuses: dict[str, Any] = {}
        self._changed = asyncio.Event()
        self._is_ending = False

    def set(self, service: str, *, is_serving: bool) -> None:
        """Sets the state of a service, and tells those who watch it."""
        self._statuses[service] = _SERVING if is_serving else _NOT_SERVING
        self._wake()

    def forget(self, service: str) -> None:
        """Knows nothing of a service any more, and tells those who watch it."""
        self._statuses.pop(service, None)
        self._wake()

    def end_watches(self) -> None:
        """Ends every watch, also those to come, as soon as it has been told the state."""
        self._is_ending = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(  # noqa: N802 - named by the .proto
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Tells a service's state."""
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service or model")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:  # noqa: N802 - named by the .proto
        """Tells a service's state now and whenever it has changed."""
        told = None
        while True:
            changed = self._changed
            status = self._statuses.get(request.service, _SERVICE_UNKNOWN)
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            elif self._is_ending:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is going away")
            else:
                await changed.wait()
