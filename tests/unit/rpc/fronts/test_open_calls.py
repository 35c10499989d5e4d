"""What the calls of a port say of those that come."""

from typing import Any, cast

import pytest

from batchproof_server.rpc.fronts.completion_queue.calls import OpenCalls
from batchproof_server.rpc.fronts.front import Routes
from batchproof_server.rpc.fronts.room import Allowance
from batchproof_server.rpc.settings import RpcSettings
from support.fakes import FakeClock
from support.fronts import NoGate


class OccupiedGate(NoGate):
    """Has enough to do."""

    def is_occupied(self) -> bool:
        """Whoever comes waits."""
        return True


@pytest.mark.parametrize(
    ("gate", "calls", "waits"),
    [(OccupiedGate(), 1, False), (OccupiedGate(), 2, True), (NoGate(), 2, False)],
)
async def test_all_would_wait_where_the_gate_says_so_and_more_than_one_call_is_open(
    gate: NoGate, calls: int, *, waits: bool
) -> None:
    ours = OpenCalls(RpcSettings(), Routes({}, {}, gate), FakeClock(), Allowance())
    ours._open = dict.fromkeys(range(calls), cast("Any", None))
    assert ours.all_would_wait() is waits
