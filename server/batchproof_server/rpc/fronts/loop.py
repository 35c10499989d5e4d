"""Which event loop suits a front."""

import asyncio
import os
import select
from collections.abc import Callable
from typing import Final

from batchproof_server.rpc.settings import FrontName

_GRPC_AIO: Final = "grpc_aio"


def loop_of(front: FrontName) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop of a server.

    Args:
        front: that its configuration asks for.

    Returns:
        That of a loop which can wait for gRPC's completion queue, where the front has one and the
        platform has what the loop needs; None for asyncio's own, on which every front serves.
    """
    if front == _GRPC_AIO or not (hasattr(select, "epoll") and hasattr(os, "eventfd")):
        return None
    try:
        from batchproof_server.rpc.fronts.completion_queue.private_api import missing  # noqa: PLC0415 - it may be gone

        if missing():
            return None
    except Exception:  # noqa: BLE001 - as in choosing.py, where it is told
        return None
    from batchproof_server.rpc.fronts.completion_queue.queue_loop import QueueLoop  # noqa: PLC0415 - not on every platform

    return QueueLoop
