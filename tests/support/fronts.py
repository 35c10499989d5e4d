"""Every front there is; the tests of the wire run through each of them (tests/wire/conftest.py)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from batchproof_server.rpc.fronts.front import MakeFront
from batchproof_server.rpc.fronts.grpc_aio.server import GrpcAioFront

FRONTS: Final[Mapping[str, MakeFront]] = {"grpc_aio": GrpcAioFront}


@dataclass
class ChosenFront:
    """The front of the servers that tests start."""

    make: MakeFront = GrpcAioFront


CHOSEN: Final = ChosenFront()
