"""Every method that the port answers, and the bytes of messages in which one field comes often."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from batchproof.compat import PRIVATE, inference_pb2, tensorflow_serving_pb2
from batchproof.v1 import management_pb2, prediction_pb2
from batchproof_server.rpc.management.service import ManagementService
from batchproof_server.rpc.native.service import PredictionService
from batchproof_server.rpc.open_inference.repository import RepositoryCalls
from batchproof_server.rpc.open_inference.service import OpenInferenceService
from batchproof_server.rpc.tensorflow_serving.reloading import ConfigReloads
from batchproof_server.rpc.tensorflow_serving.service import TensorFlowServing

FILES: Final[tuple[Any, ...]] = (
    prediction_pb2.DESCRIPTOR,
    inference_pb2.DESCRIPTOR,
    tensorflow_serving_pb2.DESCRIPTOR,
    health_pb2.DESCRIPTOR,
    reflection_pb2.DESCRIPTOR,
)
# Of a port of its own.
MANAGEMENT: Final[tuple[Any, ...]] = (management_pb2.DESCRIPTOR,)
# Those of which a field of bytes may be large enough to stay where it came.
METHODS_OF_TENSORS: Final = (
    "/batchproof.v1.PredictionService/Predict",
    "/batchproof.v1.PredictionService/PredictStream",
    "/batchproof.v1.PredictionService/Diagnose",
    "/inference.GRPCInferenceService/ModelInfer",
    "/inference.GRPCInferenceService/ModelStreamInfer",
    "/tensorflow.serving.PredictionService/Predict",
)
_FIXED_BYTES: Final = {1: 8, 5: 4}
_WIRES: Final = {
    FieldDescriptor.CPPTYPE_DOUBLE: 1,
    FieldDescriptor.CPPTYPE_FLOAT: 5,
    FieldDescriptor.CPPTYPE_STRING: 2,
    FieldDescriptor.CPPTYPE_MESSAGE: 2,
}


def methods(files: Iterable[Any] = FILES) -> dict[str, MethodDescriptor]:
    """By their paths, the requests of all services; without a word, of those of the gRPC port."""
    return {
        f"/{service.full_name.removeprefix(PRIVATE)}/{method.name}": method
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
    }


def published(max_rows: int) -> dict[str, Any]:
    """What is done for the methods that go through ``Calls``, over a core that is not there."""
    nothing, orders = cast("Any", None), cast("Any", object())
    services = (
        PredictionService(
            nothing, nothing, cast("Any", _NoOutcomes()), cast("Any", _NoOutcomes())
        ).published(max_rows),
        OpenInferenceService(
            nothing, nothing, nothing, statistics=nothing, build_version=""
        ).published(max_rows, RepositoryCalls(orders).specs()),
        *TensorFlowServing(nothing, nothing, 1).published(max_rows, ConfigReloads(orders).specs()),
        ManagementService(nothing, nothing, nothing, nothing, nothing, nothing).published(),
    )
    return {path: method for service in services for path, method in service.methods.items()}


class _NoOutcomes:
    """Takes none."""

    async def answer(self, request: Any, call: Any) -> Any:
        """Is not called."""


@dataclass(frozen=True)
class Often:
    """A field that repeats, where it lies in a message.

    Attributes:
        outer: the fields that lead to it.
    """

    field: FieldDescriptor
    outer: tuple[FieldDescriptor, ...]

    def __str__(self) -> str:
        return ".".join(each.name for each in (*self.outer, self.field))

    def content(self, count: int) -> bytes:
        """A message in which it has so many of its smallest entries."""
        return self.wrapped(entry(self.field) * count)

    def wrapped(self, content: bytes, outer: int | None = None) -> bytes:
        """A message whose part at the place of the field, or further out, has this content."""
        for each in reversed(self.outer[:outer]):
            content = tag(each, 2) + varint(len(content)) + content
        return content


def entry(field: FieldDescriptor) -> bytes:
    """The smallest entry of a field, with a tag of its own."""
    wire = _WIRES.get(field.cpp_type, 0)
    return tag(field, wire) + bytes(_FIXED_BYTES.get(wire, 1))


def tag(field: FieldDescriptor, wire: int) -> bytes:
    """A tag as it is written."""
    return varint(field.number << 3 | wire)


def varint(number: int) -> bytes:
    """A number as it is written."""
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes((*written, number))


def repeated(message: Any, outer: tuple[FieldDescriptor, ...] = ()) -> Iterator[Often]:
    """All repeated fields and maps of a message and of those that it holds."""
    for field in message.fields:
        if field.is_repeated:
            yield Often(field, outer)
        if field.message_type is not None and field not in outer:
            yield from repeated(field.message_type, (*outer, field))


def messages(message: Any, outer: tuple[FieldDescriptor, ...] = ()) -> Iterator[Often]:
    """All fields of a message, and of those that it holds, that hold a message and come once."""
    for field in message.fields:
        if field.message_type is not None and field not in outer:
            if not field.is_repeated:
                yield Often(field, outer)
            yield from messages(field.message_type, (*outer, field))
