"""What the calls of a port say of those that come."""

from typing import Any, cast

import pytest

from batchproof_server.rpc.fronts.completion_queue.arrived import Arrived, RawHead
from batchproof_server.rpc.fronts.completion_queue.calls import OpenCalls, _Open
from batchproof_server.rpc.fronts.front import CallHead, Code, Routes
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


class CoreCall:
    """Notes how it was ended."""

    def __init__(self) -> None:
        self.cancelled: list[int] = []
        self.sent = 0

    def cancel(self, code: int, _text: str) -> None:
        """Is ended without a word."""
        self.cancelled.append(code)

    def start_server_batch(self, *_: object) -> int:
        """Is answered."""
        self.sent += 1
        return 0


async def test_of_a_list_that_was_given_up_every_call_is_ended_once_and_none_stays_open() -> None:
    ours = OpenCalls(RpcSettings(), Routes({}, {}, NoGate()), FakeClock(), Allowance())
    unlooked, let_in, read = CoreCall(), CoreCall(), CoreCall()
    for call_id, call in ((2, let_in), (3, read)):
        head = CallHead(call_id, "/a.B/C", (), "ipv4:127.0.0.1:1", None)
        ours._open[call_id] = _Open(cast("Any", call), head)
    heads = [RawHead(n, c, b"", 0.0, (), is_read=False) for n, c in ((1, unlooked), (2, let_in))]
    ours.give_up(Arrived(heads=heads, messages=[(2, b"", True), (3, b"", True), (4, b"", True)]))
    assert [(call.cancelled, call.sent) for call in (unlooked, let_in, read)] == [
        ([Code.INTERNAL], 0),
        ([], 1),
        ([], 1),
    ]
    assert not ours._open
