"""Laws of the tensors of other protocols: written, they are read bit for bit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from batchproof.compat import inference_pb2 as oip
from batchproof.compat import tensorflow_pb2 as tf
from batchproof.tensors import TensorError, check_shape
from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array
from batchproof_server.rpc.contents import NO_CONTENTS
from batchproof_server.rpc.open_inference import tensors as open_inference_tensors
from batchproof_server.rpc.tensorflow_serving import tensors as tensorflow_tensors
from support.compat_requests import framed, shaped

DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
)  # fmt: skip
MAX_BYTES = 1 << 20


def _finite(dtype: str) -> Any:
    """A NaN's payload may change on the way through a typed float; every other bit may not."""
    return {"allow_nan": False} if dtype.startswith("float") else None


arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: npst.arrays(
        np.dtype(dtype),
        npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        elements=_finite(dtype),
    )
)


def read_serving(tensor: tf.TensorProto) -> Array:
    return tensorflow_tensors.read_inputs({"x": tensor}, MAX_BYTES, NO_CONTENTS)["x"].array()


@given(arrays)
def test_an_array_survives_the_open_inference_protocol(array: Array) -> None:
    response = oip.ModelInferResponse()
    open_inference_tensors.write_output(response, "x", array)
    (written,) = response.outputs
    request = oip.ModelInferRequest(raw_input_contents=response.raw_output_contents)
    request.inputs.add(name="x", datatype=written.datatype, shape=written.shape)
    read = open_inference_tensors.read_inputs(request, NO_CONTENTS)["x"].array()
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    assert read.tobytes() == array.tobytes()


@given(arrays)
def test_an_array_survives_the_typed_fields_of_tensorflow(array: Array) -> None:
    tensor = tf.TensorProto()
    tensorflow_tensors.write_tensor(tensor, array)
    assert not tensor.tensor_content
    read = read_serving(tensor)
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    assert read.tobytes() == array.tobytes()


@given(arrays)
def test_an_array_survives_the_content_of_tensorflow(array: Array) -> None:
    dtype = tensorflow_tensors.dtype_number(array.dtype)
    tensor = tf.TensorProto(
        dtype=dtype, tensor_shape=shaped(*array.shape), tensor_content=array.tobytes()
    )
    assert read_serving(tensor).tobytes() == array.tobytes()


@given(arrays.filter(lambda array: array.size > 0), st.data())
def test_the_last_value_stands_for_the_rest(array: Array, data: st.DataObject) -> None:
    flat = array.reshape(-1)
    kept = data.draw(st.integers(1, len(flat)))
    tensor = tf.TensorProto()
    tensorflow_tensors.write_tensor(tensor, flat[:kept])
    tensor.tensor_shape.CopyFrom(shaped(*array.shape))
    expected = flat.copy()
    expected[kept:] = flat[kept - 1]
    read = read_serving(tensor)
    assert read.shape == array.shape
    assert read.tobytes() == expected.tobytes()


@given(st.lists(st.binary(max_size=9), max_size=5))
def test_byte_strings_survive_their_framing(texts: list[bytes]) -> None:
    assert _framed(framed(texts), len(texts)) == texts


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=4), st.data())
def test_a_broken_frame_is_refused_or_another_frame(
    texts: list[bytes], data: st.DataObject
) -> None:
    raw = bytearray(framed(texts))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read = _framed(bytes(raw), len(texts))
    except InvalidInput:
        return
    assert framed(list(read)) == bytes(raw)


@given(st.binary(max_size=40), st.integers(0, 1 << 40))
def test_any_bytes_are_read_whole_or_refused(raw: bytes, count: int) -> None:
    try:
        read = _framed(raw, count)
    except InvalidInput:
        return
    assert framed(list(read)) == raw
    assert len(read) == count


@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=6),
    st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=3),
)
def test_a_shape_of_any_size_costs_no_memory(
    dtype: str, shape: list[int], values: list[int]
) -> None:
    """Whatever is said of the shape, no more than the bound is ever allocated."""
    number = tensorflow_tensors.dtype_number(np.dtype(dtype))
    tensor = tf.TensorProto(dtype=number, tensor_shape=shaped(*shape), int_val=values)
    incoming = tensorflow_tensors.read_inputs({"x": tensor}, MAX_BYTES, NO_CONTENTS)["x"]
    try:
        check_shape(incoming.shape, np.dtype(dtype))
        read = incoming.array()
    except (InvalidInput, TensorError):
        return
    assert read.shape == tuple(shape)
    assert read.nbytes <= MAX_BYTES


def _framed(raw: bytes, count: int) -> Any:
    request = oip.ModelInferRequest(raw_input_contents=[raw])
    request.inputs.add(name="x", datatype="BYTES", shape=[count])
    return open_inference_tensors.read_inputs(request, NO_CONTENTS)["x"].strings()


@pytest.mark.parametrize("value", [-1, 256])
def test_a_value_beyond_its_type_is_refused(value: int) -> None:
    tensor = tf.TensorProto(dtype=tf.DT_UINT8, tensor_shape=shaped(1), int_val=[value])
    with pytest.raises(InvalidInput, match="a value is beyond uint8"):
        read_serving(tensor)
