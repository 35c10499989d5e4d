"""What only the front on the completion queue promises."""

import pytest

from batchproof_server.rpc.fronts.completion_queue.server import CompletionQueueFront
from batchproof_server.rpc.fronts.front import MakeFront
from support.fronts import CHOSEN


@pytest.fixture(autouse=True)
def make_front(monkeypatch: pytest.MonkeyPatch) -> MakeFront:
    """This front, and no other."""
    monkeypatch.setattr(CHOSEN, "make", CompletionQueueFront)
    return CompletionQueueFront
