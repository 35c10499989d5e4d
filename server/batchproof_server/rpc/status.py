"""The one place that turns errors into gRPC codes and texts."""

from dataclasses import dataclass

import grpc

from batchproof_server.base.errors import (
    AnswerExpired,
    AnswerUnknown,
    BackendFailed,
    DeadlineExceeded,
    Draining,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    ModelRefused,
    NotImplementedYet,
    OutcomeReported,
    QueueFull,
    ServingError,
)

CODES: dict[type[ServingError], grpc.StatusCode] = {
    InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    NotImplementedYet: grpc.StatusCode.UNIMPLEMENTED,
    ModelNotFound: grpc.StatusCode.NOT_FOUND,
    AnswerUnknown: grpc.StatusCode.NOT_FOUND,
    AnswerExpired: grpc.StatusCode.NOT_FOUND,
    OutcomeReported: grpc.StatusCode.ALREADY_EXISTS,
    ModelNotReady: grpc.StatusCode.UNAVAILABLE,
    ModelRefused: grpc.StatusCode.FAILED_PRECONDITION,
    Draining: grpc.StatusCode.UNAVAILABLE,
    QueueFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    BackendFailed: grpc.StatusCode.INTERNAL,
}

# gRPC carries the text in a header, three characters for each byte that is not plain ASCII, and
# clients accept 8 KiB of headers.
MAX_MESSAGE_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Failure:
    """What the caller of a failed request is told.

    Attributes:
        retry_after_s: when trying again makes sense; None when it does not, or at once elsewhere.
    """

    code: grpc.StatusCode
    message: str
    retry_after_s: float | None = None

    @property
    def code_number(self) -> int:
        """The number of the code in google.rpc.Code."""
        number: int = self.code.value[0]
        return number


def failure_of(error: BaseException, request_id: str) -> Failure:
    """The answer to a request that raised ``error``.

    An error that is not the caller's business is told by a generic text and the request id, never
    by its own text.
    """
    code = CODES.get(type(error), grpc.StatusCode.INTERNAL)  # type: ignore[arg-type] # a foreign type is simply not found
    if code is grpc.StatusCode.INTERNAL:
        return Failure(
            code, f"internal error; the server's log has more under request {request_id}"
        )
    retry_after_s = error.retry_after_s if isinstance(error, QueueFull) else None
    return Failure(code, _cut(str(error)), retry_after_s)


def _cut(message: str) -> str:
    encoded = message.encode("utf-8", "replace")
    if len(encoded) > MAX_MESSAGE_BYTES:
        encoded = encoded[: MAX_MESSAGE_BYTES - len(_ELLIPSIS)] + _ELLIPSIS
    return encoded.decode("utf-8", "ignore")


_ELLIPSIS = b"..."
