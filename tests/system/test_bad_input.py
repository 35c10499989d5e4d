"""Requests that can never succeed: the right code, a helpful sentence, and no lasting trace."""

import asyncio
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from batchproof.v1 import prediction_pb2 as pb
from system.bundles import encoded, samples, write_image_model
from system.conftest import Serve
from system.process import ServerProcess
from system.traffic import ask, connected, images, tensors

PNG = encoded("PNG")
JPEG = encoded("JPEG")
ROWS = np.zeros((2, 28, 28, 1), np.float32)

# Measured after a warm-up; the allocator's arenas and the metrics' series are reached by then.
BAD_REQUESTS = 3_000
GROWTH_BYTES = 24 << 20


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def _huge_png() -> bytes:
    """A PNG of 50,000 x 50,000 pixels in less than 100 bytes."""
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    parts = [_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(b"")), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _not_finite() -> np.typing.NDArray[np.float32]:
    rows = ROWS.copy()
    rows[1, 3, 4, 0] = np.nan
    return rows


def _short() -> pb.PredictRequest:
    request = tensors(ROWS)
    request.tensors.tensors["image"].content = b"\0" * 12
    return request


def _with(request: pb.PredictRequest, **fields: Any) -> pb.PredictRequest:
    request.MergeFrom(pb.PredictRequest(**fields))
    return request


@dataclass(frozen=True)
class Bad:
    """A request, the code that it deserves, and words of the sentence: what came, what was due."""

    name: str
    request: pb.PredictRequest
    code: str
    words: tuple[str, ...]


INVALID = "INVALID_ARGUMENT"
BAD = [
    Bad("truncated png", images([PNG[:-40]]), INVALID, ("png", "truncated")),
    Bad("truncated jpeg", images([JPEG[:-40]]), INVALID, ("jpeg", "truncated")),
    Bad("truncated header", images([PNG[:20]]), INVALID, ("png", "ends inside its header")),
    Bad("empty picture", images([b""]), INVALID, ("empty", "jpeg or png")),
    Bad("text", images([b"a picture of a cat"]), INVALID, ("unknown format", "jpeg or png")),
    Bad("pdf", images([b"%PDF-1.7\n%..."]), INVALID, ("pdf", "jpeg or png")),
    Bad("zip", images([b"PK\x03\x04" + b"\0" * 60]), INVALID, ("unknown format", "jpeg or png")),
    Bad("huge header", images([_huge_png()]), INVALID, ("50000 x 50000", "at most 40000000")),
    Bad("the second of three", images([PNG, b"", PNG]), INVALID, ("image 1", "empty")),
    Bad("no picture", images([]), INVALID, ("0 rows", "1 or more")),
    Bad("too many", images([PNG] * 257), INVALID, ("257 rows", "at most 256")),
    Bad("no input", pb.PredictRequest(), INVALID, ("no input", "images or tensors")),
    Bad("shape", tensors(ROWS[:, :5]), INVALID, ("5, 28, 1", "28, 28, 1")),
    Bad("a row without its axis", tensors(ROWS[0]), INVALID, ("28, 28, 1",)),
    Bad("scalar", tensors(np.float32(1) * np.ones((), np.float32)), INVALID, ("28, 28, 1",)),
    Bad("dtype", tensors(ROWS.astype(np.uint8)), INVALID, ("uint8", "float32")),
    Bad("name", tensors(ROWS, name="pixels"), INVALID, ("pixels", "image")),
    Bad("no tensor", pb.PredictRequest(tensors=pb.NamedTensors()), INVALID, ("image",)),
    Bad("zero rows", tensors(ROWS[:0]), INVALID, ("0 rows", "1 or more")),
    Bad("too many rows", tensors(np.zeros((257, 28, 28, 1), np.float32)), INVALID, ("257", "256")),
    Bad("not a number", tensors(_not_finite()), INVALID, ("NaN", "row 1", "finite")),
    Bad("short content", _short(), INVALID, ("12 bytes", "6272")),
    Bad("unknown model", images([PNG], model="cats"), "NOT_FOUND", ('"cats"', '"pictures"')),
    Bad(
        "unknown version",
        _with(images([PNG]), model=pb.ModelSelector(name="pictures", version=7)),
        "NOT_FOUND",
        ("version 7", "its versions: 1"),
    ),
    Bad(
        "unknown label",
        _with(images([PNG]), model=pb.ModelSelector(name="pictures", label="stable")),
        "NOT_FOUND",
        ('"stable"', "none"),
    ),
    Bad(
        "unknown policy",
        _with(images([PNG]), options=pb.PredictOptions(tta=pb.TestTimeAugmentation(policy="d5"))),
        INVALID,
        ('options.tta: unknown policy "d5"', "one of none, flip, d4"),
    ),
    Bad("request id", images([PNG], "a\nb"), INVALID, ("request_id", "printable ASCII")),
    Bad("long request id", images([PNG], "a" * 129), INVALID, ("129", "128")),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
async def test_a_bad_request_is_told_what_came_and_what_was_expected(
    exact: ServerProcess, bad: Bad
) -> None:
    async with connected(exact.grpc) as stub:
        outcome = await ask(stub, bad.request)
        assert outcome.code == bad.code, outcome.text
        for word in bad.words:
            assert word in outcome.text
        assert (await ask(stub, images([PNG]))).code == "OK"


def test_the_huge_picture_is_small() -> None:
    assert len(_huge_png()) <= 100


async def test_a_message_above_the_limit_is_refused_with_both_sizes(
    serve: Serve, tmp_path: Path
) -> None:
    write_image_model(tmp_path / "pictures" / "1")
    limit = {"BATCHPROOF_RPC__MAX_MESSAGE_BYTES": "100_000"}
    server = serve(tmp_path, variables=limit).wait_serving()
    async with connected(server.grpc) as stub:
        outcome = await ask(stub, images([b"x" * 100_000]))
        assert outcome.code == "RESOURCE_EXHAUSTED"
        assert "larger than max" in outcome.text
        assert "100000" in outcome.text
        assert (await ask(stub, images([PNG]))).code == "OK"


async def test_thousands_of_bad_requests_do_not_grow_the_process(exact: ServerProcess) -> None:
    memory = psutil.Process(exact.process.pid)
    async with connected(exact.grpc) as stub:
        await _send_bad(stub, BAD_REQUESTS)
        before_bytes = memory.memory_info().rss
        await _send_bad(stub, BAD_REQUESTS)
        grown_bytes = memory.memory_info().rss - before_bytes
        assert (await ask(stub, images(samples()))).code == "OK"
    assert grown_bytes < GROWTH_BYTES


async def _send_bad(stub: Any, count: int) -> None:
    """Sends bad requests of all kinds, 32 at the same time."""
    slots = asyncio.Semaphore(32)

    async def send(bad: Bad) -> None:
        async with slots:
            assert (await ask(stub, bad.request)).code == bad.code

    await asyncio.gather(*(send(BAD[number % len(BAD)]) for number in range(count)))


def test_callers_errors_leave_no_traceback_and_no_picture_in_the_log(exact: ServerProcess) -> None:
    assert exact.process.poll() is None
    text = "\n".join(exact.err)
    assert "Traceback" not in text
    assert "a picture of a cat" not in text
