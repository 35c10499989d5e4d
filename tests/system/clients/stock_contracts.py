"""Compares our contracts with the originals, in one process.

Usage: stock_contracts.py ADDRESS PICTURE

Prints one JSON object. Runs in the environment of requirements/interop.txt.
"""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import tensorflow as tf  # noqa: F401 - registers its descriptors first, which is the worst case
from google.protobuf import descriptor_pb2
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2
from tritonclient.grpc import service_pb2

from batchproof.compat import inference_pb2, tensorflow_serving_pb2
from batchproof_client import Client

PRIVATE = "batchproof.compat."
# Ours are simpler, and the same on the wire.
ENUMS_AS_NUMBERS = {"tensorflow.serving.StatusProto.error_code"}
# In the Open Inference Protocol, not in Triton's copy of it.
ONLY_IN_OIP = {"inference.ModelMetadataResponse.properties"}
PAIRS = (
    (inference_pb2, service_pb2, "GRPCInferenceService"),
    (tensorflow_serving_pb2, prediction_service_pb2, "PredictionService"),
    (tensorflow_serving_pb2, model_service_pb2, "ModelService"),
)
TYPES = descriptor_pb2.FieldDescriptorProto


def methods(ours: Any, theirs: Any) -> Iterator[tuple[Any, Any]]:
    """The pairs of messages that our methods and theirs speak."""
    for method in ours.methods:
        original = theirs.methods_by_name[method.name]
        assert method.client_streaming == original.client_streaming, method.full_name
        assert method.server_streaming == original.server_streaming, method.full_name
        if method.input_type.name != "Unsupported":
            yield method.input_type, original.input_type
            yield method.output_type, original.output_type


def differences(ours: Any, theirs: Any, seen: set[str]) -> Iterator[str]:
    """Fields whose number, type or label is not the original's, here and in all that is inside."""
    public = ours.full_name.removeprefix(PRIVATE)
    if public in seen:
        return
    seen.add(public)
    if public != theirs.full_name:
        yield f"{public} is {theirs.full_name}"
    for field in ours.fields:
        name = f"{public}.{field.name}"
        original = theirs.fields_by_name.get(field.name)
        if original is None:
            if name not in ONLY_IN_OIP:
                yield f"{name} is not in the original"
            continue
        if (field.number, field.is_repeated) != (original.number, original.is_repeated):
            yield f"{name}: {field.number}, {original.number}"
        if field.type != original.type and name not in ENUMS_AS_NUMBERS:
            yield f"{name}: type {field.type}, {original.type}"
        if field.enum_type is not None:
            yield from enum_differences(name, field.enum_type, original.enum_type)
        if field.message_type is not None:
            yield from differences(field.message_type, original.message_type, seen)


def enum_differences(name: str, ours: Any, theirs: Any) -> Iterator[str]:
    """Values whose number is not the original's."""
    for value in ours.values:
        if theirs.values_by_name[value.name].number != value.number:
            yield f"{name}: {value.name}"


def main(address: str, picture_file: str) -> None:
    """Compares, and asks our own client for an answer in the same process."""
    seen: set[str] = set()
    found = []
    for ours, theirs, service in PAIRS:
        pair = (
            ours.DESCRIPTOR.services_by_name[service],
            theirs.DESCRIPTOR.services_by_name[service],
        )
        for mine, original in methods(*pair):
            found += list(differences(mine, original, seen))
        missing = set(pair[1].methods_by_name) - set(pair[0].methods_by_name)
        found += [f"{service}.{name} is missing" for name in sorted(missing)]
    with Client(address, timeout_s=float(os.environ["PATIENCE_S"])) as client:
        label = client.predict(picture_file).top.label
    answers = {"messages": len(seen), "differences": found, "label": label}
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
