"""A message from which large contents were taken is the message, but for their tickets."""

from typing import Any
from unittest import mock

import numpy as np
import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given, reject
from hypothesis import strategies as st

from batchproof.compat import inference_pb2 as oip
from batchproof.compat import tensorflow_pb2 as tf
from batchproof.compat import tensorflow_serving_pb2 as tfs
from batchproof.tensors import to_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.base.errors import InvalidInput
from batchproof_server.rpc import wire_scan
from batchproof_server.rpc.contents import LARGE_BYTES, Contents
from support.every_method import METHODS_OF_TENSORS, published
from support.mutations import mutated

SCANS = {path: method.scan for path, method in published(256).items() if path in METHODS_OF_TENSORS}
# Around the limit of the test, and around that at which a size takes another byte.
SIZES = st.sampled_from([0, 1, 7, 8, 20, 21, 100, 127, 128, 150, 400])
CONTENTS = SIZES.flatmap(lambda size: st.binary(min_size=size, max_size=size))
NAMES = st.sampled_from(["", "x", "y", "image"])


def native(contents: list[tuple[str, bytes]]) -> pb.PredictRequest:
    tensors = {name: pb.Tensor(content=content) for name, content in contents}
    return pb.PredictRequest(request_id="mine", tensors=pb.NamedTensors(tensors=tensors))


def in_a_stream(contents: list[tuple[str, bytes]]) -> pb.PredictStreamRequest:
    return pb.PredictStreamRequest(request=native(contents))


def diagnosed(contents: list[tuple[str, bytes]]) -> pb.DiagnoseRequest:
    tensors = [pb.Tensor(content=content) for _, content in contents]
    return pb.DiagnoseRequest(image=b"x" * 30, tensor=tensors[0], scores=tensors[-1])


def inferred(contents: list[tuple[str, bytes]]) -> oip.ModelInferRequest:
    inputs = [oip.ModelInferRequest.InferInputTensor(name=name) for name, _ in contents]
    return oip.ModelInferRequest(inputs=inputs, raw_input_contents=[raw for _, raw in contents])


def predicted(contents: list[tuple[str, bytes]]) -> tfs.PredictRequest:
    inputs = {name: tf.TensorProto(tensor_content=content) for name, content in contents}
    return tfs.PredictRequest(inputs=inputs)


WRITERS: dict[str, Any] = {
    "/batchproof.v1.PredictionService/Predict": native,
    "/batchproof.v1.PredictionService/PredictStream": in_a_stream,
    "/batchproof.v1.PredictionService/Diagnose": diagnosed,
    "/inference.GRPCInferenceService/ModelInfer": inferred,
    "/inference.GRPCInferenceService/ModelStreamInfer": inferred,
    "/tensorflow.serving.PredictionService/Predict": predicted,
}
PATHS = st.sampled_from(sorted(WRITERS))


def put_back(message: Message, contents: Contents) -> None:
    """Puts every content that has a ticket in its place."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_BYTES and field.is_repeated:
            value[:] = [bytes(contents.of(each)) for each in value]
        elif field.type == field.TYPE_BYTES:
            setattr(message, field.name, bytes(contents.of(value)))
        elif field.message_type is None:
            continue
        elif field.message_type.GetOptions().map_entry:
            inner = field.message_type.fields_by_name["value"].message_type
            for each in value.values() if inner is not None else ():
                put_back(each, contents)
        else:
            for each in value if field.is_repeated else (value,):
                put_back(each, contents)


def read(kind: type[Message], content: bytes) -> Message | None:
    """The message without what nobody knows, or None where the bytes are none."""
    try:
        message = kind.FromString(content)
    except DecodeError:
        return None
    message.DiscardUnknownFields()
    return message


def check_same(path: str, kind: type[Message], content: bytes) -> None:
    with mock.patch.object(wire_scan, "LARGE_BYTES", 8):
        rest, contents = SCANS[path](content)
    message, whole = read(kind, rest), read(kind, content)
    if message is not None:
        put_back(message, contents)
    assert message == whole


@given(PATHS, st.lists(st.lists(st.tuples(NAMES, CONTENTS), min_size=1), min_size=1, max_size=3))
def test_whatever_came_is_what_the_message_and_its_contents_say(
    path: str, parts: list[list[tuple[str, bytes]]]
) -> None:
    messages = [WRITERS[path](part) for part in parts]
    # Bytes of several messages are one, of which fields that come twice are joined or replaced.
    content = b"".join(each.SerializeToString() for each in messages)
    check_same(path, type(messages[0]), content)


@st.composite
def broken(draw: st.DrawFn) -> tuple[str, type[Message], bytes]:
    """A message of a method after a hostile hand had it."""
    path = draw(PATHS)
    contents = st.lists(st.tuples(NAMES, CONTENTS), min_size=1, max_size=4)
    messages = [WRITERS[path](draw(contents)) for _ in range(2)]
    bases = [each.SerializeToString() for each in messages]
    return path, type(messages[0]), draw(mutated(bases))


@given(broken())
def test_so_it_is_where_the_bytes_were_tampered_with(case: tuple[str, Any, bytes]) -> None:
    try:
        check_same(*case)
    except (InvalidInput, DecodeError):
        reject()


@pytest.mark.parametrize("path", sorted(WRITERS))
@pytest.mark.parametrize(("size_bytes", "stays"), [(LARGE_BYTES - 1, False), (LARGE_BYTES, True)])
def test_large_contents_stay_where_they_came(path: str, size_bytes: int, *, stays: bool) -> None:
    message = WRITERS[path]([("x", bytes(size_bytes))])
    content = message.SerializeToString()
    rest, contents = SCANS[path](content)
    assert (len(rest) < LARGE_BYTES) == stays
    read_back = type(message).FromString(rest)
    put_back(read_back, contents)
    assert read_back == message


def test_every_method_whose_contents_may_be_large_is_tried_here() -> None:
    assert set(WRITERS) == set(METHODS_OF_TENSORS)


def test_nobody_can_write_a_ticket() -> None:
    path = "/batchproof.v1.PredictionService/Predict"
    forged = [("x", bytes(LARGE_BYTES)), ("y", bytes(20)), ("z", bytes(16) + b"\0\0\0\1")]
    rest, contents = SCANS[path](native(forged).SerializeToString())
    tensors = pb.PredictRequest.FromString(rest).tensors.tensors
    assert {name: bytes(contents.of(tensors[name].content)) for name in tensors} == dict(forged)


def test_a_ticket_of_one_message_says_nothing_in_another() -> None:
    path = "/batchproof.v1.PredictionService/Predict"
    rest, _ = SCANS[path](native([("x", bytes(LARGE_BYTES))]).SerializeToString())
    ticket = pb.PredictRequest.FromString(rest).tensors.tensors["x"].content
    other, contents = SCANS[path](native([("x", ticket)]).SerializeToString())
    assert bytes(contents.of(ticket)) == ticket
    assert pb.PredictRequest.FromString(other).tensors.tensors["x"].content == ticket


def test_a_tensor_is_read_from_the_bytes_that_came() -> None:
    array = np.arange(LARGE_BYTES, dtype=np.uint8).reshape(1, -1)
    request = pb.PredictRequest(tensors=pb.NamedTensors(tensors={"x": to_proto(array)}))
    content = request.SerializeToString()
    rest, contents = SCANS["/batchproof.v1.PredictionService/Predict"](content)
    ticket = pb.PredictRequest.FromString(rest).tensors.tensors["x"].content
    there = np.frombuffer(contents.of(ticket), np.uint8)
    assert np.shares_memory(there, np.frombuffer(content, np.uint8))
    assert not there.flags.writeable
    np.testing.assert_array_equal(there.reshape(array.shape), array)
