"""Whether this grpcio serves from its completion queue: one call to oneself."""

import asyncio
from collections.abc import Sequence
from typing import Final

from grpc import aio

from batchproof_server.base.clock import MonotonicClock
from batchproof_server.batching.connections import LetIn
from batchproof_server.rpc.fronts.completion_queue.server import CompletionQueueFront
from batchproof_server.rpc.fronts.front import CallHead, Reply, Routes, Status
from batchproof_server.rpc.settings import RpcSettings

_METHOD: Final = "/batchproof.SelfCall/Echo"
_PATIENCE_S: Final = 5.0


class NoGate:
    """Looks at nothing."""

    def wants(self, method: str) -> bool:
        """Nothing is looked at."""
        del method
        return False

    def is_occupied(self) -> bool:
        """Nobody waits."""
        return False

    def look(self, heads: Sequence[CallHead], let_in: LetIn) -> Sequence[Status | None]:
        """Everything may go on."""
        del let_in
        return [None for _ in heads]


async def _echo(head: CallHead, content: bytes | None) -> Reply:
    return Reply(content or b"", ((_KEY, dict(head.metadata)[_KEY]),))


_KEY: Final = "x-self-call"


# Contract: nobody else can call it but from this machine, and for as long as the call takes; it
# answers with what it was sent.
async def call_oneself() -> None:
    """Returns when a call over the loopback interface was answered.

    Raises:
        Exception: it was not, or not in 5 s; of any kind, since the API is private.
    """
    routes = Routes({_METHOD: _echo}, {}, NoGate())
    front = CompletionQueueFront(RpcSettings(), routes, MonotonicClock())
    async with asyncio.timeout(_PATIENCE_S):
        port = await front.start("127.0.0.1", 0)
        try:
            await _ask(f"127.0.0.1:{port}")
        finally:
            await front.drain(0)


async def _ask(address: str) -> None:
    content = bytes(range(256))
    options = (("grpc.enable_http_proxy", 0),)
    async with aio.insecure_channel(address, options=options) as channel:
        echo: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_METHOD)
        call = echo(content, metadata=((_KEY, "here"),), timeout=_PATIENCE_S)
        answer = await call
        trailers = dict(tuple(await call.trailing_metadata()))
    if answer != content or trailers.get(_KEY) != "here":
        raise RuntimeError("it got another answer than was sent")
