"""Which front serves: the quickest that works, or the one that was asked for."""

from typing import get_args

import pytest

from batchproof_server.base.events import FrontChosen
from batchproof_server.base.listener import PortUnavailable
from batchproof_server.rpc.fronts.choosing import FrontOfChoice, fault_of_queue
from batchproof_server.rpc.fronts.completion_queue import private_api, self_call
from batchproof_server.rpc.fronts.front import Routes
from batchproof_server.rpc.settings import FrontName, RpcSettings
from support.fakes import FakeClock
from support.fronts import FRONTS, NoGate

REASON = "grpcio 9 has no Server"


async def works() -> str:
    return ""


async def broken() -> str:
    return REASON


async def chosen(choice: FrontName, *, is_broken: bool = False) -> list[FrontChosen]:
    """What is told when a front of this choice starts."""
    told: list[FrontChosen] = []
    routes, fault = Routes({}, {}, NoGate()), broken if is_broken else works
    front = FrontOfChoice(
        choice, told.append, RpcSettings(), routes, FakeClock(), fault_of_queue=fault
    )
    await front.drain(0)
    assert await front.start("127.0.0.1", 0)
    await front.drain(0)
    return told


def test_every_front_can_be_asked_for() -> None:
    assert set(get_args(FrontName)) == {"auto", *FRONTS}


@pytest.mark.parametrize(
    ("choice", "front"),
    [
        ("auto", "completion_queue"),
        ("completion_queue", "completion_queue"),
        ("grpc_aio", "grpc_aio"),
    ],
)
async def test_where_everything_works_the_choice_is_kept(choice: FrontName, front: str) -> None:
    assert await chosen(choice) == [FrontChosen(front, "")]


async def test_where_the_queue_does_not_work_grpc_aio_serves_and_it_is_said_why() -> None:
    assert await chosen("auto", is_broken=True) == [FrontChosen("grpc_aio", REASON)]
    assert await chosen("grpc_aio", is_broken=True) == [FrontChosen("grpc_aio", "")]


async def test_a_front_that_was_asked_for_and_does_not_work_is_an_error_with_the_way_out() -> None:
    with pytest.raises(PortUnavailable, match=f'{REASON}; set front = "auto" or "grpc_aio"'):
        await chosen("completion_queue", is_broken=True)


async def test_this_grpcio_serves_from_its_completion_queue() -> None:
    assert await fault_of_queue() == ""


async def test_a_name_that_is_gone_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_api, "_NAMES", {"CompletionQueue": ("poll", "ask"), "Nothing": ()})
    assert private_api.missing() == ["CompletionQueue.ask", "Nothing"]
    assert (await fault_of_queue()).endswith(" has no CompletionQueue.ask, Nothing")


async def test_an_operation_with_other_arguments_is_found_by_the_call_to_oneself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def other(content: bytes) -> None:
        del content

    monkeypatch.setattr(private_api.cygrpc, "SendMessageOperation", other)
    monkeypatch.setattr(self_call, "_PATIENCE_S", 60.0)
    fault = await fault_of_queue()
    assert "a call to itself failed" in fault
