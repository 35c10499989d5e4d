"""What bounds a request: room, time, and a caller that goes away."""

import asyncio
from pathlib import Path

import grpc
import pytest

from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.application import server as app
from batchproof_server.application.config import Config
from batchproof_server.rpc.settings import RpcSettings
from batchproof_server.serving.off_loop import DecodingSettings
from batchproof_server.serving.request import RequestLimits
from support.bundles_on_disk import PICTURES, RAW, picture, write_bundle
from support.fakes import FakeClock, GatedBackend, until
from support.patience import longer
from support.running import (
    WARM_UPS,
    comes,
    failure,
    gated_request,
    refused,
    running,
    trailer,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT


async def test_a_full_queue_answers_resource_exhausted_with_pushback(tmp_path: Path) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW.replace("16", "4"))
    slow = GatedBackend(1)
    async with running(tmp_path, gated={"slow": slow}) as serving:
        executing = serving.stub.Predict(gated_request(rows=4))
        await slow.entered(WARM_UPS + 1)
        waiting = serving.stub.Predict(gated_request(rows=4))
        await until(lambda: serving.waiting_rows("slow") == 4)
        late = serving.stub.Predict(gated_request(), metadata=(("x-request-id", "late"),))
        error = await failure(late)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "the queue holds 4 of 4 rows" in (error.details() or "")
        assert int(trailer(error)["grpc-retry-pushback-ms"]) >= 1
        assert trailer(error)["x-request-id"] == "late"
        slow.release(2)
        await asyncio.gather(executing, waiting)
        assert await serving.log.ended(3) == ["RESOURCE_EXHAUSTED", "OK", "OK"]


async def test_more_requests_at_the_same_time_than_the_limit_are_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    config = Config(rpc=RpcSettings(max_concurrent_requests=1))
    async with running(tmp_path, config, gated={"slow": slow}) as serving:
        first = serving.stub.Predict(gated_request())
        await slow.entered(WARM_UPS + 1)
        error = await refused(serving, gated_request())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "1 requests are being answered already" in (error.details() or "")
        assert "grpc-retry-pushback-ms" in trailer(error)
        slow.release()
        await first
        slow.release()
        await serving.stub.Predict(gated_request())
        assert await serving.log.ended(3) == ["RESOURCE_EXHAUSTED", "OK", "OK"]


async def test_a_picture_that_takes_more_memory_than_the_budget_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "pictures" / "1", PICTURES, shape=(2, 2, 3))
    config = Config(decoding=DecodingSettings(max_decoded_bytes=15))
    images = pb.EncodedImages(contents=[picture()])
    async with running(tmp_path, config) as serving:
        error = await refused(serving, pb.PredictRequest(images=images))
    assert error.code() is INVALID
    assert "bytes of memory, expected at most 15; a smaller picture does" in (error.details() or "")


async def test_a_cancelled_call_leaves_the_queue_and_is_recorded_once(tmp_path: Path) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    async with running(tmp_path, gated={"slow": slow}) as serving:
        executing = serving.stub.Predict(gated_request(rows=4))
        await slow.entered(WARM_UPS + 1)
        waiting = serving.stub.Predict(gated_request(rows=4))
        await until(lambda: serving.waiting_rows("slow") == 4)
        waiting.cancel()
        await until(lambda: serving.waiting_rows("slow") == 0)
        assert await serving.log.ended(1) == ["CANCELLED"]
        executing.cancel()
        assert await serving.log.ended(2) == ["CANCELLED", "CANCELLED"]
        slow.release()
        assert not serving.log.unforeseen()


async def test_a_deadline_frees_the_queue_and_is_recorded_once(tmp_path: Path) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    async with running(tmp_path, gated={"slow": slow}) as serving:
        executing = serving.stub.Predict(gated_request(rows=4))
        await slow.entered(WARM_UPS + 1)
        for timeout_s in longer():
            late = gated_request(rows=4, request_id=f"{timeout_s} s")
            call = serving.stub.Predict(late, timeout=timeout_s)
            if not await comes(lambda: serving.waiting_rows("slow") == 4, call):
                continue
            assert (await failure(call)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
            # One that came slowly may look as if its caller went away.
            if await serving.log.ends(late.request_id) == ["DEADLINE_EXCEEDED"]:
                break
        assert serving.waiting_rows("slow") == 0
        slow.release()
        await executing


async def test_the_server_limits_the_time_of_a_call_without_a_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    monkeypatch.setattr(app, "MonotonicClock", lambda: clock)
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    config = Config(requests=RequestLimits(max_timeout_s=0.05))
    async with running(tmp_path, config, gated={"slow": slow}) as serving:
        executing = serving.stub.Predict(gated_request(rows=4))
        await slow.entered(WARM_UPS + 1)
        waiting = serving.stub.Predict(gated_request(rows=4))
        await until(lambda: serving.waiting_rows("slow") == 4)
        clock.advance(0.05)
        error = await failure(waiting)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "in the queue" in (error.details() or "")
        slow.release()
        await executing
