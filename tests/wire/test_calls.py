"""Whatever goes wrong inside, the caller gets a code and one record is made."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import grpc
import pytest
from grpc import aio

from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from batchproof_server.rpc.calls import Calls
from batchproof_server.rpc.fronts.grpc_aio.health import Health
from batchproof_server.rpc.fronts.grpc_aio.server import RpcServer
from batchproof_server.rpc.native.outcomes import OutcomeReports
from batchproof_server.rpc.native.service import PredictionService
from batchproof_server.rpc.pressure import Pressure
from batchproof_server.rpc.settings import RpcSettings
from batchproof_server.rpc.streams import Streams
from support.fakes import PATIENCE_S, FakeClock, Recorder, settle_loop
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


class Bench:
    """The service over a broken core."""

    def __init__(self, error: BaseException) -> None:
        self.recorder = Recorder()
        self.reported: list[tuple[BaseException, str]] = []
        calls = Calls(
            Pressure(9, FakeClock()),
            FakeClock(),
            self.recorder,
            lambda *what: self.reported.append(what),
        )
        broken = cast("Any", Broken(error))
        service = PredictionService(broken, broken, calls, Streams(9, 9), OutcomeReports(broken))
        self.server = RpcServer(replace(RpcSettings(), max_streams=9), service, Health())

    async def __aenter__(self) -> Any:
        port = await self.server.start("127.0.0.1", 0)
        self.channel = aio.insecure_channel(f"127.0.0.1:{port}")
        return pb_grpc.PredictionServiceStub(self.channel)

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()
        await self.server.stop(0)


UNARY = {
    "Predict": pb.PredictRequest(),
    "ListModels": pb.ListModelsRequest(),
    "GetModel": pb.GetModelRequest(),
    "ReportOutcome": pb.ReportOutcomeRequest(outcomes=[pb.Outcome()]),
}


@pytest.mark.parametrize("method", UNARY)
async def test_an_unforeseen_error_is_internal_with_an_id_and_without_its_text(method: str) -> None:
    error = RuntimeError("secret in /some/path")
    bench = Bench(error)
    async with bench as stub:
        metadata = (("x-request-id", "mine"),)
        came = await failure(getattr(stub, method)(UNARY[method], metadata=metadata))
    assert came.code() is grpc.StatusCode.INTERNAL
    assert came.details() == "internal error; the server's log has more under request mine"
    assert trailer(came) == {"x-request-id": "mine"}
    assert bench.reported == [(error, "mine")]
    assert [(r.method, r.code) for r in bench.recorder.requests] == [(method, "INTERNAL")]


@pytest.mark.parametrize("method", UNARY)
async def test_a_cancellation_that_leaks_from_the_work_is_unavailable_at_once(method: str) -> None:
    bench = Bench(asyncio.CancelledError())
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
    error: BaseException, code: grpc.StatusCode
) -> None:
    bench = Bench(error)
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


async def test_work_that_turns_its_cancellation_into_an_error_is_recorded_as_that() -> None:
    recorder = Recorder()
    pressure = Pressure(9, FakeClock())
    calls = Calls(pressure, FakeClock(), recorder, lambda *_: None)
    context = cast("Any", Context())

    async def stubborn(_call: object) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("late") from None

    task = asyncio.ensure_future(calls.run("Predict", "a", context, stubborn))
    await settle_loop()
    told = [pressure.is_idle]
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert [*told, pressure.is_idle] == [False, True]
    assert [record.code for record in recorder.requests] == ["INTERNAL"]


class Context:
    """What a call asks of its gRPC context when it has no deadline."""

    def time_remaining(self) -> float | None:
        """No limit."""
        return None

    def peer(self) -> str:
        """Somebody here."""
        return "ipv4:127.0.0.1:1"
