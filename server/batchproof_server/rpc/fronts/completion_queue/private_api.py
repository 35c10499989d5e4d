"""The door to grpcio's private API: its names, and the few shapes in which they are used here.

The same names are used by grpcio's own synchronous server, so they change when it does. ``missing``
is asked before anything else of this folder is used.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final, TypeAlias

from batchproof_server.rpc.fronts.certificates import subjects_in
from batchproof_server.rpc.fronts.front import Code, Metadata, Reply, Status

# The C core gives calls, events of its queue and operations no types.
CoreCall: TypeAlias = Any
CoreEvent: TypeAlias = Any

cygrpc: Final[Any] = import_module("grpc._cython.cygrpc")

_NAMES: Final[Mapping[str, Sequence[str]]] = {
    "CompletionQueue": ("poll", "shutdown"),
    "CompletionType": ("operation_complete", "queue_shutdown", "queue_timeout"),
    "Server": (
        "add_http2_port",
        "cancel_all_calls",
        "destroy",
        "register_completion_queue",
        "request_call",
        "shutdown",
        "start",
    ),
    "Call": ("cancel", "peer", "start_server_batch"),
    "RequestCallEvent": ("call", "call_details", "invocation_metadata", "success", "tag"),
    "BatchOperationEvent": ("batch_operations", "success", "tag"),
    "ReceiveCloseOnServerOperation": ("cancelled",),
    "ReceiveMessageOperation": ("message",),
    "SendInitialMetadataOperation": (),
    "SendMessageOperation": (),
    "SendStatusFromServerOperation": (),
    "auth_context": (),
}


def missing() -> list[str]:
    """The names that are needed and that this grpcio has not; empty when all are there."""
    absent: list[str] = []
    for name, members in _NAMES.items():
        found = getattr(cygrpc, name, None)
        if found is None:
            absent.append(name)
        absent += [f"{name}.{each}" for each in members if found and not hasattr(found, each)]
    return absent


# Operations are made anew for each batch: one that is shared is freed twice.
_NO_FLAGS: Final = 0
_NO_METADATA: Final = ()


def receive_close() -> Any:
    """Completes when the call is over."""
    return cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS)


def receive_message() -> Any:
    """Completes with the next message, or with None."""
    return cygrpc.ReceiveMessageOperation(_NO_FLAGS)


def send_message(content: bytes, *, is_first: bool) -> tuple[Any, ...]:
    """Completes when there is room for the next one."""
    message = cygrpc.SendMessageOperation(content, _NO_FLAGS)
    return (_headers(), message) if is_first else (message,)


def end_of_call(outcome: Reply | Status, *, is_first: bool) -> tuple[Any, ...]:
    """The operations that end a call, headers included where nothing was sent before."""
    operations: list[Any] = [_headers()] if is_first else []
    if isinstance(outcome, Reply):
        operations.append(cygrpc.SendMessageOperation(outcome.content, _NO_FLAGS))
        operations.append(_status(Code.OK, "", outcome.trailers))
    else:
        operations.append(_status(outcome.code, outcome.text, outcome.trailers))
    return tuple(operations)


def _headers() -> Any:
    return cygrpc.SendInitialMetadataOperation(_NO_METADATA, _NO_FLAGS)


def _status(code: Code, text: str, trailers: Metadata) -> Any:
    # The core wants a plain int, and bytes, which it writes as HTTP/2 wants them.
    details = text.encode("utf-8", "replace")
    return cygrpc.SendStatusFromServerOperation(tuple(trailers), int(code), details, _NO_FLAGS)


def peer_of(call: CoreCall) -> str:
    """The caller's address; bytes or text, as the release of grpcio has it."""
    peer = call.peer()
    return peer.decode("utf-8", "replace") if isinstance(peer, bytes) else str(peer)


def subjects_of(call: CoreCall) -> tuple[str, ...]:
    """The subjects of the client's certificate; none without one."""
    return subjects_in(cygrpc.auth_context(call))


NO_DEADLINE_S: Final = 1e17
"""From here on an instant of the C core stands for none."""
