"""Every front there is; the tests of the wire run through each of them (tests/wire/conftest.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from batchproof_server.batching.connections import LetIn
from batchproof_server.rpc.fronts.completion_queue.server import CompletionQueueFront
from batchproof_server.rpc.fronts.front import CallHead, MakeFront, Status
from batchproof_server.rpc.fronts.grpc_aio.server import GrpcAioFront

FRONTS: Final[Mapping[str, MakeFront]] = {
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


class NoGate:
    """Looks at nothing."""

    def wants(self, method: str) -> bool:
        """No head."""
        del method
        return False

    def look(self, heads: Sequence[CallHead], let_in: LetIn) -> list[Status | None]:
        """Lets all go on."""
        del let_in
        return [None for _ in heads]
