"""The whole server behind a front without any network, which hands calls over in lists."""

from pathlib import Path

import numpy as np
import pytest

from batchproof.tensors import from_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.base.clock import Clock
from batchproof_server.rpc.fronts.front import Body, CallHead, Code, Reply, Routes, Status
from batchproof_server.rpc.fronts.in_lists import InLists
from batchproof_server.rpc.settings import RpcSettings
from support.bundles_on_disk import RAW, write_bundle
from support.fakes import GatedBackend, until
from support.fronts import CHOSEN
from support.running import WARM_UPS, gated_request, running

PREDICT = "/batchproof.v1.PredictionService/Predict"


class MemoryFront:
    """Has no port: a test hands the lists over."""

    def __init__(self, _settings: RpcSettings, routes: Routes, _clock: Clock) -> None:
        self.routes = routes
        self.sent: list[list[tuple[int, Reply | Status]]] = []
        self.lists = InLists(routes, lambda outcomes: self.sent.append(list(outcomes)))

    async def start(self, host: str, port: int) -> int:
        """Opens nothing."""
        del host
        return port

    def stop_listening(self) -> None:
        """Does not listen."""

    async def drain(self, grace_s: float) -> None:
        """Has nothing to wait for."""
        del grace_s

    async def answered(self, *requests: pb.PredictRequest) -> dict[int, Reply | Status]:
        """The outcomes of requests that come in one list."""
        before = len(self.sent)
        self.lists.begin(
            Body(CallHead(number, PREDICT, (), "here", None), request.SerializeToString())
            for number, request in enumerate(requests)
        )
        sent = self.sent
        await until(lambda: sum(map(len, sent[before:])) == len(requests))
        return {call_id: outcome for each in sent[before:] for call_id, outcome in each}


@pytest.fixture(autouse=True)
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers have this front."""
    monkeypatch.setattr(CHOSEN, "make", MemoryFront)


async def test_what_comes_in_one_list_is_executed_in_one_micro_batch(tmp_path: Path) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    async with running(tmp_path, gated={"slow": slow}) as serving:
        front = serving.server.ports[0].listener
        assert isinstance(front, MemoryFront)
        slow.release(1)
        outcomes = await front.answered(*(gated_request(value) for value in (1.0, 2.0, 3.0)))
        assert slow.executions == WARM_UPS + 1
    assert [len(each) for each in front.sent] == [3]
    for number, value in enumerate((1.0, 2.0, 3.0)):
        reply = outcomes[number]
        assert isinstance(reply, Reply)
        response = pb.PredictResponse.FromString(reply.content)
        assert [each.bucket_rows for each in response.provenance.executions] == [4]
        expected = [[2 * value + 1]]
        np.testing.assert_array_equal(from_proto(response.outputs["y"]), expected)


async def test_a_bad_request_spoils_none_beside_it(tmp_path: Path) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    async with running(tmp_path, gated={"slow": slow}) as serving:
        front = serving.server.ports[0].listener
        assert isinstance(front, MemoryFront)
        slow.release(1)
        outcomes = await front.answered(gated_request(1.0), gated_request(model="nobody"))
        assert isinstance(outcomes[0], Reply)
        assert isinstance(outcomes[1], Status)
        assert outcomes[1].code is Code.NOT_FOUND
        assert sorted(await serving.log.ended(2)) == ["NOT_FOUND", "OK"]
