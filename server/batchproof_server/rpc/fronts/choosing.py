"""Which front serves, and on which loop: what was asked for, or the quickest that works here."""

import asyncio
import os
import select
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import grpc

from batchproof_server.base.clock import Clock
from batchproof_server.base.events import FrontChosen
from batchproof_server.base.listener import PortUnavailable
from batchproof_server.rpc.fronts.front import Front, Routes
from batchproof_server.rpc.fronts.grpc_aio.server import GrpcAioFront
from batchproof_server.rpc.settings import FrontName, RpcSettings

# Says why the front on the completion queue does not work here; empty where it does.
FaultOfQueue: TypeAlias = Callable[[], Awaitable[str]]

_GRPC_AIO: Final = "grpc_aio"
_COMPLETION_QUEUE: Final = "completion_queue"


async def fault_of_queue() -> str:
    """Why this grpcio does not serve from its completion queue; empty where it does.

    Its API there is private and may change with any release. So the names are looked for first,
    and then a call to oneself is made.
    """
    version = f"grpcio {grpc.__version__}"
    try:
        from batchproof_server.rpc.fronts.completion_queue.private_api import missing  # noqa: PLC0415 - it may be gone

        if absent := missing():
            return f"{version} has no {', '.join(absent)}"
        from batchproof_server.rpc.fronts.completion_queue.self_call import call_oneself  # noqa: PLC0415 - it may be gone

        await call_oneself()
    except Exception as fault:  # noqa: BLE001 - whatever a private API does, there is another front
        return f"with {version} a call to itself failed: {type(fault).__name__}: {fault}"
    return ""


def loop_of(front: FrontName) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop of a server.

    Args:
        front: that its configuration asks for.

    Returns:
        That of a loop which can wait for gRPC's completion queue, where the front has one and the
        platform has what the loop needs; None for asyncio's own, on which every front serves.
    """
    if front == _GRPC_AIO or not (hasattr(select, "epoll") and hasattr(os, "eventfd")):
        return None
    try:
        from batchproof_server.rpc.fronts.completion_queue.private_api import missing  # noqa: PLC0415 - it may be gone

        if missing():
            return None
    except Exception:  # noqa: BLE001 - FrontOfChoice says why
        return None
    from batchproof_server.rpc.fronts.completion_queue.queue_loop import QueueLoop  # noqa: PLC0415 - not on every platform

    return QueueLoop


# Contract: the choice is made when the port opens, and never again.
class FrontOfChoice:
    """A front that is chosen at the start.

    Args:
        choice: a name; ``auto`` takes grpc.aio where the completion queue does not work.
        tell: told which one serves.
        settings: of the port.
        routes: answer the calls.
        clock: of deadlines.
        fault_of_queue: looks whether the completion queue works.
    """

    def __init__(
        self,
        choice: FrontName,
        tell: Callable[[FrontChosen], None],
        settings: RpcSettings,
        routes: Routes,
        clock: Clock,
        *,
        fault_of_queue: FaultOfQueue = fault_of_queue,
    ) -> None:
        self._choice = choice
        self._tell = tell
        self._settings = settings
        self._routes = routes
        self._clock = clock
        self._fault_of_queue = fault_of_queue
        self._chosen: Front | None = None

    async def start(self, host: str, port: int) -> int:
        """Chooses, and opens the port; see ``Listener``.

        Raises:
            PortUnavailable: it is taken, or the host or the certificates do not do; or the front
                that was asked for does not work here.
        """
        fault = "" if self._choice == _GRPC_AIO else await self._fault_of_queue()
        if fault and self._choice != "auto":
            way_out = 'set front = "auto" or "grpc_aio" in [server], or install another grpcio'
            raise PortUnavailable(f"the front {self._choice} cannot serve: {fault}; {way_out}")
        is_aio = bool(fault) or self._choice == _GRPC_AIO
        self._chosen = self._make_grpc_aio() if is_aio else self._make_completion_queue()
        bound = await self._chosen.start(host, port)
        self._tell(FrontChosen(_GRPC_AIO if is_aio else _COMPLETION_QUEUE, fault))
        return bound

    def stop_listening(self) -> None:
        """Takes no more connections; see ``Front``."""
        if self._chosen is not None:
            self._chosen.stop_listening()

    async def drain(self, grace_s: float) -> None:
        """Refuses new calls, and returns when the others are over or ``grace_s`` is."""
        if self._chosen is not None:
            await self._chosen.drain(grace_s)

    def _make_grpc_aio(self) -> Front:
        return GrpcAioFront(self._settings, self._routes, self._clock)

    def _make_completion_queue(self) -> Front:
        from batchproof_server.rpc.fronts.completion_queue.server import CompletionQueueFront  # noqa: PLC0415 - where it works

        return CompletionQueueFront(self._settings, self._routes, self._clock)
