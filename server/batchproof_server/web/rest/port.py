"""The web port: its connections, who gives way when there are too many, and its end."""

import asyncio
import math
from collections.abc import Callable
from typing import Final

from batchproof_server.base.clock import Clock
from batchproof_server.serving.off_loop import ByteBudget
from batchproof_server.web.listening import accepting, bound_socket, half_the_descriptors
from batchproof_server.web.rest.certificates import WebCertificates
from batchproof_server.web.rest.connection import Phase, RestConnection, RestWork
from batchproof_server.web.settings import WebSettings

_LOOK_EVERY_S: Final = 0.25
_SLOW_S: Final = 1.0
# What callers send on connections that they keep, because they do not know yet.
_LAST_REQUESTS_S: Final = 0.5


# Contract
#
# Lives on the loop thread. Of too many connections the one gives way that keeps us waiting longest
# in the middle of a request, else the one that is idle longest, else whoever is slowest to begin;
# one whose request is being answered never. So callers that send half requests keep nobody out.
# Half of the process's descriptors are too many as well: gRPC and the operations port need some.
# While it drains what was accepted is answered, new requests are refused with 503, and every answer
# ends its connection.
class RestPort:
    """Listens for HTTP/1.1.

    Args:
        settings: what callers may take.
        work: answers.
        bodies: bytes of all bodies together.
        clock: for patience.
        report: told of exceptions that nobody foresaw.
    """

    _looking: asyncio.Task[None]

    def __init__(
        self,
        settings: WebSettings,
        work: RestWork,
        bodies: ByteBudget,
        clock: Clock,
        report: Callable[[Exception], None],
    ) -> None:
        self.settings = settings
        self.work = work
        self.bodies = bodies
        self.report = report
        self.now_s = clock.now_s
        self.is_draining = False
        self._open: dict[RestConnection, None] = {}
        self._server: asyncio.Server | None = None
        self._give_up_s = math.inf

    async def start(self, host: str, port: int) -> int:
        """Opens the port; see ``Listener``.

        Raises:
            PortUnavailable: the address cannot be bound, or the certificates do not do.
        """
        tls = self.settings.tls
        certificates = None if tls is None else WebCertificates(tls)
        context = None if certificates is None else certificates.context

        def connection() -> RestConnection:
            if certificates is not None:
                certificates.renew()
            return RestConnection(self)

        listening = bound_socket(host, port, "the web port")
        patience_s = None if context is None else self.settings.head_timeout_s
        self._server = await accepting(connection, listening, context, patience_s)
        self._looking = asyncio.create_task(self._look_after())
        return int(listening.getsockname()[1])

    async def drain(self, grace_s: float) -> None:
        """Answers what was accepted; see ``Listener``."""
        self.is_draining = True
        began_s = self.now_s()
        self._give_up_s = min(self._give_up_s, began_s + grace_s)
        if self._server is None:
            return
        while self._is_patient() and (self._is_busy() or self._may_ask(began_s)):  # noqa: ASYNC110 - also for the clock
            await asyncio.sleep(_POLL_S)
        self._server.close()
        # Who connected last has a request on its way, and is told to go elsewhere as well.
        closed_s = self.now_s()
        while self._is_patient() and (self._is_busy() or self._may_ask(closed_s)):  # noqa: ASYNC110 - also for the clock
            await asyncio.sleep(_POLL_S)
        for connection in tuple(self._open):
            connection.close_idle()
        while self._is_patient() and self._open:  # noqa: ASYNC110 - also for the clock
            await asyncio.sleep(_POLL_S)
        self._looking.cancel()
        for connection in tuple(self._open):
            connection.hang_up()
        await asyncio.sleep(0)  # a turn of the loop, in which the sockets are closed

    def _is_patient(self) -> bool:
        return self.now_s() < self._give_up_s

    def _is_busy(self) -> bool:
        return any(each.phase not in (Phase.IDLE, Phase.HEAD) for each in self._open)

    def _may_ask(self, began_s: float) -> bool:
        """Whether callers that keep connections have not heard yet that these end."""
        return bool(self._open) and self.now_s() < began_s + _LAST_REQUESTS_S

    def admit(self, newcomer: RestConnection) -> bool:
        """Whether there is room for one more; makes room where there is none."""
        if len(self._open) >= min(self.settings.max_connections, half_the_descriptors()):
            slowest = self._slowest()
            if slowest is None:
                return False
            self.forget(slowest)
            slowest.hang_up()
        self._open[newcomer] = None
        return True

    def forget(self, connection: RestConnection) -> None:
        """The connection is closed."""
        self._open.pop(connection, None)

    def _slowest(self) -> RestConnection | None:
        now_s = self.now_s()
        waited_for = [each for each in self._open if each.phase is not Phase.ANSWERING]
        slow = [
            each
            for each in waited_for
            if each.phase is not Phase.IDLE and now_s - each.since_s > _SLOW_S
        ]
        idle = [each for each in waited_for if each.phase is Phase.IDLE]
        return min(slow or idle or waited_for, key=lambda each: each.since_s, default=None)

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            now_s = self.now_s()
            for connection in tuple(self._open):
                connection.check_patience(now_s)


_POLL_S: Final = 0.02
