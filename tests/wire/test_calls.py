"""Whatever goes wrong inside, the caller gets a code and one record is made."""

import asyncio
from typing import Any, cast

import grpc
import pytest
from grpc import aio

from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from batchproof_server.rpc.calls import Calls
from batchproof_server.rpc.fronts.front import MakeFront
from batchproof_server.rpc.gate import LoadShedder
from batchproof_server.rpc.health import Health
from batchproof_server.rpc.native.outcomes import OutcomeReports
from batchproof_server.rpc.native.service import PredictionService
from batchproof_server.rpc.pressure import Pressure
from batchproof_server.rpc.routing import make_routes
from batchproof_server.rpc.settings import RpcSettings
from batchproof_server.rpc.streams import Streams
from support.fakes import PATIENCE_S, FakeClock, Recorder
from support.running import (
    failure,
    trailer,
)


class Broken:
    """Engine and repository at once, in which everything raises."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*_args: object) -> Any:
            raise self._error

        return fail


class Versionless:
    """No version is loaded."""

    def ready(self) -> tuple[()]:
        """None answers."""
        return ()


class Bench:
    """The service over a broken core."""

    def __init__(self, make_front: MakeFront, error: BaseException) -> None:
        self.recorder = Recorder()
        self.reported: list[tuple[BaseException, str]] = []
        clock, broken = FakeClock(), cast("Any", Broken(error))
        pressure = Pressure(9, clock)
        calls = Calls(pressure, clock, self.recorder, lambda *what: self.reported.append(what))
        services = [PredictionService(broken, broken, OutcomeReports(broken), broken).published(9)]
        shedder = LoadShedder(broken, cast("Any", Versionless()), pressure)
        routes = make_routes(services, calls, Streams(9, 9), shedder, Health())
        self.front = make_front(RpcSettings(), routes, clock)

    async def __aenter__(self) -> Any:
        port = await self.front.start("127.0.0.1", 0)
        self.channel = aio.insecure_channel(f"127.0.0.1:{port}")
        return pb_grpc.PredictionServiceStub(self.channel)

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()
        await self.front.drain(0)


UNARY = {
    "Predict": pb.PredictRequest(),
    "ListModels": pb.ListModelsRequest(),
    "GetModel": pb.GetModelRequest(),
    "ReportOutcome": pb.ReportOutcomeRequest(outcomes=[pb.Outcome()]),
}


@pytest.mark.parametrize("method", UNARY)
async def test_an_unforeseen_error_is_internal_with_an_id_and_without_its_text(
    make_front: MakeFront, method: str
) -> None:
    error = RuntimeError("secret in /some/path")
    bench = Bench(make_front, error)
    async with bench as stub:
        metadata = (("x-request-id", "mine"),)
        came = await failure(getattr(stub, method)(UNARY[method], metadata=metadata))
    assert came.code() is grpc.StatusCode.INTERNAL
    assert came.details() == "internal error; the server's log has more under request mine"
    assert trailer(came) == {"x-request-id": "mine"}
    assert bench.reported == [(error, "mine")]
    assert [(r.method, r.code) for r in bench.recorder.requests] == [(method, "INTERNAL")]


@pytest.mark.parametrize("method", UNARY)
async def test_a_cancellation_that_leaks_from_the_work_is_unavailable_at_once(
    make_front: MakeFront, method: str
) -> None:
    bench = Bench(make_front, asyncio.CancelledError())
    async with bench as stub:
        came = await failure(getattr(stub, method)(UNARY[method], timeout=PATIENCE_S))
    assert came.code() is grpc.StatusCode.UNAVAILABLE
    assert len(bench.reported) == 1
    assert [(r.method, r.code) for r in bench.recorder.requests] == [(method, "UNAVAILABLE")]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("secret"), grpc.StatusCode.INTERNAL),
        (asyncio.CancelledError(), grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_in_a_stream_an_unforeseen_error_answers_its_own_request_alone(
    make_front: MakeFront, error: BaseException, code: grpc.StatusCode
) -> None:
    bench = Bench(make_front, error)
    async with bench as stub:
        call = stub.PredictStream()
        await call.write(pb.PredictStreamRequest(request=pb.PredictRequest(request_id="a")))
        answer = await call.read()
        await call.done_writing()
        assert await call.read() is aio.EOF
        assert await call.code() is grpc.StatusCode.OK
    assert (answer.request_id, answer.error.code) == ("a", code.value[0])
    assert "secret" not in answer.error.message
    assert [record.code for record in bench.recorder.requests] == [code.name]
