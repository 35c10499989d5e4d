"""``grpc.health.v1`` for every front: reads and writes its messages, and asks the health."""

from typing import Any, Final

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from batchproof_server.base.errors import InvalidInput
from batchproof_server.rpc.fronts.front import (
    GOING,
    AnswerUnary,
    CallHead,
    Code,
    Messages,
    Reply,
    ServeStream,
    Status,
)
from batchproof_server.rpc.health import Health
from batchproof_server.rpc.wire_limits import SMALL_MESSAGE_BYTES, WireLimits
from batchproof_server.rpc.wire_scan import WireScan

_CHECK: Final = "/grpc.health.v1.Health/Check"
_WATCH: Final = "/grpc.health.v1.Health/Watch"
_STATES: Final = {
    True: health_pb2.HealthCheckResponse.SERVING,
    False: health_pb2.HealthCheckResponse.NOT_SERVING,
    None: health_pb2.HealthCheckResponse.SERVICE_UNKNOWN,
}
_UNREADABLE: Final = Status(Code.INVALID_ARGUMENT, "the message cannot be read")
# The stubs do not agree on what a descriptor is.
_REQUEST: Any = health_pb2.DESCRIPTOR.message_types_by_name["HealthCheckRequest"]
_SCAN: Final = WireScan(_REQUEST, WireLimits(message_bytes=SMALL_MESSAGE_BYTES))
_UNKNOWN: Final = Status(Code.NOT_FOUND, "there is no such service or model")


def check_routes(health: Health) -> dict[str, AnswerUnary]:
    """What answers checks. They are not recorded: an orchestrator asks every few seconds."""

    async def check(head: CallHead, content: bytes | None) -> Reply | Status:
        del head
        if isinstance(service := _service(content), Status):
            return service
        is_serving = health.state(service)
        return _UNKNOWN if is_serving is None else Reply(_written(is_serving))

    return {_CHECK: check}


# The servicer of grpc-health-checking lets a watch go on until its caller ends it: the server would
# wait out its grace at every orderly end. A watch is told the latest state, not each change.
def watch_routes(health: Health) -> dict[str, ServeStream]:
    """What serves watches: tells a state now and whenever it has changed, until the end."""

    async def watch(head: CallHead, messages: Messages) -> Status:
        del head
        if isinstance(service := _service(await messages.read()), Status):
            return service
        told = None
        while True:
            changed, written = health.changed, _written(health.state(service))
            if written != told:
                await messages.write(written)
                told = written
            elif health.is_ending:
                return GOING
            else:
                await changed.wait()

    return {_WATCH: watch}


def _service(content: bytes | None) -> str | Status:
    """The name that is asked for, or why the message is not read."""
    if content is None:
        return _UNREADABLE
    try:
        _SCAN.read(content)
        return health_pb2.HealthCheckRequest.FromString(content).service
    except DecodeError:
        return _UNREADABLE
    except InvalidInput as too_much:
        return Status(Code.INVALID_ARGUMENT, str(too_much))


def _written(state: bool | None) -> bytes:  # noqa: FBT001 - the value that is written
    return health_pb2.HealthCheckResponse(status=_STATES[state]).SerializeToString()
