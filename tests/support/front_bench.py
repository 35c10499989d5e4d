"""A front with routes that a test opens and shuts, behind a real port."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from grpc import aio

from batchproof_server.base.clock import Clock, MonotonicClock
from batchproof_server.batching.connections import LetIn
from batchproof_server.rpc.fronts.front import (
    AnswerUnary,
    CallEnded,
    CallHead,
    Code,
    Front,
    MakeFront,
    Messages,
    Reply,
    Routes,
    Status,
)
from batchproof_server.rpc.settings import RpcSettings

ECHO: Final = "/test.Front/Echo"
HELD: Final = "/test.Front/Held"
BROKEN: Final = "/test.Front/Broken"
REFUSED: Final = "/test.Front/Refused"
CHAT: Final = "/test.Front/Chat"
FLOOD: Final = "/test.Front/Flood"
LINGER: Final = "/test.Front/Linger"
REFUSAL: Final = Status(Code.FAILED_PRECONDITION, "größer\nals 100 %", (("why", "because"),))


class ClosedGate:
    """Refuses every call of the methods that it was told of, and lets no other be looked at.

    Attributes:
        refuses: these methods.
        fault: is raised instead, where there is one.
        looked: the calls that it was asked about.
    """

    def __init__(self) -> None:
        self.refuses: set[str] = set()
        self.fault: Exception | None = None
        self.looked: list[CallHead] = []

    def wants(self, method: str) -> bool:
        """Whether the method is refused."""
        return method in self.refuses

    def is_occupied(self) -> bool:
        """Nobody waits."""
        return False

    def look(self, heads: Sequence[CallHead], let_in: LetIn) -> list[Status | None]:
        """Refuses them."""
        del let_in
        if self.fault is not None:
            raise self.fault
        self.looked += heads
        return [REFUSAL for _ in heads]


class FrontBench:
    """What a front serves here, and what became of it.

    Args:
        make_front: makes it.
        settings: of the port.
        clock: of deadlines.
    """

    def __init__(self, make_front: MakeFront, settings: RpcSettings, clock: Clock) -> None:
        self.gate = ClosedGate()
        self.opened = asyncio.Event()
        self.begun: list[CallHead] = []
        self.contents: list[bytes | None] = []
        self.cancelled = 0
        self.written = 0
        self.ended = 0
        unary: dict[str, AnswerUnary] = {
            ECHO: self._echo,
            HELD: self._held,
            BROKEN: self._broken,
            REFUSED: self._refused,
        }
        streams = {CHAT: self._chat, FLOOD: self._flood, LINGER: self._linger}
        routes = Routes(unary, streams, self.gate)
        self.front: Front = make_front(settings, routes, clock)
        self.address = ""
        self.channel: Any = None

    def call(self, method: str, **options: Any) -> Any:
        """What makes a unary call to it."""
        return self.channel.unary_unary(method, **options)

    async def _echo(self, head: CallHead, content: bytes | None) -> Reply:
        self._note(head, content)
        metadata = [(key, value) for key, value in head.metadata if key.startswith("x-")]
        return Reply(content or b"", metadata)

    async def _held(self, head: CallHead, content: bytes | None) -> Reply:
        self._note(head, content)
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Reply(content or b"")

    async def _broken(self, head: CallHead, content: bytes | None) -> Reply:
        self._note(head, content)
        raise RuntimeError("secret")

    async def _refused(self, head: CallHead, content: bytes | None) -> Status:
        self._note(head, content)
        return REFUSAL

    async def _chat(self, head: CallHead, messages: Messages) -> Status:
        self.begun.append(head)
        try:
            while (content := await messages.read()) is not None:
                self.contents.append(content)
                await messages.write(content)
                self.written += 1
        except (asyncio.CancelledError, CallEnded):
            self.cancelled += 1
            raise
        finally:
            self.ended += 1
        return Status(Code.OK)

    async def _flood(self, head: CallHead, messages: Messages) -> Status:
        self.begun.append(head)
        try:
            while True:
                await messages.write(bytes(1 << 20))
                self.written += 1
        except (asyncio.CancelledError, CallEnded):
            self.cancelled += 1
            raise

    async def _linger(self, head: CallHead, messages: Messages) -> Status:
        self.begun.append(head)
        try:
            while await messages.read() is not None:
                pass
            await self.opened.wait()
        except (asyncio.CancelledError, CallEnded):
            self.cancelled += 1
            raise
        return Status(Code.OK)

    def _note(self, head: CallHead, content: bytes | None) -> None:
        self.begun.append(head)
        self.contents.append(content)


@asynccontextmanager
async def front_bench(
    make_front: MakeFront, settings: RpcSettings | None = None, clock: Clock | None = None
) -> AsyncIterator[FrontBench]:
    """A front that listens, and a channel to it."""
    bench = FrontBench(make_front, settings or RpcSettings(), clock or MonotonicClock())
    bench.address = f"127.0.0.1:{await bench.front.start('127.0.0.1', 0)}"
    try:
        async with aio.insecure_channel(bench.address) as channel:
            bench.channel = channel
            yield bench
    finally:
        await bench.front.drain(0)
