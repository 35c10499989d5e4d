"""The front that is built on grpcio's completion queue, from which calls come in lists."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from batchproof_server.base.clock import Clock
from batchproof_server.rpc.fronts.certificates import CertificateFiles
from batchproof_server.rpc.fronts.completion_queue.calls import OpenCalls
from batchproof_server.rpc.fronts.completion_queue.poller import Poller
from batchproof_server.rpc.fronts.completion_queue.private_api import cygrpc
from batchproof_server.rpc.fronts.front import Routes
from batchproof_server.rpc.fronts.port import (
    address_of,
    cannot_listen,
    port_options,
    stop_listening,
)
from batchproof_server.rpc.fronts.room import Allowance
from batchproof_server.rpc.settings import RpcSettings


class CompletionQueueFront:
    """One port.

    Args:
        settings: limits and transport security.
        routes: answer the calls.
        clock: of deadlines.
    """

    def __init__(self, settings: RpcSettings, routes: Routes, clock: Clock) -> None:
        self._settings = settings
        self._routes = routes
        self._clock = clock
        self._port: _OpenPort | None = None
        self._bound = 0

    async def start(self, host: str, port: int) -> int:
        """Opens the port; see ``Listener``.

        Raises:
            PortUnavailable: it is taken, or the host or the certificates do not do.
        """
        server, self._bound = _bind(self._settings, address_of(host, port))
        allowance = Allowance()
        calls = OpenCalls(self._settings, self._routes, self._clock, allowance)
        unary = self._routes.unary if self._routes.reads_at_once else ()
        at_once = frozenset(path.encode() for path in unary)
        poller = Poller(server, at_once, allowance, calls.all_would_wait)
        self._port = _OpenPort(server, calls, poller)
        return self._bound

    def stop_listening(self) -> None:
        """Takes no more connections; see ``Front``."""
        stop_listening(self._bound)

    async def drain(self, grace_s: float) -> None:
        """Refuses new calls, and returns when the others are over or ``grace_s`` is."""
        if self._port is not None:
            await self._port.drain(grace_s)


def _bind(settings: RpcSettings, address: str) -> tuple[Any, int]:
    """A server of the core, not started, and the port that it has taken."""
    secrets: tuple[Any, ...] = ()
    if settings.tls is not None:
        public: Any = CertificateFiles(settings.tls).credentials()
        secrets = (public._credentials,)  # noqa: SLF001 - as grpcio does
    options = tuple((key.encode(), value) for key, value in port_options(settings))
    server = cygrpc.Server(options, False)  # noqa: FBT003 - no xDS; it takes no keyword
    # It says 0 where it cannot, and no more.
    bound: int = server.add_http2_port(address.encode(), *secrets)
    if not bound:
        raise cannot_listen(address, settings)
    return server, bound


# Contract of the end
#
# New calls are refused at their headers, with UNAVAILABLE, until the others are over and a moment
# more. Only then is the port shut. The core closes a connection with its last call, and what the
# caller sends in that moment resets it: answers on their way would be lost, by the dozen where they
# are many; and what arrives before its callers know would be cancelled without a word. The core is
# shut when every call is over and every connection that never said anything. So the grace ends that
# wait too, by cancelling whatever is left.
class _OpenPort:
    """A port that listens.

    Args:
        server: of the core, which has taken the port.
        calls: take what comes.
        poller: waits for it.
    """

    def __init__(self, server: Any, calls: OpenCalls, poller: Poller) -> None:
        self._server = server
        self._calls = calls
        self._poller = poller
        self._is_shut = asyncio.Event()
        self._grace_is_over = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        poller.start(calls.take, calls.give_up, self._is_shut.set)

    async def drain(self, grace_s: float) -> None:
        """Ends the port; whoever has the least patience decides."""
        grace = asyncio.get_running_loop().call_later(grace_s, self._grace_is_over.set)
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._end())
        try:
            await asyncio.shield(self._ending)
        finally:
            grace.cancel()

    async def _end(self) -> None:
        self._calls.start_draining()
        if await self._within_grace(self._calls.wait_for_last()):
            await self._within_grace(asyncio.sleep(_LAST_ANSWERS_S))
        self._poller.shut()
        if not await self._within_grace(self._is_shut.wait()):
            self._server.cancel_all_calls()
            await self._is_shut.wait()
        await self._calls.end()
        await self._poller.end()

    async def _within_grace(self, work: Coroutine[Any, Any, object]) -> bool:
        """Whether something ended before the grace."""
        tasks = [asyncio.ensure_future(each) for each in (work, self._grace_is_over.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        is_done = tasks[0].done()
        for task in tasks:
            task.cancel()
        return is_done


_LAST_ANSWERS_S: Final = 0.1
