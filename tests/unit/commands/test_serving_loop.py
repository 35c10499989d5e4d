"""The event loop that a server is served on."""

import asyncio
import io
from typing import Any, cast

import pytest

from batchproof_server.commands.serve import command
from batchproof_server.observing.logs import configure_logs
from batchproof_server.rpc.fronts.completion_queue.queue_loop import QueueLoop
from batchproof_server.rpc.settings import FrontName


@pytest.mark.parametrize(
    ("front", "is_ours"), [("auto", True), ("completion_queue", True), ("grpc_aio", False)]
)
def test_the_loop_is_the_one_that_suits_the_front(
    front: FrontName, monkeypatch: pytest.MonkeyPatch, *, is_ours: bool
) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def run(*_: object) -> int:
        loops.append(asyncio.get_running_loop())
        return 7

    monkeypatch.setattr(command, "run", run)
    logger = configure_logs("error", "json", io.StringIO())
    assert command._run(cast("Any", None), front, logger) == 7
    assert [isinstance(each, QueueLoop) for each in loops] == [is_ours]
    assert loops[0].is_closed()
