"""What operators see: the HTTP pages, the metrics and the log."""

import json
from pathlib import Path

import numpy as np
import pytest

from system.bundles import encoded, write_affine, write_image_model
from system.conftest import Serve
from system.process import Samples, ServerProcess, until
from system.traffic import ask, ask_stream, connected, images, tensors

PNG = encoded("PNG")
TEXT = b"SECRET picture"


@pytest.fixture
def server(serve: Serve, tmp_path: Path) -> ServerProcess:
    """A server that nobody has asked anything yet."""
    write_image_model(tmp_path / "pictures" / "1")
    return serve(tmp_path).wait_serving()


def _count(samples: Samples, family: str, **labels: str) -> float:
    """Of the family of this model."""
    return samples.of(f"batchproof_{family}", model="pictures", version="1", **labels)


async def test_the_metrics_count_known_traffic(server: ServerProcess) -> None:
    before = server.metrics()
    assert ("batchproof_requests_total", _LABELS_OF_OK) in before.values
    assert _count(before, "requests_total", method="Predict", code="OK") == 0
    assert _count(before, "model_ready") == 1
    async with connected(server.grpc) as stub:
        for _ in range(5):
            assert (await ask(stub, images([PNG]))).code == "OK"
        assert (await ask(stub, images([PNG] * 3))).code == "OK"
        assert (await ask(stub, images([TEXT]))).code == "INVALID_ARGUMENT"
        members, code = await ask_stream(stub, [images([PNG], str(n)) for n in range(4)])
        assert (len(members), code) == (4, "OK")
    after = server.metrics_when(
        "every answer is counted",
        lambda now: (
            _count(now, "requests_total", method="Predict", code="OK") == 6
            and _count(now, "requests_total", method="PredictStream", code="OK") == 4
        ),
    )
    assert _count(after, "requests_total", method="Predict", code="INVALID_ARGUMENT") == 1
    assert _count(after, "requests_total", method="PredictStream", code="INTERNAL") == 0
    assert _count(after, "request_duration_seconds_count", method="Predict") == 7
    assert _count(after, "queue_delay_seconds_count") == 10
    assert after.of("batchproof_decode_seconds_count", format="png") == 12
    assert after.of("process_resident_memory_bytes") > 0
    assert _count(after, "queue_rows") == 0
    _check_batches(after)


_LABELS_OF_OK = frozenset(
    {"model": "pictures", "version": "1", "method": "Predict", "code": "OK"}.items()
)


def _check_batches(after: Samples) -> None:
    """12 rows: 1 five times, 3 once, and 4 of a stream in one to four micro-batches."""
    executions = _count(after, "micro_batch_rows_count")
    assert 7 <= executions <= 10
    assert _count(after, "micro_batch_rows_sum") == 12
    by_bucket = {n: _count(after, "execution_seconds_count", bucket=str(n)) for n in (1, 2, 4)}
    assert sum(by_bucket.values()) == executions
    executed_rows = sum(rows * count for rows, count in by_bucket.items())
    assert _count(after, "padding_rows_total") == executed_rows - 12


def test_pages_that_are_not_there_are_not_found(server: ServerProcess) -> None:
    assert server.get("/livez")[0] == 200
    assert server.get("/readyz")[0] == 200
    assert server.get("/")[0] == 404
    assert server.get("/metrics/..")[0] == 404


async def test_a_request_id_is_echoed_and_logged(server: ServerProcess) -> None:
    async with connected(server.grpc) as stub:
        given = await ask(stub, images([PNG], "my request"))
        made = await ask(stub, images([PNG]))
        refused = await ask(stub, images([TEXT], "my mistake"))
    assert given.answer is not None
    assert given.answer.request_id == "my request"
    assert made.answer is not None
    assert len(made.answer.request_id) >= 16
    assert ("x-request-id", "my mistake") in refused.metadata
    records = server.finished(3)
    logged = [(record["request_id"], record["code"]) for record in records]
    made_id = made.answer.request_id
    assert logged == [("my request", "OK"), (made_id, "OK"), ("my mistake", "INVALID_ARGUMENT")]
    assert records[2]["message"] == refused.text


async def test_whatever_callers_send_the_log_stays_lines_of_json(server: ServerProcess) -> None:
    forged = 'x"}\n{"event": "forged", "level": "error"}'
    separators = "a\u2028b\u0085c\rd\x1b[31m"
    async with connected(server.grpc) as stub:
        for text in (forged, separators, "a" * 5_000):
            assert (await ask(stub, images([PNG], text))).code == "INVALID_ARGUMENT"
            assert (await ask(stub, images([PNG], model=text))).code == "NOT_FOUND"
            assert (await ask(stub, tensors(np.ones(3), name=text))).code == "INVALID_ARGUMENT"
        assert (await ask(stub, images([TEXT, PNG]))).code == "INVALID_ARGUMENT"
    assert len(server.finished(10)) == 10
    for line in server.err:
        assert json.loads(line)["event"] != "forged"
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 2_000
    text = "".join(server.err)
    assert "SECRET" not in text
    assert "Traceback" not in text


@pytest.fixture
def console(serve: Serve, tmp_path: Path) -> ServerProcess:
    """A server with logs for reading."""
    write_affine(tmp_path / "exact" / "1")
    return serve(tmp_path, "--log-format", "console").wait_serving()


async def test_callers_cannot_forge_lines_for_reading_either(console: ServerProcess) -> None:
    async with connected(console.grpc) as stub:
        outcome = await ask(stub, images([PNG], model="x\nforged line"))
    assert outcome.code == "NOT_FOUND"
    until("it is logged", lambda: any("request finished" in line for line in console.err))
    assert not [line for line in console.err if line.startswith("forged")]
