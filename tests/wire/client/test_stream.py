import asyncio
from collections.abc import AsyncIterator, Iterator
from unittest.mock import AsyncMock, MagicMock

import grpc
import pytest

from batchproof.v1 import prediction_pb2 as pb
from batchproof_client import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    InvalidRequest,
    LocalInputError,
    PredictRequest,
    ServerBusy,
    ServerFailed,
    StreamAnswer,
    Unavailable,
)
from batchproof_client.streaming import Stream, Window
from support.patience import PATIENCE_S, longer
from wire.client.fake_server import Context, FakeServer, answer

Requests = Iterator[pb.PredictStreamRequest]
Responses = Iterator[pb.PredictStreamResponse]


def ask(count: int) -> list[PredictRequest]:
    return [PredictRequest(bytes([index]), request_id=f"r{index}") for index in range(count)]


def answered(request: pb.PredictRequest) -> pb.PredictStreamResponse:
    return pb.PredictStreamResponse(request_id=request.request_id, response=answer(request))


def failed(request_id: str, error: pb.Error) -> pb.PredictStreamResponse:
    return pb.PredictStreamResponse(request_id=request_id, error=error)


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.target) as opened:
        yield opened


async def test_answers_come_as_they_are_ready_and_are_matched_by_id(
    client: AsyncClient, server: FakeServer
) -> None:
    def backwards(requests: Requests, _context: Context) -> Responses:
        yield from (answered(each.request) for each in reversed(list(requests)))

    server.stream = backwards
    answers = [each async for each in client.predict_stream(ask(5))]
    assert [each.request_id for each in answers] == ["r4", "r3", "r2", "r1", "r0"]
    labels = [each.unwrap().top.label for each in answers]
    assert labels == ["bag", "boot", "shirt", "bag", "boot"]


async def test_a_request_that_fails_disturbs_no_other(
    client: AsyncClient, server: FakeServer
) -> None:
    broken = pb.Tensor(data_type=pb.DATA_TYPE_FLOAT32, shape=[2], content=b"12")

    def some_fail(requests: Requests, _context: Context) -> Responses:
        for each in requests:
            match each.request.request_id:
                case "r1":
                    yield failed("r1", pb.Error(code=3, message="not a picture"))
                case "r2":
                    yield failed("r2", pb.Error(code=8, message="full", retry_after_s=0.5))
                case "r3":
                    yield failed("r3", pb.Error(code=99, message="of the future"))
                case "r4":
                    yield pb.PredictStreamResponse(
                        request_id="r4", response=pb.PredictResponse(outputs={"y": broken})
                    )
                case _:
                    yield answered(each.request)

    server.stream = some_fail
    answers = {each.request_id: each async for each in client.predict_stream(ask(6))}
    assert type(answers["r1"].error) is InvalidRequest
    assert isinstance(answers["r2"].error, ServerBusy)
    assert answers["r2"].error.retry_after_s == 0.5
    assert type(answers["r3"].error) is ServerFailed
    assert type(answers["r4"].error) is ServerFailed
    assert answers["r0"].unwrap().top.label == "boot"
    assert answers["r5"].unwrap().top.label == "shirt"
    with pytest.raises(InvalidRequest, match="not a picture"):
        answers["r1"].unwrap()


async def test_a_local_fault_is_answered_without_the_server(client: AsyncClient) -> None:
    requests = [
        PredictRequest("no such file.png", request_id="gone"),
        PredictRequest(b"\x00", request_id="fine"),
        PredictRequest(b"\x00", request_id="bad\nid"),
    ]
    answers = {each.request_id: each async for each in client.predict_stream(requests)}
    assert isinstance(answers["gone"].error, LocalInputError)
    assert isinstance(answers["bad\nid"].error, LocalInputError)
    assert answers["fine"].unwrap().top.label == "boot"


async def test_the_same_id_twice_under_way_is_refused(
    client: AsyncClient, server: FakeServer
) -> None:
    def last(requests: Requests, _context: Context) -> Responses:
        yield from (answered(each.request) for each in list(requests))

    server.stream = last
    twice = [PredictRequest(b"\x00", request_id="same")] * 2
    answers = [each async for each in client.predict_stream(twice)]
    assert sorted(each.error is None for each in answers) == [False, True]


async def test_an_expired_request_fails_alone_and_the_stream_ends(
    client: AsyncClient, server: FakeServer
) -> None:
    def forgets(requests: Requests, _context: Context) -> Responses:
        for each in requests:
            if each.request.request_id != "r0":
                yield answered(each.request)
        server.released.wait()

    server.stream = forgets
    for timeout_s in longer(0.2):
        stream = client.predict_stream(ask(3), timeout_s=timeout_s)
        answers = {each.request_id: each async for each in stream}
        assert isinstance(answers["r0"].error, DeadlineExceeded)
        if not isinstance(answers["r1"].error or answers["r2"].error, DeadlineExceeded):
            assert answers["r1"].error is None
            assert answers["r2"].error is None
            break


async def test_an_answer_after_the_deadline_is_dropped(
    client: AsyncClient, server: FakeServer
) -> None:
    def late(requests: Requests, _context: Context) -> Responses:
        first = next(requests)
        yield answered(next(requests).request)  # sent when the first has expired
        yield answered(first.request)
        yield answered(next(requests).request)

    async def slowly(expired: asyncio.Event) -> AsyncIterator[PredictRequest]:
        first, second, third = ask(3)
        yield first
        await expired.wait()
        yield second
        yield third

    server.stream = late
    for timeout_s in longer(0.5):
        answers: list[StreamAnswer] = []
        first_expired = asyncio.Event()
        async for each in client.predict_stream(slowly(first_expired), timeout_s=timeout_s):
            answers.append(each)
            first_expired.set()
        assert [each.request_id for each in answers] == ["r0", "r1", "r2"]
        assert isinstance(answers[0].error, DeadlineExceeded)
        if not any(each.error for each in answers[1:]):
            break


async def test_the_window_bounds_what_is_taken_from_the_caller(
    client: AsyncClient, server: FakeServer
) -> None:
    taken = 0

    def count() -> Iterator[PredictRequest]:
        nonlocal taken
        for request in ask(20):
            taken += 1
            yield request

    done = 0
    async for _ in client.predict_stream(count(), max_in_flight=3):
        done += 1
        assert taken <= done + 3
    assert done == 20
    assert server.requests == []


async def test_a_request_may_be_made_of_the_answer_before_it(client: AsyncClient) -> None:
    done = 0

    def follow() -> Iterator[PredictRequest]:
        for number, request in enumerate(ask(5)):
            assert done == number
            yield request

    async for each in client.predict_stream(follow(), max_in_flight=1):
        assert each.error is None
        done += 1
    assert done == 5


async def test_leaving_early_cancels_the_call(client: AsyncClient, server: FakeServer) -> None:
    def watched(requests: Requests, context: Context) -> Responses:
        context.add_callback(server.released.set)
        yield from (answered(each.request) for each in requests)
        raise AssertionError("the call ended as if all was sent")

    async def endless() -> AsyncIterator[PredictRequest]:
        yield PredictRequest(b"\x00")
        await asyncio.Event().wait()

    server.stream = watched
    answers = client.predict_stream(endless())
    assert (await anext(answers)).error is None
    await answers.aclose()
    assert await asyncio.to_thread(server.released.wait, PATIENCE_S)


async def test_a_broken_call_raises(client: AsyncClient, server: FakeServer) -> None:
    def breaks(requests: Requests, context: Context) -> Responses:
        first, *_ = requests  # all are sent: a write to a call that ends would hide its status
        yield answered(first.request)
        context.abort(grpc.StatusCode.UNAVAILABLE, "going away")

    server.stream = breaks
    answers = client.predict_stream(ask(3))
    assert (await anext(answers)).request_id == "r0"
    with pytest.raises(Unavailable, match="going away"):
        await anext(answers)


WRITTEN_TOO_LATE = grpc.aio.AioRpcError(
    grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata(), "Internal error from Core"
)
"""As grpc.aio says of a write to a call whose end it has not told."""


async def test_a_write_to_a_call_that_has_ended_is_no_fault_of_the_server() -> None:
    call = MagicMock(spec=grpc.aio.StreamStreamCall)
    call.write = call.done_writing = AsyncMock(side_effect=WRITTEN_TOO_LATE)
    call.__aiter__.side_effect = WRITTEN_TOO_LATE
    prepare = AsyncMock(return_value=pb.PredictRequest())
    stream = Stream(call, prepare, Window(PATIENCE_S, 4))
    with pytest.raises(Unavailable, match="ended the stream while a request was sent"):
        await anext(stream.answers(_one_by_one(ask(2))))


async def _one_by_one(requests: list[PredictRequest]) -> AsyncIterator[PredictRequest]:
    for each in requests:
        yield each


async def test_a_server_that_ends_early_is_a_failure(
    client: AsyncClient, server: FakeServer
) -> None:
    def quits(requests: Requests, _context: Context) -> Responses:
        yield answered(next(requests).request)

    server.stream = quits
    with pytest.raises(ServerFailed, match="ended the stream"):
        _ = [each async for each in client.predict_stream(ask(3))]


async def test_the_callers_own_failure_reaches_the_caller(client: AsyncClient) -> None:
    def broken() -> Iterator[PredictRequest]:
        yield PredictRequest(b"\x00")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _ = [each async for each in client.predict_stream(broken())]


async def test_a_window_must_hold_1(client: AsyncClient) -> None:
    with pytest.raises(LocalInputError, match="max_in_flight is 0"):
        await anext(client.predict_stream([], max_in_flight=0))


async def test_a_stream_without_requests_ends(client: AsyncClient) -> None:
    assert [each async for each in client.predict_stream([])] == []


def test_the_synchronous_face_streams_too(server: FakeServer) -> None:
    with Client(server.target) as client:
        answers = {each.request_id: each for each in client.predict_stream(ask(40))}
    assert len(answers) == 40
    assert answers["r4"].unwrap().top.label == "bag"


def test_the_synchronous_stream_may_be_left_early(server: FakeServer) -> None:
    with Client(server.target) as client:
        answers = client.predict_stream(ask(40), max_in_flight=2)
        assert next(iter(answers)).error is None
        answers.close()
        assert client.predict(b"\x00").top.label == "boot"


def test_an_answer_without_an_outcome_is_an_error() -> None:
    with pytest.raises(Exception, match="no answer"):
        StreamAnswer("r").unwrap()
