"""``grpc.reflection.v1alpha``: shows every service under the name that its clients call."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from batchproof.compat import PRIVATE
from batchproof_server.base.errors import InvalidInput
from batchproof_server.rpc.fronts.front import CallHead, Code, Messages, ServeStream, Status
from batchproof_server.rpc.wire_limits import SMALL_MESSAGE_BYTES, WireLimits
from batchproof_server.rpc.wire_scan import WireScan

_METHOD: Final = f"/{reflection.SERVICE_NAME}/ServerReflectionInfo"
# The stubs do not agree on what a descriptor is.
_REQUEST: Any = reflection_pb2.DESCRIPTOR.message_types_by_name["ServerReflectionRequest"]
_OWN: Final = (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR)


def reflection_routes(services: Iterable[ServiceDescriptor]) -> dict[str, ServeStream]:
    """What answers reflection.

    Args:
        services: that are shown, under their public names, beside health and reflection.
    """
    shown = tuple(services)
    names = [service.full_name.removeprefix(PRIVATE) for service in shown]
    names += [name for file in _OWN for name in _service_names(file)]
    pool = reflection_pool(shown)
    scan = WireScan(_REQUEST, WireLimits(message_bytes=SMALL_MESSAGE_BYTES))
    servicer = reflection.ReflectionServicer(names, pool)

    async def serve(head: CallHead, messages: Messages) -> Status:
        del head
        while (content := await messages.read()) is not None:
            try:
                scan.read(content)
                request = reflection_pb2.ServerReflectionRequest.FromString(content)
            except DecodeError:
                return Status(Code.INVALID_ARGUMENT, "the message cannot be read")
            except InvalidInput as too_much:
                return Status(Code.INVALID_ARGUMENT, str(too_much))
            for response in servicer.ServerReflectionInfo(iter((request,)), _NO_CONTEXT):
                await messages.write(response.SerializeToString())
        return Status(Code.OK)

    return {_METHOD: serve}


# The servicer only looks things up; it asks nothing of its context.
_NO_CONTEXT: Any = None


def _service_names(file: Any) -> list[str]:
    return [service.full_name for service in file.services_by_name.values()]


# Contract
#
# Reflection must name the public services and their messages, and the default pool may hold the
# originals, registered by TensorFlow or a client. So reflection gets a pool of its own, with every
# file of ours and the files of ``batchproof.compat`` under their public names (decision 0011).
def reflection_pool(services: Sequence[ServiceDescriptor]) -> DescriptorPool:
    """The descriptors that reflection shows.

    Args:
        services: whose files are shown; private names become public.
    """
    pool = DescriptorPool()
    known: set[str] = set()
    files: list[Any] = [*_OWN, *(service.file for service in services)]  # stubs do not agree
    for file in files:
        _add(pool, file, known)
    return pool


def _add(pool: DescriptorPool, file: FileDescriptor, known: set[str]) -> None:
    if file.name in known:
        return
    known.add(file.name)
    for dependency in file.dependencies:
        _add(pool, dependency, known)
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    if file.package.startswith(PRIVATE):
        _publish(proto)
    pool.Add(proto)


def _publish(proto: descriptor_pb2.FileDescriptorProto) -> None:
    proto.package = proto.package.removeprefix(PRIVATE)
    for service in proto.service:
        for method in service.method:
            method.input_type = _public(method.input_type)
            method.output_type = _public(method.output_type)
    for message in proto.message_type:
        _publish_message(message)


def _publish_message(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        if field.type_name:
            field.type_name = _public(field.type_name)
    for nested in message.nested_type:
        _publish_message(nested)


def _public(type_name: str) -> str:
    return type_name.replace(f".{PRIVATE}", ".", 1)
