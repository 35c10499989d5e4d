"""Several models behind one port: versions, labels, bad neighbours, and who waits for whom."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof.tensors import from_proto
from batchproof.v1 import prediction_pb2 as pb
from support.patience import attempts, longer
from system.bundles import encoded
from system.process import NOT_SERVING, SERVING, Record, ServerProcess, started, until
from system.traffic import Outcome, ask, connected, images, tensors
from system.zoo import write_zoo

ROW = np.array([[0, 1, 2, 3]], np.float32)
LARGEST_BUCKET = 32
BUSY_REQUESTS = 12


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zoo on disk."""
    path = tmp_path_factory.mktemp("zoo")
    write_zoo(path)
    return path


@pytest.fixture(scope="module")
def zoo(repository: Path) -> Iterator[ServerProcess]:
    """The zoo, served; version 2 of "exact" is labelled."""
    settings = {"BATCHPROOF_VERSION_LABELS__EXACT__STABLE": "2"}
    with started(repository, variables=settings) as server:
        yield server.wait_serving()


def _chosen(**selection: Any) -> pb.PredictRequest:
    request = tensors(ROW)
    request.model.CopyFrom(pb.ModelSelector(name="exact", **selection))
    return request


def _work(rows: int, request_id: str = "") -> pb.PredictRequest:
    return tensors(np.full((rows, 1), 7, np.float32), request_id, model="slow", name="work")


@pytest.mark.parametrize(
    ("selection", "version"), [({}, 3), ({"version": 1}, 1), ({"label": "stable"}, 2)]
)
async def test_the_newest_good_version_answers_unless_another_is_named(
    zoo: ServerProcess, selection: dict[str, Any], version: int
) -> None:
    async with connected(zoo.grpc) as stub:
        outcome = await ask(stub, _chosen(**selection))
    assert outcome.answer is not None
    assert outcome.answer.provenance.version == version
    assert np.array_equal(from_proto(outcome.answer.outputs["scores"]), ROW * version + 1)


async def test_a_plain_tensorflow_serving_directory_answers_tensors_only(
    zoo: ServerProcess,
) -> None:
    rows = np.random.default_rng(3).random((5, 16, 16, 3), np.float32)
    async with connected(zoo.grpc) as stub:
        together = await ask(stub, tensors(rows, model="exported"))
        alone = await ask(stub, tensors(rows[2:3], model="exported"))
        picture = await ask(stub, images([encoded("PNG")], model="exported"))
    assert together.answer is not None
    assert alone.answer is not None
    scores = from_proto(together.answer.outputs["output_0"])
    assert scores.shape == (5, 5)
    assert scores[2].tobytes() == alone.answer.outputs["output_0"].content
    assert np.allclose(scores.sum(axis=1), 1)
    assert picture.code == "INVALID_ARGUMENT"
    assert "no recipe for images, expected input tensors" in picture.text


async def test_a_bad_version_says_why_and_stops_no_other(zoo: ServerProcess) -> None:
    async with connected(zoo.grpc) as stub:
        broken = await ask(stub, tensors(ROW, model="broken"))
        bad = await ask(stub, _chosen(version=4))
        unnamed = await ask(stub, tensors(ROW))
        states = {
            (model.name, model.version): pb.ModelState.Name(model.state)
            for model in (await stub.ListModels(pb.ListModelsRequest())).models
        }
    assert broken.code == bad.code == "FAILED_PRECONDITION"
    assert "absent.txt" in broken.text
    assert "batchproof.toml: format: unknown 4, one of 1" in bad.text
    assert unnamed.code == "INVALID_ARGUMENT"
    assert '"exact", "exported", "slow"' in unnamed.text
    assert {place for place, state in states.items() if state == "MODEL_STATE_FAILED"} == {
        ("broken", 1),
        ("exact", 4),
    }
    assert len(states) == 7
    health = {name: zoo.health(name) for name in ("", "exact", "exported", "slow", "broken")}
    assert health.pop("broken") == NOT_SERVING
    assert set(health.values()) == {SERVING}


async def test_a_request_that_would_wait_beyond_its_deadline_is_refused_and_not_executed(
    zoo: ServerProcess,
) -> None:
    async with connected(zoo.grpc) as stub:
        for timeout_s in longer():
            request_id = f"late after {timeout_s} s"
            before = _executed(zoo)
            busy = await _occupied(zoo, stub)
            late = await ask(stub, _work(1, request_id), timeout_s=timeout_s)
            was_busy = not busy[-1].done()
            answers = await asyncio.gather(*busy)
            assert {answer.code for answer in answers} == {"OK"}
            # On a machine under load its time may be over before it comes.
            if was_busy and late.code != "DEADLINE_EXCEEDED":
                await _check_refused(zoo, late, request_id)
                assert _executed(zoo) - before == LARGEST_BUCKET * len(busy)
                break


async def _check_refused(zoo: ServerProcess, late: Outcome, request_id: str) -> None:
    assert late.code == "RESOURCE_EXHAUSTED"
    (record,) = await asyncio.to_thread(until, "it is logged", lambda: _logged(zoo, request_id))
    assert record["code"] == "RESOURCE_EXHAUSTED"


async def test_a_client_that_vanishes_changes_nothing_for_its_company(zoo: ServerProcess) -> None:
    async with connected(zoo.grpc) as stub:
        for number in attempts():
            request_id = f"leaving {number}"
            before = _executed(zoo)
            busy = await _occupied(zoo, stub)
            # All are one caller's, so that none of them is executed out of turn. One row beside 31
            # costs nothing more, whatever the server measured when it started.
            most_rows = _work(LARGEST_BUCKET - 1, request_id)
            leaving = asyncio.create_task(ask(stub, most_rows))
            staying = asyncio.create_task(ask(stub, _work(1)))
            # Both ride in the last micro-batch; it is being executed when nothing waits any more.
            await asyncio.gather(*busy)
            await asyncio.to_thread(until, "nothing waits", lambda: _waiting(zoo) == 0)
            leaving.cancel()
            neighbour = (await staying).answer
            assert neighbour is not None
            assert from_proto(neighbour.outputs["done"]).tolist() == [[7.0] * 512]
            await asyncio.to_thread(until, "it is logged", partial(_logged, zoo, request_id))
            # On a machine under load they may come too late to meet.
            if neighbour.provenance.executions[0].bucket_rows == LARGEST_BUCKET:
                # What was being executed when its caller left was executed with the others.
                await asyncio.to_thread(
                    until, "all ran", partial(_has_executed, zoo, before, BUSY_REQUESTS + 1)
                )
                break
    assert not [line for line in zoo.err if "Traceback" in line]


async def test_a_model_that_works_holds_up_no_other(zoo: ServerProcess) -> None:
    async with connected(zoo.grpc) as stub:
        for _ in attempts():  # on a machine under load this process may be the slow one
            busy = await _occupied(zoo, stub)
            assert (await ask(stub, _chosen())).code == "OK"
            answered_meanwhile = not busy[-1].done()
            assert {answer.code for answer in await asyncio.gather(*busy)} == {"OK"}
            if answered_meanwhile:
                break


async def test_when_the_grace_ends_first_the_exit_code_is_1(repository: Path) -> None:
    settings = {"BATCHPROOF_SERVER__GRACE_S": "0.1"}
    with started(repository / "slow", variables=settings) as server:
        server.wait_serving()
        async with connected(server.grpc) as stub:
            busy = await _occupied(server, stub)
            server.process.terminate()
            codes = {answer.code for answer in await asyncio.gather(*busy)}
        assert await asyncio.to_thread(server.wait_exit) == 1
        assert codes & {"UNAVAILABLE", "CANCELLED"}
        assert codes <= {"OK", "UNAVAILABLE", "CANCELLED"}


async def _occupied(server: ServerProcess, stub: Any) -> list["asyncio.Task[Outcome]"]:
    """Requests that each fill a micro-batch of the slow model; the last of them wait."""
    changes = [record for record in server.records("model changed") if record["model"] == "slow"]
    assert changes[-1]["state"] == "ready", changes
    busy = [asyncio.create_task(ask(stub, _work(LARGEST_BUCKET))) for _ in range(BUSY_REQUESTS)]
    # One is answered and the next is executed. Asking the server how many wait would take longer
    # on a busy machine than they do.
    await asyncio.wait(busy, return_when=asyncio.FIRST_COMPLETED)
    return busy


def _logged(server: ServerProcess, request_id: str) -> list[Record]:
    finished = server.records("request finished")
    return [record for record in finished if record["request_id"] == request_id]


def _waiting(server: ServerProcess) -> float:
    return server.metrics().of("batchproof_queue_rows", model="slow", version="1")


def _has_executed(server: ServerProcess, before: float, batches: int) -> bool:
    """Whether so many full micro-batches of the slow model ran since then."""
    return _executed(server) - before >= LARGEST_BUCKET * batches


def _executed(server: ServerProcess) -> float:
    """Rows of the slow model so far."""
    name = "batchproof_micro_batch_rows_sum"
    return server.metrics().of(name, model="slow", version="1")
