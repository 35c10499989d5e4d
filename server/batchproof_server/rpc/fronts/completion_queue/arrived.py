"""What one wake-up of the completion queue found, by its kind."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from batchproof_server.rpc.fronts.completion_queue.private_api import CoreCall
from batchproof_server.rpc.fronts.front import Metadata

# The first half of a tag; the second is the id of a call.
MESSAGE: Final = 1
WRITTEN: Final = 2
SENT: Final = 3
HEAD: Final = 4
CLOSED: Final = 5
SHUT: Final = 6
BELL: Final = 7


class RawHead(NamedTuple):
    """The headers of a call.

    Attributes:
        id: names the call in all that follows.
        call: of the C core.
        method: as it came.
        deadline_epoch_s: seconds since 1970; enormous when there is none.
        metadata: text, and bytes under keys that end in ``-bin``.
        is_read: whether its message is being read already, and its close is watched; else nothing
            was asked of the core for it yet.
    """

    id: int
    call: CoreCall
    method: bytes
    deadline_epoch_s: float
    metadata: Metadata
    is_read: bool


@dataclass(slots=True)
class Arrived:
    """What one wake-up found, by its kind.

    Attributes:
        heads: in the order of their coming.
        reads: how many of their messages are being read already.
        messages: call ids with what was read; or with None, and whether the core leaves it to us to
            end the call.
        written: call ids with whether a message of a stream was written.
        closed: calls that are over although nobody here ended them.
        size_bytes: of all messages.
    """

    heads: list[RawHead] = field(default_factory=list)
    reads: int = 0
    messages: list[tuple[int, bytes | None, bool]] = field(default_factory=list)
    written: list[tuple[int, bool]] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, later: "Arrived") -> None:
        """Takes in what the next wake-up found."""
        self.heads += later.heads
        self.reads += later.reads
        self.messages += later.messages
        self.written += later.written
        self.closed += later.closed
        self.size_bytes += later.size_bytes
