"""Every front there is; the tests of the wire run through each of them (tests/wire/conftest.py)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pytest

from batchproof_server.batching.connections import LetIn
from batchproof_server.rpc.fronts.choosing import loop_of
from batchproof_server.rpc.fronts.completion_queue.server import CompletionQueueFront
from batchproof_server.rpc.fronts.front import CallHead, MakeFront, Status
from batchproof_server.rpc.fronts.grpc_aio.server import GrpcAioFront
from batchproof_server.rpc.settings import FrontName

FRONTS: Final[Mapping[FrontName, MakeFront]] = {
    "grpc_aio": GrpcAioFront,
    "completion_queue": CompletionQueueFront,
}


@dataclass
class ChosenFront:
    """The ports of the servers that tests start.

    Attributes:
        make: the front of the gRPC port.
        has_web: whether they have a web port, whatever the configuration says.
    """

    make: MakeFront = GrpcAioFront
    has_web: bool = False


CHOSEN: Final = ChosenFront()


def choose(front: FrontName, patch: pytest.MonkeyPatch) -> MakeFront:
    """Has the servers of a test this front, on the loop that `serve` gives it.

    To be called before anything of the test is asynchronous.
    """
    patch.setattr(CHOSEN, "make", FRONTS[front])
    if (make_loop := loop_of(front)) is not None:
        patch.setattr(asyncio.events, "new_event_loop", make_loop)
    return FRONTS[front]


class NoGate:
    """Looks at nothing."""

    def wants(self, method: str) -> bool:
        """No head."""
        del method
        return False

    def is_occupied(self) -> bool:
        """Nobody waits."""
        return False

    def look(self, heads: Sequence[CallHead], let_in: LetIn) -> list[Status | None]:
        """Lets all go on."""
        del let_in
        return [None for _ in heads]
