"""Serves the contracts of ``batchproof.compat`` under the public names that their clients call."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PRIVATE = "batchproof.compat."


@dataclass(frozen=True, slots=True)
class PublicService:
    """A service as gRPC and its reflection know it.

    Attributes:
        name: the public one, such as ``inference.GRPCInferenceService``.
        descriptor: the private one.
        methods: of the service, by their names.
    """

    name: str
    descriptor: ServiceDescriptor
    methods: grpc.GenericRpcHandler


def public_service(
    descriptor: ServiceDescriptor, behaviours: Mapping[str, Callable[..., Any]]
) -> PublicService:
    """Publishes the behaviour of a service.

    Args:
        descriptor: of a service of ``batchproof.compat``.
        behaviours: what each of its methods does.
    """
    name = descriptor.full_name.removeprefix(_PRIVATE)
    methods = {
        method.name: _method(method, behaviours[method.name]) for method in descriptor.methods
    }
    return PublicService(name, descriptor, grpc.method_handlers_generic_handler(name, methods))


def _method(
    method: MethodDescriptor, behaviour: Callable[..., Any]
) -> "grpc.RpcMethodHandler[Any, Any]":
    make = (
        grpc.stream_stream_rpc_method_handler
        if method.client_streaming
        else grpc.unary_unary_rpc_method_handler
    )
    # The classes come from the descriptors, so the types are not known before run time.
    request: Any = GetMessageClass(method.input_type)
    response: Any = GetMessageClass(method.output_type)
    return make(
        behaviour,
        request_deserializer=request.FromString,
        response_serializer=response.SerializeToString,
    )


# Contract
#
# Reflection must name the public services and their messages, and the default pool may hold the
# originals, registered by TensorFlow or a client. So reflection gets a pool of its own, with every
# file of ours and the files of ``batchproof.compat`` under their public names.
def reflection_pool(own: Sequence[Any], public: Sequence[PublicService]) -> DescriptorPool:
    """The descriptors that reflection shows.

    Args:
        own: files that are shown as they are; stubs do not agree on their type.
        public: whose files are shown under public names.
    """
    pool = DescriptorPool()
    known: set[str] = set()
    for file in (*own, *(service.descriptor.file for service in public)):
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
    if file.package.startswith(_PRIVATE):
        _publish(proto)
    pool.Add(proto)


def _publish(proto: descriptor_pb2.FileDescriptorProto) -> None:
    proto.package = proto.package.removeprefix(_PRIVATE)
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
    return type_name.replace(f".{_PRIVATE}", ".", 1)
