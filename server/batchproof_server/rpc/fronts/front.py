"""The seam between what speaks HTTP/2 and what answers: values and promises, no gRPC class."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, Protocol, TypeAlias

from batchproof_server.base.clock import Clock
from batchproof_server.base.listener import Listener
from batchproof_server.base.priorities import Priority
from batchproof_server.base.unguarded import unguarded
from batchproof_server.batching.connections import LetIn
from batchproof_server.callers.grants import Grant
from batchproof_server.rpc.settings import RpcSettings

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]


class Code(IntEnum):
    """How a call ended, by the numbers and names of google.rpc.Code."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class CallEnded(Exception):
    """The call is over: its caller went away, its deadline passed, or the port was closed."""


class CallHead(NamedTuple):
    """What is known of a call before any of its messages is read.

    Attributes:
        id: names the call within its front, for as long as it lasts.
        method: ``/package.Service/Method``.
        metadata: text, and bytes under keys that end in ``-bin``; in the caller's order.
        peer: the caller's address, as the front writes it.
        deadline_s: an instant of the clock; None when the caller waits for ever.
        subjects: of the client's certificate, which was verified; see ``CallerSettings``.
        grant: what the caller may do; None where nobody asks.
        priority: of the call; None where nobody asks who calls.
    """

    id: int
    method: str
    metadata: Metadata
    peer: str
    deadline_s: float | None
    subjects: tuple[str, ...] = ()
    grant: Grant | None = None
    priority: Priority | None = None


@unguarded(eq=False)
class Body:
    """The one message of a unary call, after decompression; None when the caller sent none."""

    head: CallHead
    content: bytes | None


class Reply(NamedTuple):
    """The one message that answers a unary call, and the trailing metadata of its OK."""

    content: bytes
    trailers: Metadata = ()


@dataclass(frozen=True, slots=True)
class Status:
    """How a call ends that has no reply: a failure, or the end of a stream.

    Attributes:
        text: Unicode of a kB at most; the front writes it as HTTP/2 wants it.
        trailers: text only.
    """

    code: Code
    text: str = ""
    trailers: Metadata = ()


GOING: Final = Status(Code.UNAVAILABLE, "the server is going away")
"""How a call ends that comes during a drain."""


# Contract
#
# One read and one write may be under way at the same time, not two of a kind. A write returns when
# the front has room for the next one, so that HTTP/2 holds back whoever writes too much for its
# caller; and what is not read holds back the caller. A cancelled read is lost with its message.
# A caller that goes away and one that has sent all look the same at first: the core says that there
# is no more, and only in a moment that the call is over. Unlike a call's only message, a stream's
# end is not waited for, since each stream has one; what its route still does is cancelled then.
class Messages(Protocol):
    """The messages of a stream, both ways."""

    async def read(self) -> bytes | None:
        """The caller's next message, after decompression; None when there will be no more.

        Raises:
            CallEnded: the call is over, and the core has said so.
        """
        ...

    async def write(self, content: bytes) -> None:
        """Sends one message.

        Raises:
            CallEnded: the call is over.
        """
        ...


# Answers a unary call whose body is None when the caller sent none.
AnswerUnary: TypeAlias = Callable[[CallHead, bytes | None], Awaitable[Reply | Status]]
# Serves a stream, and says how it ends; may let CallEnded out.
ServeStream: TypeAlias = Callable[[CallHead, Messages], Awaitable[Status]]


class HeadGate(Protocol):
    """Refuses calls before their bodies are read."""

    def is_occupied(self) -> bool:
        """Whether whatever comes now waits for what is being executed, and for others before it.

        A front need not hurry then to look at what comes.
        """
        ...

    def wants(self, method: str) -> bool:
        """Whether a call of this method, which came just now, must be looked at first.

        A front for which heads cost nothing may show all of them.
        """
        ...

    def look(self, heads: Sequence[CallHead], let_in: LetIn) -> Sequence[Status | None]:
        """Of each head how its call is refused; None lets it go on.

        Whoever is refused is recorded already: its call goes no further.

        Args:
            heads: in the order of their coming.
            let_in: the calls before them that no route has begun; those that may go on are added.
        """
        ...


# Contract: what is called here
#
# Everything is called on the loop thread. A front awaits what a call returns in one task, and sends
# what comes out of it once; an awaitable that was made is awaited. When the caller goes away, its
# deadline passes or the front gives up the call, the front cancels that task once; nothing is sent
# for what is cancelled. Bodies that a front has at the same time are begun in the same turn of the
# loop and in their order: what is begun together can be executed together.
@dataclass(frozen=True, slots=True, eq=False)
class Routes:
    """What answers the calls that a front hands over, by method.

    Attributes:
        unary: one message, one reply.
        streams: messages both ways; also what has one message one way only.
        gate: looks at unary calls before their body is read.
        reads_at_once: whether a front may begin to read a body before the gate has looked, as long
            as the gate wants nothing.
    """

    unary: Mapping[str, AnswerUnary]
    streams: Mapping[str, ServeStream]
    gate: HeadGate
    reads_at_once: bool = True


# Contract: what a front does by itself
#
# It refuses a method without a route with UNIMPLEMENTED, at the headers. It ends a call whose
# deadline passes, and one whose message is larger than ``max_message_bytes`` after decompression
# (RESOURCE_EXHAUSTED) or cannot be decompressed. It does not cancel calls by itself because many
# come at once. It shows a head to the gate, where the gate wants it, before it takes the body.
# An exception out of a route is a fault of the route: the front ends the call and logs it.
class Front(Listener, Protocol):
    """Speaks HTTP/2 on one port, and hands calls to its routes."""

    def stop_listening(self) -> None:
        """Takes no more connections; those that are open go on, and their new calls too."""
        ...


MakeFront: TypeAlias = Callable[[RpcSettings, Routes, Clock], Front]
