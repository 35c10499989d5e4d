"""Lists of any length: each picture once, in order, in requests within both limits."""

import asyncio
import io
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_client import (
    Execution,
    LocalInputError,
    Prediction,
    PredictRequest,
    PredictResult,
    Provenance,
    ScoredClass,
)
from batchproof_client.chunks import ask_in_chunks, is_list


class Server:
    """Answers each picture by its length, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, list[bytes]]] = []

    async def ask(self, request: PredictRequest, request_id: str) -> PredictResult:
        """One row for each picture."""
        images = request.image
        assert isinstance(images, list)
        self.asked.append((request_id, request.model, images))
        return PredictResult(
            rows=tuple(row(len(each)) for each in images),
            outputs={"y": np.zeros((len(images), 2), np.float32)},
            provenance=Provenance("m", 7, "", "", "fake", (Execution(len(images), 8, 0.0, 0.0),)),
            request_id=request_id,
        )


def row(index: int) -> Prediction:
    return Prediction((ScoredClass(index, "", 1.0),), None, None, 0.0, 0.0)


def asked(
    images: Sequence[bytes], rows: int, size_bytes: int
) -> tuple[PredictResult, Server, list[tuple[int, int]]]:
    server, told = Server(), list[tuple[int, int]]()
    request = PredictRequest(images, "m@stable")
    result = asyncio.run(
        ask_in_chunks(server.ask, request, "r", (rows, size_bytes), lambda *done: told.append(done))
    )
    return result, server, told


@given(
    st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=30),
    st.integers(0, 5),
    st.integers(1, 20),
)
def test_every_picture_is_asked_once_in_order_within_both_limits(
    images: list[bytes], rows: int, size_bytes: int
) -> None:
    result, server, told = asked(images, rows, size_bytes)
    chunks = [chunk for _, _, chunk in server.asked]
    assert [each for chunk in chunks for each in chunk] == images
    assert all(1 <= len(chunk) <= (rows or len(images)) for chunk in chunks)
    assert all(len(chunk) == 1 or sum(map(len, chunk)) <= size_bytes for chunk in chunks)
    assert [each.top.index for each in result.rows] == [len(each) for each in images]
    assert result.outputs["y"].shape == (len(images), 2)
    assert sum(each.rows for each in result.provenance.executions) == len(images)
    assert told[-1] == (len(images), len(images))


def test_the_version_that_answered_the_first_request_is_asked_for_the_rest() -> None:
    result, server, told = asked([b"a", b"bb", b"ccc"], 1, 99)
    assert [(own, model) for own, model, _ in server.asked] == [
        ("r", "m@stable"),
        ("r-2", "m:7"),
        ("r-3", "m:7"),
    ]
    assert result.request_id == "r"
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_picture_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(LocalInputError, match="no-such-file"):
        asyncio.run(
            ask_in_chunks(Server().ask, PredictRequest([b"a", "no-such-file"]), "r", (1, 99), None)
        )


@pytest.mark.parametrize("one", [b"ab", "ab", io.BytesIO(b"ab"), np.zeros((2, 2)), [b"a"], []])
def test_one_picture_and_one_array_are_no_list(one: object) -> None:
    assert not is_list(one)
    assert is_list([b"a", b"b"])
