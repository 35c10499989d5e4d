"""Recorded requests of TensorFlow Serving: read, executed, and refused where they are not good."""

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof.compat import tensorflow_serving_pb2 as pb
from batchproof_server.base.errors import BackendFailed, ModelRefused
from batchproof_server.base.signature import Signature, Tensors, TensorSpec
from batchproof_server.models.recorded import execute_recorded
from batchproof_server.rpc.contents import LARGE_BYTES
from batchproof_server.rpc.tensorflow_serving.tensors import write_tensor
from batchproof_server.rpc.tensorflow_serving.warm_up import (
    WARM_UP_NAME,
    masked_checksum,
    read_warm_up,
    records_of,
)
from support.compat_requests import content

FLOAT = np.dtype(np.float32)
SIGNATURE = Signature((TensorSpec("x", FLOAT, (2,)),), (TensorSpec("y", FLOAT, (2,)),))


def framed(*records: bytes) -> bytes:
    """A TFRecord file."""
    written = b""
    for record in records:
        length = struct.pack("<Q", len(record))
        head = length + struct.pack("<I", masked_checksum(length))
        written += head + record + struct.pack("<I", masked_checksum(record))
    return written


def log(array: Any = ((1, 2),), name: str = "x", signature: str = "") -> bytes:
    """One record."""
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name="m", signature_name=signature))
    write_tensor(request.inputs[name], np.asarray(array, np.float32))
    return pb.PredictionLog(predict_log=pb.PredictLog(request=request)).SerializeToString()


def log_of_content(array: Any) -> bytes:
    """One record, whose numbers are bytes."""
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name="m"), inputs={"x": content(array)})
    return pb.PredictionLog(predict_log=pb.PredictLog(request=request)).SerializeToString()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    """Writes the file of a bundle."""

    def write(content: bytes) -> Path:
        file = tmp_path / WARM_UP_NAME
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        return tmp_path

    return write


def finding(bundle: Path) -> str:
    """Why its records are refused."""
    with pytest.raises(ModelRefused) as refused:
        list(read_warm_up(bundle, SIGNATURE))
    return refused.value.findings[0]


def test_the_checksum_is_that_of_the_standard() -> None:
    crc = 0xE3069283  # of "123456789", RFC 3720
    assert masked_checksum(b"123456789") == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & (2**32 - 1)


def test_the_requests_are_read_in_their_order(write: Callable[[bytes], Path]) -> None:
    bundle = write(framed(log(), log([[3, 4], [5, 6]], signature="serving_default")))
    one, two = read_warm_up(bundle, SIGNATURE)
    assert one["x"].tolist() == [[1, 2]]
    assert two["x"].tolist() == [[3, 4], [5, 6]]


def test_a_request_that_is_large_is_read_as_the_others(write: Callable[[bytes], Path]) -> None:
    array = np.arange(LARGE_BYTES // 4, dtype=np.float32).reshape(1, -1)
    bundle = write(framed(log_of_content(array)))
    wide = TensorSpec("x", FLOAT, (LARGE_BYTES // 4,))
    (read,) = read_warm_up(bundle, Signature((wide,), SIGNATURE.outputs))
    np.testing.assert_array_equal(read["x"], array)


def test_a_bundle_without_records_has_none(tmp_path: Path) -> None:
    assert list(read_warm_up(tmp_path, SIGNATURE)) == []
    (tmp_path / WARM_UP_NAME).parent.mkdir()
    os.mkfifo(tmp_path / WARM_UP_NAME)  # nobody waits for it
    assert list(read_warm_up(tmp_path, SIGNATURE)) == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (framed(log())[:5], "record 1: the file ends within its length"),
        (framed(log())[:-1], "record 1: the file ends within it"),
        (framed(log(), log())[:-1], "record 2: the file ends within it"),
        (b"\xff" * 12, "record 1: the checksum of its length is wrong"),
        (framed(log())[:-4] + bytes(4), "record 1: its checksum is wrong"),
        (framed(b"\x32"), "record 1: it is no PredictionLog"),
        (framed(b""), "record 1: it holds no predict_log"),
        (framed(log(signature="other")), 'record 1: its signature is "other"'),
        (framed(log(name="z")), 'record 1: inputs are "z", expected exactly "x"'),
        (framed(log(), log([[1, 2, 3]])), 'record 2: input "x" is float32 [1, 3]'),
        (framed(log(np.zeros((1025, 2)))), "record 1: it has 1025 rows"),
        (framed(*[log()] * 1001), "record 1001: it is one too many"),
    ],
    ids=lambda each: each if isinstance(each, str) else "file",
)
def test_what_is_not_good_is_named(
    write: Callable[[bytes], Path], content: bytes, sentence: str
) -> None:
    assert finding(write(content)).startswith(f"{WARM_UP_NAME}: {sentence}")


def test_a_shape_that_speaks_of_terabytes_takes_no_memory(write: Callable[[bytes], Path]) -> None:
    request = pb.PredictRequest()
    write_tensor(request.inputs["x"], np.zeros((1, 2), np.float32))
    request.inputs["x"].tensor_shape.dim[0].size = 1 << 40
    record = pb.PredictionLog(predict_log=pb.PredictLog(request=request)).SerializeToString()
    assert "record 1: " in finding(write(framed(record)))


def test_pictures_are_not_executed(write: Callable[[bytes], Path]) -> None:
    request = pb.PredictRequest()
    write_tensor(request.inputs["x"], np.array([b"picture"], object))
    record = pb.PredictionLog(predict_log=pb.PredictLog(request=request)).SerializeToString()
    assert 'input "x" is byte strings, expected numbers' in finding(write(framed(record)))


def test_a_file_that_is_too_large_is_not_read(write: Callable[[bytes], Path]) -> None:
    bundle = write(b"")
    with (bundle / WARM_UP_NAME).open("wb") as file:
        file.truncate((16 << 20) + 1)
    assert "it has more than 16777216 bytes" in finding(bundle)


@given(st.binary(max_size=64), st.integers(0, 200))
def test_any_bytes_are_records_or_a_fault(content: bytes, cut: int) -> None:
    for candidate in (content, framed(log(), content)[:cut], framed(content)):
        read = b""
        with suppress(ValueError):
            read = framed(*records_of(candidate))
        assert read in (b"", candidate)


class Counting:
    """A backend that keeps how many rows it was given."""

    signature = SIGNATURE
    engine = "counting"

    def __init__(self, *, fails: bool = False) -> None:
        self.executed: list[Any] = []
        self._fails = fails

    def execute(self, inputs: Tensors) -> Tensors:
        """Keeps them."""
        if self._fails:
            raise BackendFailed("no")
        self.executed.append(inputs["x"].tolist())
        return {"y": inputs["x"]}

    def close(self) -> None:
        """Has nothing to release."""


def test_recorded_requests_are_executed_in_the_buckets_that_are_served() -> None:
    backend = Counting()
    rows = np.arange(10, dtype=np.float32).reshape(5, 2)
    execute_recorded(backend, (2, 4), [{"x": rows}, {"x": rows[:1]}])
    assert [len(each) for each in backend.executed] == [4, 2, 2]
    assert backend.executed[1] == [[8, 9], [8, 9]]


def test_a_model_that_fails_for_a_recorded_request_is_refused() -> None:
    with pytest.raises(ModelRefused) as refused:
        execute_recorded(Counting(fails=True), (2,), [{"x": np.zeros((1, 2), np.float32)}])
    assert refused.value.findings == ("recorded request 1: the model fails for it",)
