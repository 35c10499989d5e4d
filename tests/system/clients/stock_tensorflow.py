"""What unmodified stubs of TensorFlow Serving get.

Usage: stock_tensorflow.py ADDRESS MODEL PICTURE

Prints one JSON object. Runs in the environment of requirements/interop.txt.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

Answers = dict[str, Any]
TIMEOUT_S = float(os.environ["PATIENCE_S"])


def request(model: str, name: str, tensor: Any, **spec: Any) -> Any:
    """A request of one tensor."""
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name = model
    for key, value in spec.items():
        if key == "version":
            asked.model_spec.version.value = value
        else:
            setattr(asked.model_spec, key, value)
    asked.inputs[name].CopyFrom(tensor)
    return asked


def refused(call: Any, asked: Any) -> list[str]:
    """The code and the sentence of an error."""
    try:
        call(asked, TIMEOUT_S)
    except grpc.RpcError as error:
        return [error.code().name, error.details() or ""]
    raise AssertionError("the call succeeded")


def signature(stub: Any, model: str) -> Any:
    """The default signature, unpacked by its public type."""
    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    asked.model_spec.name = model
    packed = stub.GetModelMetadata(asked, TIMEOUT_S).metadata["signature_def"]
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert packed.Unpack(signatures)
    return signatures.signature_def["serving_default"]


def predictions(
    stub: Any, model: str, name: str, output: str, shape: list[int], picture: bytes
) -> Answers:
    """The same numbers in every way to send them, and a picture."""
    numbers = np.full(shape, 0.5, np.float32)
    content = tf.make_tensor_proto(numbers)
    splat = tf.make_tensor_proto(0.5, dtype=tf.float32, shape=shape)
    typed = tf.make_tensor_proto(numbers)
    typed.tensor_content = b""
    typed.float_val.extend(numbers.ravel().tolist())
    sent = {"content": content, "typed": typed, "splat": splat}
    answers: Answers = {}
    for way, tensor in sent.items():
        answer = stub.Predict(request(model, name, tensor), TIMEOUT_S)
        answers[way] = tf.make_ndarray(answer.outputs[output]).tobytes().hex()
    strings = tf.make_tensor_proto([picture])
    answer = stub.Predict(request(model, name, strings), TIMEOUT_S)
    answers["picture"] = tf.make_ndarray(answer.outputs[output]).tobytes().hex()
    answers["field"] = np.array(answer.outputs[output].float_val, np.float32).tobytes().hex()
    filtered = request(model, name, strings)
    filtered.output_filter.extend(["label", "probabilities"])
    answer = stub.Predict(filtered, TIMEOUT_S)
    answers["outputs"] = sorted(answer.outputs)
    answers["label"] = tf.make_ndarray(answer.outputs["label"]).ravel()[0].decode()
    answers["spec"] = [answer.model_spec.name, answer.model_spec.version.value]
    return answers


def versions(stub: Any, model: str, name: str, shape: list[int]) -> list[int]:
    """Which version answers a number, and the same sent as a label."""
    tensor = tf.make_tensor_proto(np.full(shape, 0.5, np.float32))
    asked = [
        request(model, name, tensor, version=1),
        request(model, name, tensor, version_label="1"),
    ]
    return [stub.Predict(each, TIMEOUT_S).model_spec.version.value for each in asked]


def refusals(stub: Any, model: str, name: str, shape: list[int]) -> Answers:
    """Errors as the stubs raise them."""
    good = tf.make_tensor_proto(np.zeros(shape, np.float32))
    cut = tf.make_tensor_proto(np.zeros(shape, np.float32))
    cut.tensor_content = cut.tensor_content[:-1]
    wrong = tf.make_tensor_proto(np.zeros(shape, np.int32))
    rank = tf.make_tensor_proto(np.zeros(shape[1:], np.float32))
    unknown = request(model, name, good)
    unknown.output_filter.append("unknown")
    asks = {
        "model": request("other", name, good),
        "version": request(model, name, good, version=99),
        "label": request(model, name, good, version_label="newest"),
        "name": request("", name, good),
        "bytes": request(model, name, cut),
        "dtype": request(model, name, wrong),
        "rank": request(model, name, rank),
        "missing": request(model, "other", good),
        "output": unknown,
    }
    answers = {case: refused(stub.Predict, asked) for case, asked in asks.items()}
    classify = classification_pb2.ClassificationRequest()
    classify.model_spec.name = model
    return {**answers, "classify": refused(stub.Classify, classify)}


def main(address: str, model: str, picture_file: str) -> None:
    """Asks for everything and prints what came."""
    picture = Path(picture_file).read_bytes()
    with grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        found = signature(stub, model)
        (name,), (output,) = found.inputs, found.outputs
        shape = [dim.size for dim in found.inputs[name].tensor_shape.dim]
        assert shape[0] == -1
        shape[0] = 1
        status = get_model_status_pb2.GetModelStatusRequest()
        status.model_spec.name = model
        states = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status, TIMEOUT_S)
        answers = {
            "method": found.method_name,
            "states": [[each.version, each.state] for each in states.model_version_status],
            "predictions": predictions(stub, model, name, output, shape, picture),
            "versions": versions(stub, model, name, shape),
            "refusals": refusals(stub, model, name, shape),
        }
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
