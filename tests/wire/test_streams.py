"""PredictStream: matching, independence, the window, and every way in which a stream ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import aio

from batchproof.tensors import from_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.application.config import Config
from batchproof_server.base.validation import parse_settings
from batchproof_server.rpc.settings import RpcSettings
from support.bundles_on_disk import RAW, write_bundle
from support.fakes import GatedBackend, settle_loop, until
from support.patience import longer
from support.running import (
    WARM_UPS,
    Running,
    comes,
    failure,
    gated_request,
    request,
    running,
    trailer,
)


@pytest.fixture
def slow() -> GatedBackend:
    """The backend of the model ``slow``."""
    return GatedBackend(1)


@asynccontextmanager
async def both(tmp_path: Path, slow: GatedBackend, **limits: int) -> AsyncIterator[Running]:
    """A server with the models ``fast`` and ``slow``."""
    write_bundle(tmp_path / "fast" / "1", RAW)
    write_bundle(tmp_path / "slow" / "1", RAW)
    config = Config(rpc=parse_settings(RpcSettings, limits))
    async with running(tmp_path, config, gated={"slow": slow}) as serving:
        yield serving


def fast(request_id: str) -> pb.PredictRequest:
    return request(request_id=request_id, model="fast")


async def send(call: Any, *requests: pb.PredictRequest) -> None:
    for each in requests:
        await call.write(pb.PredictStreamRequest(request=each))


async def rest(call: Any) -> list[str]:
    """The ids of the answers that are still to come."""
    ids = []
    while (answer := await call.read()) is not aio.EOF:
        ids.append(answer.request_id)
    return ids


async def test_answers_come_as_they_are_ready_and_are_matched_by_id(
    tmp_path: Path, slow: GatedBackend
) -> None:
    async with both(tmp_path, slow) as serving:
        call = serving.stub.PredictStream()
        await send(call, gated_request(5.0, request_id="slow"), fast("fast"))
        first = await call.read()
        assert first.request_id == first.response.request_id == "fast"
        slow.release()
        second = await call.read()
        assert second.request_id == "slow"
        np.testing.assert_array_equal(from_proto(second.response.outputs["y"]), [[11.0]])
        await call.done_writing()
        assert await call.read() is aio.EOF
        assert await call.code() is grpc.StatusCode.OK
        assert await serving.log.ended(2) == ["OK", "OK"]


async def test_one_bad_request_fails_alone(tmp_path: Path, slow: GatedBackend) -> None:
    async with both(tmp_path, slow) as serving:
        call = serving.stub.PredictStream()
        unreadable = "no\nline"
        await send(
            call,
            fast("before"),
            request(request_id="unknown", model="other"),
            request([[np.nan] * 4], request_id="nan", model="fast"),
            fast(unreadable),
            pb.PredictRequest(model=pb.ModelSelector(name="fast")),
            fast("after"),
        )
        await call.done_writing()
        answers = {answer.request_id: answer async for answer in call}
        assert len(answers) == 6
        made = next(iter(answers.keys() - {"before", "unknown", "nan", unreadable, "after"}))
        assert len(made) == 32
        codes = {name: answer.error.code for name, answer in answers.items()}
        assert codes == {"before": 0, "unknown": 5, "nan": 3, unreadable: 3, made: 3, "after": 0}
        assert answers["unknown"].error.message.startswith('there is no model "other"')
        assert not answers["unknown"].error.HasField("retry_after_s")
        assert len(await serving.log.ended(6)) == 6


async def test_a_full_queue_is_told_with_the_time_to_try_again(
    tmp_path: Path, slow: GatedBackend
) -> None:
    async with both(tmp_path, slow) as serving:
        call = serving.stub.PredictStream()
        waiting = [gated_request(rows=4, request_id=str(number)) for number in range(5)]
        await send(call, waiting[0])
        await slow.entered(WARM_UPS + 1)
        await send(call, *waiting[1:])
        await until(lambda: serving.waiting_rows("slow") == 16)
        await send(call, gated_request(request_id="refused"))
        answer = await call.read()
        assert (answer.request_id, answer.error.code) == ("refused", 8)
        assert answer.error.retry_after_s > 0
        slow.release(5)
        await call.done_writing()
        assert sorted(await rest(call)) == list("01234")


async def test_no_more_than_the_window_is_read_before_it_is_answered(
    tmp_path: Path, slow: GatedBackend
) -> None:
    async with both(tmp_path, slow, stream_window=2) as serving:
        call = serving.stub.PredictStream()
        await send(call, *(gated_request(request_id=str(n), rows=4) for n in range(4)))
        await slow.entered(WARM_UPS + 1)
        await until(lambda: serving.waiting_rows("slow") == 4)
        # Another RPC goes all the way while the stream's third request stays unread.
        for _ in range(3):
            await serving.stub.Predict(fast(""))
        assert serving.waiting_rows("slow") == 4
        slow.release()
        assert (await call.read()).request_id == "0"
        await slow.entered(WARM_UPS + 2)
        await until(lambda: serving.waiting_rows("slow") == 4)
        slow.release(3)
        await call.done_writing()
        assert await rest(call) == ["1", "2", "3"]


async def test_a_half_closed_stream_ends_after_its_last_answer(
    tmp_path: Path, slow: GatedBackend
) -> None:
    async with both(tmp_path, slow) as serving:
        call = serving.stub.PredictStream()
        await send(call, gated_request(request_id="a"))
        await call.done_writing()
        await slow.entered(WARM_UPS + 1)
        assert not call.done()
        slow.release()
        assert [answer.request_id async for answer in call] == ["a"]
        assert await call.code() is grpc.StatusCode.OK


async def test_a_stream_without_requests_ends_at_once(tmp_path: Path, slow: GatedBackend) -> None:
    async with both(tmp_path, slow) as serving:
        call = serving.stub.PredictStream()
        await call.done_writing()
        assert [answer async for answer in call] == []
        assert await call.code() is grpc.StatusCode.OK
        assert serving.log.requests() == []


async def test_cancelling_a_stream_cancels_its_work_and_frees_the_queue(
    tmp_path: Path, slow: GatedBackend
) -> None:
    async with both(tmp_path, slow, max_streams=1) as serving:
        call = serving.stub.PredictStream()
        await send(call, *(gated_request(request_id=str(n), rows=4) for n in range(3)))
        await slow.entered(WARM_UPS + 1)
        await until(lambda: serving.waiting_rows("slow") == 8)
        call.cancel()
        await until(lambda: serving.waiting_rows("slow") == 0)
        assert await serving.log.ended(3) == ["CANCELLED"] * 3
        slow.release()
        again = serving.stub.PredictStream()
        await send(again, fast("again"))
        assert (await again.read()).request_id == "again"
        again.cancel()
        assert not serving.log.unforeseen()


def _one_waits_for_the_other(serving: Running, slow: GatedBackend) -> bool:
    return slow.executions > WARM_UPS and serving.waiting_rows("slow") == 4


async def test_a_deadline_ends_the_stream_and_each_of_its_requests(tmp_path: Path) -> None:
    for timeout_s in longer(0.2):
        slow = GatedBackend(1)
        async with both(tmp_path / f"{timeout_s}", slow) as serving:
            await serving.stub.Predict(fast(""))  # connects
            call = serving.stub.PredictStream(timeout=timeout_s)
            with suppress(aio.AioRpcError, asyncio.InvalidStateError):  # it may be over already
                await send(call, gated_request(rows=4), gated_request(rows=4))
            came = await comes(partial(_one_waits_for_the_other, serving, slow), call)
            assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            codes = await serving.log.ended(3) if came else []
            assert not serving.log.unforeseen()
        # Requests that came slowly may look as if their caller went away.
        if codes == ["OK", "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"]:
            break


async def test_more_streams_than_the_limit_are_refused(tmp_path: Path, slow: GatedBackend) -> None:
    async with both(tmp_path, slow, max_streams=1) as serving:
        first = serving.stub.PredictStream()
        await send(first, fast("a"))
        await first.read()
        error = await failure(serving.stub.PredictStream().read())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.details() == "1 streams are open already"
        assert int(trailer(error)["grpc-retry-pushback-ms"]) == 1000
        assert len(trailer(error)["x-request-id"]) == 32
        await first.done_writing()
        assert await first.code() is grpc.StatusCode.OK
        second = serving.stub.PredictStream()
        await send(second, fast("b"))
        assert (await second.read()).request_id == "b"
        second.cancel()
        assert await serving.log.ended(3) == ["OK", "RESOURCE_EXHAUSTED", "OK"]


async def test_a_draining_server_answers_what_it_has_read_and_ends_the_stream(
    tmp_path: Path, slow: GatedBackend
) -> None:
    async with both(tmp_path, slow) as serving:
        call = serving.stub.PredictStream()
        await send(call, gated_request(request_id="read"))
        await slow.entered(WARM_UPS + 1)
        draining = asyncio.ensure_future(serving.server.drain())
        await until(serving.server.streams._draining.is_set)
        await settle_loop()
        assert not draining.done()
        slow.release()
        assert (await call.read()).request_id == "read"
        error = await failure(call.read())
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert error.details() == "the server is going away; send the rest to another one"
        assert await draining
        assert await serving.log.ended(2) == ["OK", "UNAVAILABLE"]


async def test_draining_ends_an_idle_stream_and_one_whose_window_is_full(
    tmp_path: Path, slow: GatedBackend
) -> None:
    async with both(tmp_path, slow, stream_window=1) as serving:
        idle, full = serving.stub.PredictStream(), serving.stub.PredictStream()
        await send(idle, fast("a"))
        await idle.read()
        await send(full, gated_request(request_id="b"), fast("unread"))
        await slow.entered(WARM_UPS + 1)
        draining = asyncio.ensure_future(serving.server.drain())
        assert (await failure(idle.read())).code() is grpc.StatusCode.UNAVAILABLE
        slow.release()
        assert (await full.read()).request_id == "b"
        assert (await failure(full.read())).code() is grpc.StatusCode.UNAVAILABLE
        assert await draining


async def test_a_caller_that_reads_nothing_does_not_block_other_streams(
    tmp_path: Path, slow: GatedBackend
) -> None:
    async with both(tmp_path, slow) as serving:
        deaf = serving.stub.PredictStream()
        # With the other's fewer than the queue holds, should all come before the device wakes.
        await send(deaf, *(fast(str(number)) for number in range(12)))
        other = serving.stub.PredictStream()
        await send(other, fast("other"))
        assert (await other.read()).request_id == "other"
        assert await serving.log.ended(13) == ["OK"] * 13
        deaf.cancel()
        other.cancel()
