"""What the wire promises holds over devices that are processes: the essence of tests/wire.

There a test opens each execution by hand; here it stops the process that executes, and lets it go
on. One server for each front.
"""

import asyncio
import io
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image

from batchproof.v1 import prediction_pb2 as pb
from support.patience import longer
from system.bundles import EMBEDDED, samples
from system.conftest import Serve
from system.device_children import held
from system.process import SERVING, ServerProcess, started, until
from system.traffic import Outcome, ask, ask_stream, bits, code_of, connected, images, tensors

FRONTS: Final = ("completion_queue", "grpc_aio")
MAX_WAITING: Final = 32
_LOOKS: Final = 10
MAX_BYTES: Final = 1 << 20
IN_FLIGHT: Final = 32
PICTURES: Final = samples()
MODEL: Final = {"model": "fashion-mnist", "version": "1"}
VARIABLES: Final = {
    "BATCHPROOF_DEVICES__KIND": "process",
    "BATCHPROOF_EXECUTION__MAX_EXECUTION_S": "600",
    "BATCHPROOF_SELF_CHECK__SHARE": "0",
    "BATCHPROOF_RPC__MAX_MESSAGE_BYTES": str(MAX_BYTES),
}


def _variables(front: str, max_waiting: int) -> dict[str, str]:
    return VARIABLES | {
        "BATCHPROOF_SERVER__FRONT": front,
        "BATCHPROOF_BATCHING__MAX_QUEUED_ROWS": str(max_waiting),
    }


@pytest.fixture(scope="module", params=FRONTS)
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """The embedded model in a process of its own, behind each front."""
    with started(EMBEDDED, variables=_variables(request.param, MAX_WAITING)) as server:
        yield server.wait_serving()


@pytest.fixture(scope="module")
def truth(embedded: ServerProcess) -> list[bytes]:
    """The bits of every picture, alone, of a server that executes in threads of its own."""
    return asyncio.run(_alone(embedded))


async def _alone(server: ServerProcess) -> list[bytes]:
    async with connected(server.grpc) as stub:
        return [_bits(await ask(stub, images([picture]))) for picture in PICTURES]


def _bits(outcome: Outcome) -> bytes:
    assert outcome.answer is not None, outcome
    (row,) = outcome.answer.rows
    return bits(row)


def _row(number: int, request_id: str = "") -> pb.PredictRequest:
    """A request of the row that a picture comes to; pictures would wait to be decoded."""
    levels = np.asarray(Image.open(io.BytesIO(PICTURES[number % len(PICTURES)])), np.float32)
    return tensors((levels * np.float32(1 / 255)).reshape(1, 28, 28, 1), request_id)


async def _waiting(server: ServerProcess, stub: Any, rows: int) -> "list[asyncio.Task[Outcome]]":
    """Asks for the pictures' rows in turn until so many wait; the device is held.

    One after the other until one of them waits: those before it are being executed.
    """
    asked: list[asyncio.Task[Outcome]] = []

    def ask_next() -> None:
        asked.append(asyncio.create_task(ask(stub, _row(len(asked)))))

    while not (waiting := await _queued(server)):
        ask_next()
        for _ in range(_LOOKS):
            if await _queued(server):
                break
    for _ in range(rows - waiting):
        ask_next()
    while await _queued(server) < rows:
        pass
    return asked


async def _queued(server: ServerProcess) -> int:
    metrics = await asyncio.to_thread(server.metrics)
    return int(metrics.of("batchproof_queue_rows", **MODEL))


async def test_every_picture_has_the_bits_of_a_thread_device_alone_and_in_company(
    server: ServerProcess, truth: list[bytes]
) -> None:
    assert await _alone(server) == truth
    async with connected(server.grpc) as stub:
        together = (await stub.Predict(images(PICTURES[:MAX_WAITING]))).rows
        answers, code = await ask_stream(stub, [images([each]) for each in PICTURES])
    assert [bits(row) for row in together] == truth[:MAX_WAITING]
    assert code == "OK"
    assert sorted(bits(each.response.rows[0]) for each in answers) == sorted(truth)


async def test_large_messages_are_answered_and_larger_ones_refused_as_are_bytes_that_are_none(
    server: ServerProcess, truth: list[bytes]
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (780, 780), np.uint8)
    Image.fromarray(pixels).save(large := io.BytesIO(), "PNG")
    assert 600_000 < len(large.getvalue()) < MAX_BYTES
    async with connected(server.grpc) as stub:
        assert (await ask(stub, images([large.getvalue()]))).code == "OK"
        assert (await ask(stub, images([bytes(MAX_BYTES + 1)]))).code == "RESOURCE_EXHAUSTED"
        refused = await ask(stub, images([b"no picture"]))
        assert (refused.code, "format" in refused.text) == ("INVALID_ARGUMENT", True)
        unread = pb.PredictRequest()
        unread.MergeFromString(b"\xfa\x7f\x04what")  # a field that nobody knows
        assert (await ask(stub, unread)).code == "INVALID_ARGUMENT"
        assert _bits(await ask(stub, images([PICTURES[0]]))) == truth[0]


async def test_a_deadline_ends_a_request_that_waits_and_no_other(
    server: ServerProcess, truth: list[bytes]
) -> None:
    async with connected(server.grpc) as stub:
        with held(server):
            asked = await _waiting(server, stub, 2)
            timeout_s = next(longer())
            late = await ask(stub, _row(0), timeout_s=timeout_s)
            unread = await ask(stub, images([PICTURES[0]]), timeout_s=timeout_s)
        answered = await asyncio.gather(*asked)
    assert {late.code, unread.code} == {"DEADLINE_EXCEEDED"}
    for number, outcome in enumerate(answered):
        assert _bits(outcome) == truth[number % len(PICTURES)]


async def test_callers_who_go_while_they_wait_or_are_executed_change_no_answer(
    server: ServerProcess, truth: list[bytes]
) -> None:
    async with connected(server.grpc) as stub:
        with held(server):
            asked = await _waiting(server, stub, 5)
            # Some are decoded, and more wait for that.
            asked += [
                asyncio.create_task(ask(stub, images([each])))
                for each in PICTURES[len(asked) :][:9]
            ]
            await asyncio.sleep(0)
            gone = asked[::2]  # the first is being executed
            for each in gone:
                each.cancel()
            await asyncio.wait(gone)
        stayed = {number: each for number, each in enumerate(asked) if not each.cancelled()}
        assert len(stayed) == len(asked) - len(gone)
        for number, outcome in stayed.items():
            assert _bits(await outcome) == truth[number % len(PICTURES)]
    server.metrics_when("nobody waits", lambda now: not now.of("batchproof_queue_rows", **MODEL))


async def test_who_finds_no_room_is_told_when_to_come_again_and_the_others_are_answered(
    server: ServerProcess, truth: list[bytes]
) -> None:
    async with connected(server.grpc) as stub:
        with held(server):
            asked = await _waiting(server, stub, MAX_WAITING)
            refused = [await ask(stub, send) for send in (_row(0), _row(1), images(PICTURES[:1]))]
        answered = await asyncio.gather(*asked)
    assert {each.code for each in refused} == {"RESOURCE_EXHAUSTED"}
    assert all("grpc-retry-pushback-ms" in dict(each.metadata) for each in refused)
    for number, outcome in enumerate(answered):
        if outcome.code != "RESOURCE_EXHAUSTED":  # one more may have come than there was room
            assert _bits(outcome) == truth[number % len(PICTURES)]
    assert Counter(each.code for each in answered)["OK"] >= MAX_WAITING


async def test_a_stream_that_waits_for_a_device_gets_an_answer_to_each_of_its_requests(
    server: ServerProcess, truth: list[bytes]
) -> None:
    requests = [_row(number, str(number)) for number in range(8)]
    async with connected(server.grpc) as stub:
        with held(server):
            streaming = asyncio.create_task(ask_stream(stub, requests))
            await _waiting(server, stub, 1)
        answers, code = await streaming
    assert (code, {code_of(each) for each in answers}) == ("OK", {"OK"})
    found = {int(each.request_id): bits(each.response.rows[0]) for each in answers}
    assert found == dict(enumerate(truth[:8]))


@pytest.mark.parametrize("front", FRONTS)
async def test_a_drain_with_32_in_flight_loses_no_answer(
    serve: Serve, truth: list[bytes], front: str
) -> None:
    server = serve(EMBEDDED, variables=_variables(front, 2 * IN_FLIGHT)).wait_serving()
    async with connected(server.grpc) as stub:
        with held(server):
            asked = await _waiting(server, stub, IN_FLIGHT)
            server.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(until, "it drains", lambda: server.health() != SERVING)
        answered = await asyncio.gather(*asked)
    for number, outcome in enumerate(answered):
        assert _bits(outcome) == truth[number % len(PICTURES)]
    assert await asyncio.to_thread(server.wait_exit) == 0
