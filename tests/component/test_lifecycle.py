"""What the life-cycle does between loading and the signal that ends it."""

import asyncio
import gc
import io
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from batchproof_server.application.config import Config
from batchproof_server.application.process import OK, run
from batchproof_server.observing.logs import configure_logs

if TYPE_CHECKING:
    from batchproof_server.application.server import Server


@dataclass
class LoadedServer:
    """Has loaded at once, and is asked to stop right after that."""

    objects: list[object] = field(default_factory=list)
    frozen_at_the_end: int = 0
    listens_late: bool = False
    config: Config = field(default_factory=Config)

    async def open(self) -> dict[str, str]:
        """Opens nothing."""
        return {"grpc": "here", "http": "there"}

    async def load(self) -> bool:
        """Makes something that stays."""
        self.objects.append([])
        asyncio.get_running_loop().call_later(0, signal.raise_signal, signal.SIGTERM)
        return True

    async def drain(self) -> bool:
        """Looks at what the garbage collector passes over."""
        self.frozen_at_the_end = gc.get_freeze_count()
        return True

    def close(self) -> None:
        """Closes nothing."""


async def test_what_is_loaded_is_no_work_for_the_garbage_collector() -> None:
    server = LoadedServer()
    before = gc.get_freeze_count()
    try:
        logger = configure_logs("info", "json", io.StringIO())
        assert await run(cast("Server", server), io.StringIO(), logger) == OK
        assert server.frozen_at_the_end > before + 1000
    finally:
        gc.unfreeze()
