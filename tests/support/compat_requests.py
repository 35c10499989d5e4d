"""Stubs and requests of the Open Inference Protocol v2 and of TensorFlow Serving."""

import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from batchproof.compat import inference_pb2 as oip
from batchproof.compat import tensorflow_pb2 as tf
from batchproof.compat import tensorflow_serving_pb2 as tfs

TF_DTYPES = {
    "float32": tf.DT_FLOAT,
    "float64": tf.DT_DOUBLE,
    "int32": tf.DT_INT32,
    "uint8": tf.DT_UINT8,
    "int64": tf.DT_INT64,
}
OIP_DATATYPES = {
    "float32": "FP32",
    "float64": "FP64",
    "int32": "INT32",
    "uint8": "UINT8",
    "int64": "INT64",
}


def open_inference(channel: aio.Channel) -> Any:
    """The methods of ``inference.GRPCInferenceService``."""
    return _stub(channel, oip.DESCRIPTOR.services_by_name["GRPCInferenceService"])


def prediction(channel: aio.Channel) -> Any:
    """The methods of ``tensorflow.serving.PredictionService``."""
    return _stub(channel, tfs.DESCRIPTOR.services_by_name["PredictionService"])


def model_service(channel: aio.Channel) -> Any:
    """The methods of ``tensorflow.serving.ModelService``."""
    return _stub(channel, tfs.DESCRIPTOR.services_by_name["ModelService"])


def _stub(channel: aio.Channel, service: ServiceDescriptor) -> SimpleNamespace:
    public = service.full_name.removeprefix("batchproof.compat.")
    methods = {}
    for method in service.methods:
        request: Any = GetMessageClass(method.input_type)
        response: Any = GetMessageClass(method.output_type)
        make: Any = channel.stream_stream if method.client_streaming else channel.unary_unary
        methods[method.name] = make(
            f"/{public}/{method.name}", request.SerializeToString, response.FromString
        )
    return SimpleNamespace(**methods)


def infer(
    array: Any = ((1, 2, 3, 4),),
    model: str = "raw",
    *,
    name: str = "image",
    dtype: str = "float32",
    outputs: tuple[str, ...] = (),
    **fields: Any,
) -> oip.ModelInferRequest:
    """A request of raw numbers."""
    array = np.asarray(array, dtype)
    request = oip.ModelInferRequest(
        model_name=model, raw_input_contents=[array.tobytes()], **fields
    )
    request.inputs.add(name=name, datatype=OIP_DATATYPES[dtype], shape=array.shape)
    for output in outputs:
        request.outputs.add(name=output)
    return request


def infer_images(
    images: list[bytes],
    model: str = "pictures",
    *,
    shape: tuple[int, ...] = (),
    typed: bool = False,
) -> oip.ModelInferRequest:
    """A request of encoded pictures."""
    request = oip.ModelInferRequest(model_name=model)
    tensor = request.inputs.add(name="image", datatype="BYTES", shape=shape or (len(images),))
    if typed:
        tensor.contents.bytes_contents.extend(images)
    else:
        request.raw_input_contents.append(framed(images))
    return request


def framed(images: list[bytes]) -> bytes:
    """Each byte string after its length."""
    return b"".join(struct.pack("<I", len(image)) + image for image in images)


def outputs_of(response: oip.ModelInferResponse) -> dict[str, Any]:
    """The outputs by name; byte strings as lists in row-major order."""
    return {
        tensor.name: _output(tensor, raw)
        for tensor, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    }


def _output(tensor: Any, raw: bytes) -> Any:
    if tensor.datatype == "BYTES":
        texts, start = [], 0
        while start < len(raw):
            (length,) = struct.unpack_from("<I", raw, start)
            texts.append(raw[start + 4 : start + 4 + length])
            start += 4 + length
        return np.array(texts, object).reshape(tuple(tensor.shape))
    dtype = {name: dtype for dtype, name in OIP_DATATYPES.items()}[tensor.datatype]
    return np.frombuffer(raw, dtype).reshape(tuple(tensor.shape))


def shaped(*sizes: int) -> tf.TensorShapeProto:
    """A shape of TensorFlow's."""
    return tf.TensorShapeProto(dim=[tf.TensorShapeProto.Dim(size=size) for size in sizes])


def content(array: Any, dtype: str = "float32") -> tf.TensorProto:
    """A tensor whose numbers are in ``tensor_content``."""
    array = np.asarray(array, dtype)
    return tf.TensorProto(
        dtype=TF_DTYPES[dtype], tensor_shape=shaped(*array.shape), tensor_content=array.tobytes()
    )


def strings(images: list[bytes], *shape: int) -> tf.TensorProto:
    """A tensor of strings."""
    return tf.TensorProto(
        dtype=tf.DT_STRING, tensor_shape=shaped(*(shape or (len(images),))), string_val=images
    )


def predict(
    tensor: tf.TensorProto | None = None,
    model: str = "raw",
    *,
    name: str = "image",
    output_filter: tuple[str, ...] = (),
    **spec: Any,
) -> tfs.PredictRequest:
    """A request of TensorFlow Serving."""
    request = tfs.PredictRequest(output_filter=output_filter)
    request.model_spec.name = model
    version = spec.pop("version", None)
    if version is not None:
        request.model_spec.version.value = version
    request.model_spec.MergeFrom(tfs.ModelSpec(**spec))
    request.inputs[name].CopyFrom(content([[1, 2, 3, 4]]) if tensor is None else tensor)
    return request


def scores(response: tfs.PredictResponse, name: str = "scores") -> Any:
    """A float32 output, read by its field."""
    tensor = response.outputs[name]
    return np.array(tensor.float_val, np.float32).reshape(
        [dim.size for dim in tensor.tensor_shape.dim]
    )
