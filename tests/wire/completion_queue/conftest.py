"""What only the front on the completion queue promises, whoever waits for the queue."""

import asyncio

import pytest

from batchproof_server.rpc.fronts.completion_queue.calls import OpenCalls
from batchproof_server.rpc.fronts.front import MakeFront
from support.fronts import choose


@pytest.fixture(autouse=True, params=["loop", "occupied loop", "thread"])
def make_front(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MakeFront:
    """This front, and no other; where the loop waits, also while all have to wait."""
    asyncios_own = asyncio.events.new_event_loop
    front = choose("completion_queue", monkeypatch)
    if request.param == "thread":
        monkeypatch.setattr(asyncio.events, "new_event_loop", asyncios_own)
    if request.param == "occupied loop":
        monkeypatch.setattr(OpenCalls, "all_would_wait", lambda _: True)
    return front
