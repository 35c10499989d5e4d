"""From services to what a front calls: a table of methods, made of their descriptors."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from batchproof.compat import PRIVATE
from batchproof_server.rpc.calls import Behaviour, Calls, Method
from batchproof_server.rpc.fronts.front import (
    AnswerUnary,
    CallHead,
    Code,
    Messages,
    Reply,
    ServeStream,
    Status,
)
from batchproof_server.rpc.status import Failure
from batchproof_server.rpc.streams import InOrder, Streams
from batchproof_server.rpc.wire_limits import SMALL_MESSAGE_BYTES, WireLimits
from batchproof_server.rpc.wire_scan import WireScan

_LIMITS: Final = WireLimits()


@dataclass(frozen=True, slots=True)
class StreamForm:
    """How requests and their answers stand in the messages of a stream.

    Attributes:
        read: from a message of the caller to its request.
        write: from an answer to a message.
        refuse: from a failure to a message.
        keeps_order: whether answers are sent in the order of their requests.
    """

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]
    refuse: Callable[[Failure], Any]
    keeps_order: bool = False


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """What a service does for a method.

    Attributes:
        behaviour: from a request to its answer.
        id_field: of the request, where a caller may name it; empty when there is none.
        predicts: whether it is one prediction, which may be refused unread.
        stream: for a method of streams.
        takes_large: whether its messages may be as large as the port takes them; those of others
            hold names and settings.
    """

    behaviour: Behaviour
    id_field: str = ""
    predicts: bool = False
    stream: StreamForm | None = None
    takes_large: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A service under the name that its clients call.

    Attributes:
        name: the public one, such as ``inference.GRPCInferenceService``.
        descriptor: perhaps under a private name.
        methods: by their paths.
        predictions: the paths of the methods that are one prediction.
    """

    name: str
    descriptor: ServiceDescriptor
    methods: Mapping[str, Method]
    predictions: frozenset[str]


def service_of(
    descriptor: ServiceDescriptor,
    specs: Mapping[str, MethodSpec],
    records: str = "",
    limits: WireLimits = _LIMITS,
) -> Service:
    """Puts a service together.

    Args:
        descriptor: names its methods and their messages.
        specs: what is done for each of its methods, by its name.
        records: before the names of its methods in records.
        limits: of its messages, beside those of the port.

    Raises:
        KeyError: nothing is done for a method.
    """
    name = descriptor.full_name.removeprefix(PRIVATE)
    paths = {f"/{name}/{method.name}": method for method in descriptor.methods}
    methods = {
        path: _method(method, specs[method.name], records, limits) for path, method in paths.items()
    }
    predictions = (path for path, method in paths.items() if specs[method.name].predicts)
    return Service(name, descriptor, methods, frozenset(predictions))


def _method(
    descriptor: MethodDescriptor, spec: MethodSpec, records: str, limits: WireLimits
) -> Method:
    # The classes come from the descriptors, so the types are not known before run time.
    response: Any = GetMessageClass(descriptor.output_type)
    name, form = f"{records}{descriptor.name}", spec.stream
    if not spec.takes_large:
        limits = replace(limits, message_bytes=SMALL_MESSAGE_BYTES)
    scan, parse = WireScan(descriptor.input_type, limits).read, _parse(descriptor.input_type)
    if form is None:
        return Method(name, scan, parse, spec.behaviour, response.SerializeToString, spec.id_field)
    return Method(
        name,
        scan,
        lambda content: form.read(parse(content)),
        spec.behaviour,
        lambda answer: response.SerializeToString(form.write(answer)),
        spec.id_field,
        refuse=lambda failure: response.SerializeToString(form.refuse(failure)),
        keeps_order=form.keeps_order,
    )


def _parse(descriptor: Descriptor) -> Callable[[bytes], Any]:
    message: Any = GetMessageClass(descriptor)
    # A type without fields would keep whatever came as unknown.
    return message.FromString if descriptor.fields else lambda _: message()


def predictions_of(services: Iterable[Service]) -> dict[str, str]:
    """From the paths of the methods that are one prediction to their names in records."""
    return {
        path: service.methods[path].name for service in services for path in service.predictions
    }


def unary_routes(services: Iterable[Service], calls: Calls) -> dict[str, AnswerUnary]:
    """What answers the unary methods, by their paths."""
    return {
        path: partial(calls.answer, method)
        for service in services
        for path, method in service.methods.items()
        if method.refuse is None
    }


def stream_routes(
    services: Iterable[Service], calls: Calls, streams: Streams
) -> dict[str, ServeStream]:
    """What serves the methods of streams, by their paths."""
    return {
        path: partial(_serve, calls, streams, method, method.refuse)
        for service in services
        for path, method in service.methods.items()
        if method.refuse is not None
    }


async def _serve(
    calls: Calls,
    streams: Streams,
    method: Method,
    refuse: Callable[[Failure], bytes],
    head: CallHead,
    messages: Messages,
) -> Status:
    """Serves a stream, whose requests are answered and recorded one by one."""

    async def answer(content: bytes) -> bytes:
        outcome = await calls.answer(method, head, content)
        return outcome.content if isinstance(outcome, Reply) else refuse(outcome)

    try:
        in_form = InOrder(answer).answer if method.keeps_order else answer
        await streams.serve(messages, in_form, head.peer)
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - the last resort of every stream
        return calls.fail_stream(method.name, error)
    return _OK


_OK: Final = Status(Code.OK)
