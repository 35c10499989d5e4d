"""The front that is built on ``grpc.aio``, where each call is a coroutine of its own."""

import asyncio
import contextlib
import itertools
from functools import partial
from typing import Any, Final, NoReturn, TypeAlias

import grpc
from grpc import aio

from batchproof_server.base.clock import Clock
from batchproof_server.batching.connections import LetIn
from batchproof_server.rpc.fronts.certificates import CertificateFiles, subjects_in
from batchproof_server.rpc.fronts.front import (
    GOING,
    AnswerUnary,
    CallEnded,
    CallHead,
    Code,
    Reply,
    Routes,
    ServeStream,
    Status,
)
from batchproof_server.rpc.fronts.grpc_aio.reading import CannotRead, MessageReads
from batchproof_server.rpc.fronts.port import (
    address_of,
    cannot_listen,
    port_options,
    stop_listening,
)
from batchproof_server.rpc.settings import RpcSettings

_Context: TypeAlias = aio.ServicerContext[Any, Any]
_Details: TypeAlias = grpc.HandlerCallDetails
_Found: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"


class GrpcAioFront:
    """One port.

    Args:
        settings: limits and transport security.
        routes: answer the calls.
        clock: of deadlines.
    """

    def __init__(self, settings: RpcSettings, routes: Routes, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._routes = routes
        self._server: aio.Server | None = None
        self._bound = 0
        self._handlers: CallHandlers | None = None

    async def start(self, host: str, port: int) -> int:
        """Opens the port; see ``Listener``.

        Raises:
            PortUnavailable: it is taken, or the host or the certificates do not do.
        """
        self._handlers = CallHandlers(self._routes, self._clock, self._settings)
        self._server = aio.server(options=port_options(self._settings))
        self._server.add_generic_rpc_handlers((self._handlers,))
        address = address_of(host, port)
        tls = self._settings.tls
        try:
            if tls is None:
                bound = self._server.add_insecure_port(address)
            else:
                bound = self._server.add_secure_port(address, CertificateFiles(tls).credentials())
        except RuntimeError as fault:
            raise cannot_listen(address, self._settings) from fault
        await self._server.start()
        self._bound = bound
        return bound

    def stop_listening(self) -> None:
        """Takes no more connections; see ``Front``."""
        stop_listening(self._bound)

    async def drain(self, grace_s: float) -> None:
        """Refuses new calls, and returns when the others are over or ``grace_s`` is."""
        if self._server is None or self._handlers is None:
            return
        until_s = self._clock.now_s() + grace_s
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._handlers.drain(), grace_s)
        # Stopped no sooner: grpc.aio cancels what it has not yet taken from the core by then.
        await self._server.stop(max(0.0, until_s - self._clock.now_s()))


# grpc.aio asks it for a handler when the head of a call is there, and hands the rest of the call to
# the handler, in a task of the call's own which it cancels when the caller goes away. So a route is
# awaited right there: no queue and no task lie between. A handler of one message would be called
# only when that is there, which may be never; so each call is handled as a stream of requests, of
# which none has to be read, and what is read has the limits of the port.
class CallHandlers(grpc.GenericRpcHandler):
    """Finds what handles a call.

    Args:
        routes: answer the calls.
        clock: of deadlines.
        settings: limits, and whether each client has shown a certificate.
    """

    def __init__(self, routes: Routes, clock: Clock, settings: RpcSettings) -> None:
        self._routes = routes
        self._knows_clients = settings.knows_clients
        self._clock = clock
        self._ids = itertools.count(1)
        self._open = 0
        self._is_draining = False
        self._reads = MessageReads(settings, clock)
        self._last_is_over = asyncio.Event()

    async def drain(self) -> None:
        """Refuses every call from now on, and returns when those that were let in are over."""
        self._is_draining = True
        self._note_last()
        await self._last_is_over.wait()

    def begin(self) -> None:
        """Notes that a call was let in."""
        self._open += 1

    def end(self) -> None:
        """Notes that one is over."""
        self._open -= 1
        self._note_last()

    def _note_last(self) -> None:
        if self._is_draining and not self._open:
            self._last_is_over.set()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Found:
        """The handler of one call; None when there is no such method."""
        method = handler_call_details.method
        if self._is_draining:
            return grpc.stream_stream_rpc_method_handler(_refuse)
        if (answer := self._routes.unary.get(method)) is not None:
            one_answer = partial(self._answer, answer, handler_call_details)
            return grpc.stream_unary_rpc_method_handler(one_answer)
        if (serve := self._routes.streams.get(method)) is not None:
            both_ways = partial(self._serve, serve, handler_call_details)
            return grpc.stream_stream_rpc_method_handler(both_ways)
        return None

    async def _answer(
        self, answer: AnswerUnary, details: _Details, requests: object, context: _Context
    ) -> bytes:
        del requests  # read through the context
        head = self.head(details, context)
        if self._routes.gate.wants(head.method):
            (refused,) = self._routes.gate.look((head,), LetIn())
            if refused is not None:
                await _abort(context, refused)
        self.begin()
        try:
            # No name for the message: what is raised to end the call holds this frame, and is held
            # in turn until the interpreter looks for such circles.
            outcome = await answer(head, await self._reads.read(head, context.read))
        except CannotRead as fault:
            outcome = fault.status
        finally:
            self._reads.forget(head)
            self.end()
        return await _reply(outcome, context)

    async def _serve(
        self, serve: ServeStream, details: _Details, requests: object, context: _Context
    ) -> None:
        del requests  # read through the context, which can be stopped
        self.begin()
        try:
            messages = ContextMessages(context, self._reads)
            status = await serve(self.head(details, context), messages)
        except CallEnded:
            return
        finally:
            self.end()
        if status.code is not Code.OK:
            await _abort(context, status)

    def head(self, details: _Details, context: _Context) -> CallHead:
        """What is known of a call before its messages are read."""
        left_s: Any = context.time_remaining()
        deadline_s = None if left_s is None else self._clock.now_s() + left_s
        metadata, peer = details.invocation_metadata, context.peer()
        auth: Any = context.auth_context() if self._knows_clients else {}
        subjects = subjects_in(auth) if auth else ()
        return CallHead(next(self._ids), details.method, metadata, peer, deadline_s, subjects)


class ContextMessages:
    """The messages of one stream.

    Args:
        context: of its call.
        reads: decompresses.
    """

    def __init__(self, context: _Context, reads: MessageReads) -> None:
        self._context = context
        self._reads = reads

    async def read(self) -> bytes | None:
        """The caller's next message; None when there will be no more.

        Raises:
            CallEnded: the call is over.
        """
        try:
            content: Any = await self._context.read()
            return None if content is aio.EOF else await self._reads.inflate(content)
        except CannotRead as fault:
            with contextlib.suppress(aio.AbortError):
                await _abort(self._context, fault.status)
            raise CallEnded from fault
        except aio.BaseError as ended:
            raise CallEnded from ended

    async def write(self, content: bytes) -> None:
        """Sends one message; returns when there is room for the next one.

        Raises:
            CallEnded: the call is over.
        """
        try:
            await self._context.write(content)
        except aio.BaseError as ended:
            raise CallEnded from ended


async def _reply(outcome: Reply | Status, context: _Context) -> bytes:
    if isinstance(outcome, Status):
        await _abort(context, outcome)
    if outcome.trailers:
        context.set_trailing_metadata(tuple(outcome.trailers))
    return outcome.content


async def _refuse(requests: object, context: _Context) -> None:
    del requests  # nobody reads them any more
    await _abort(context, GOING)


async def _abort(context: _Context, status: Status) -> NoReturn:
    await context.abort(_CODES[status.code], status.text, tuple(status.trailers))


_CODES: Final = {Code(code.value[0]): code for code in grpc.StatusCode}
