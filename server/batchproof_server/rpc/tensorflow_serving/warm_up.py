"""TensorFlow Serving's warm-up requests, which are executed before a version answers."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError

from batchproof.compat import tensorflow_serving_pb2 as pb
from batchproof_server.base.errors import InvalidInput, ModelRefused, cut
from batchproof_server.base.files import read_start
from batchproof_server.base.signature import Signature, Tensors
from batchproof_server.rpc.intake import check_form, check_possible
from batchproof_server.rpc.tensorflow_serving.tensors import limits_of_tensors, read_inputs
from batchproof_server.rpc.wire_scan import WireScan

WARM_UP_NAME: Final = "assets.extra/tf_serving_warmup_requests"
_MAX_FILE_BYTES: Final = 16 << 20
_MAX_RECORDS: Final = 1_000
_MAX_ROWS: Final = 1_024
_MAX_TENSOR_BYTES: Final = 64 << 20
_SIGNATURES: Final = ("", "serving_default")
# The stubs do not agree on what a descriptor is.
_LOG: Any = pb.PredictionLog.DESCRIPTOR
_SCAN: Final = WireScan(_LOG, limits_of_tensors(_MAX_ROWS))
# Of a record: its length and the checksum of that; behind it, the checksum of its content.
_HEAD: Final = struct.Struct("<QI")
_FOOT: Final = struct.Struct("<I")


def read_warm_up(directory: Path, signature: Signature) -> Iterator[Tensors]:
    """The inputs of the recorded requests, in their order; none where the bundle has no records.

    Args:
        directory: of the bundle.
        signature: of the model.

    Raises:
        ModelRefused: the file or a record cannot be read, or the model does not take it.
    """
    file = directory / WARM_UP_NAME
    if not file.is_file():
        return
    try:
        content = read_start(file, _MAX_FILE_BYTES)
    except OSError as fault:
        raise _refused("it cannot be read") from fault
    if len(content) > _MAX_FILE_BYTES:
        raise _refused(f"it has more than {_MAX_FILE_BYTES} bytes")
    number = 0
    try:
        for number, record in enumerate(records_of(content), 1):
            yield _inputs(number, record, signature)
    except InvalidInput as fault:
        raise _refused(f"record {number}: {fault}") from fault
    except ValueError as fault:
        raise _refused(f"record {number + 1}: {fault}") from fault


def _refused(sentence: str) -> ModelRefused:
    finding = f"{WARM_UP_NAME}: {sentence}"
    return ModelRefused("the recorded requests cannot be executed", (finding,))


def _inputs(number: int, record: bytes, signature: Signature) -> Tensors:
    if number > _MAX_RECORDS:
        raise InvalidInput(f"it is one too many, expected {_MAX_RECORDS} at most")
    try:
        content, contents = _SCAN.read(record)
        log = pb.PredictionLog.FromString(content)
    except DecodeError as fault:
        raise InvalidInput("it is no PredictionLog") from fault
    if log.WhichOneof("log_type") is None:
        raise InvalidInput("it holds no predict_log, expected one: only Predict is executed")
    request = log.predict_log.request
    name = request.model_spec.signature_name
    if name not in _SIGNATURES:
        raise InvalidInput(f'its signature is "{cut(name)}", expected "serving_default"')
    inputs = read_inputs(request.inputs, _MAX_TENSOR_BYTES, contents)
    strings = [each for each, tensor in inputs.items() if tensor.dtype is None]
    if strings:
        raise InvalidInput(f'input "{cut(strings[0])}" is byte strings, expected numbers')
    check_possible(inputs)
    rows = check_form(signature, inputs)
    if rows > _MAX_ROWS:
        raise InvalidInput(f"it has {rows} rows, expected {_MAX_ROWS} at most")
    return {each: tensor.array() for each, tensor in inputs.items()}


def records_of(content: bytes) -> Iterator[bytes]:
    """The records of a TFRecord file.

    Raises:
        ValueError: the file ends within a record, or a checksum is wrong.
    """
    at = 0
    while at < len(content):
        head = content[at : at + _HEAD.size]
        if len(head) < _HEAD.size:
            raise ValueError("the file ends within its length")
        length, checksum = _HEAD.unpack(head)
        if checksum != masked_checksum(head[:8]):
            raise ValueError("the checksum of its length is wrong")
        begin, end = at + _HEAD.size, at + _HEAD.size + length
        foot = content[end : end + _FOOT.size]
        if len(foot) < _FOOT.size:
            raise ValueError("the file ends within it")
        record = content[begin:end]
        if _FOOT.unpack(foot)[0] != masked_checksum(record):
            raise ValueError("its checksum is wrong")
        yield record
        at = end + _FOOT.size


def masked_checksum(content: bytes) -> int:
    """CRC-32C, rotated and shifted as TFRecord files have it."""
    table, crc = _TABLE, 0xFFFFFFFF
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _table() -> tuple[int, ...]:
    """Of CRC-32C, whose polynomial is 0x1EDC6F41; bits are taken from the lowest on."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE: Final = _table()
