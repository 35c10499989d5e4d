"""The one place that turns errors into codes and texts."""

from dataclasses import dataclass

from batchproof.text import printable
from batchproof_server.base.errors import (
    AnswerExpired,
    AnswerUnknown,
    BackendFailed,
    DeadlineExceeded,
    Draining,
    Forbidden,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    ModelRaised,
    ModelRefused,
    NotImplementedYet,
    OrderNotKept,
    OutcomeReported,
    QueueFull,
    QuotaExceeded,
    ServingError,
    Unauthenticated,
)
from batchproof_server.rpc.fronts.front import Code, Status

CODES: dict[type[ServingError], Code] = {
    InvalidInput: Code.INVALID_ARGUMENT,
    NotImplementedYet: Code.UNIMPLEMENTED,
    ModelNotFound: Code.NOT_FOUND,
    AnswerUnknown: Code.NOT_FOUND,
    AnswerExpired: Code.NOT_FOUND,
    OutcomeReported: Code.ALREADY_EXISTS,
    ModelNotReady: Code.UNAVAILABLE,
    ModelRefused: Code.FAILED_PRECONDITION,
    OrderNotKept: Code.FAILED_PRECONDITION,
    Draining: Code.UNAVAILABLE,
    QueueFull: Code.RESOURCE_EXHAUSTED,
    QuotaExceeded: Code.RESOURCE_EXHAUSTED,
    Unauthenticated: Code.UNAUTHENTICATED,
    Forbidden: Code.PERMISSION_DENIED,
    DeadlineExceeded: Code.DEADLINE_EXCEEDED,
    BackendFailed: Code.INTERNAL,
    ModelRaised: Code.INTERNAL,
}

REQUEST_ID_KEY = "x-request-id"
_PUSHBACK_KEY = "grpc-retry-pushback-ms"

# gRPC carries the text in a header, three characters for each byte that is not plain ASCII, and
# clients accept 8 KiB of headers.
MAX_MESSAGE_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Failure(Status):
    """What the caller of a failed request is told.

    Attributes:
        request_id: the caller's or ours.
        retry_after_s: when trying again makes sense; None when it does not, or at once elsewhere.
        given_id: the id that stands in the request, readable or not, by which a caller finds the
            answer in a stream; empty when it has none.
    """

    request_id: str = ""
    retry_after_s: float | None = None
    given_id: str = ""

    def of_request(self, request_id: str) -> "Failure":
        """The same of another request."""
        trailers = ((REQUEST_ID_KEY, request_id), *self.trailers[1:])
        return Failure(self.code, self.text, trailers, request_id, self.retry_after_s)


def failure_of(error: BaseException, request_id: str, given_id: str = "") -> Failure:
    """The answer to a request that raised ``error``.

    An error that is not the caller's business is told by a generic text and the request id, never
    by its own text.
    """
    code = CODES.get(type(error), Code.INTERNAL)  # type: ignore[arg-type] # a foreign type is simply not found
    if code is Code.INTERNAL:
        text = f"internal error; the server's log has more under request {request_id}"
        return failed(code, text, request_id, given_id=given_id)
    retry_after_s = None
    if isinstance(error, (QueueFull, QuotaExceeded)):
        retry_after_s = error.retry_after_s
    return failed(code, _cut(printable(str(error))), request_id, retry_after_s, given_id)


def failed(
    code: Code,
    text: str,
    request_id: str,
    retry_after_s: float | None = None,
    given_id: str = "",
) -> Failure:
    """A failure with the trailing metadata that go with it."""
    trailers = [(REQUEST_ID_KEY, request_id)]
    if retry_after_s is not None:
        trailers.append((_PUSHBACK_KEY, str(max(1, round(retry_after_s * 1000)))))
    return Failure(code, text, tuple(trailers), request_id, retry_after_s, given_id)


def _cut(message: str) -> str:
    encoded = message.encode("utf-8", "replace")
    if len(encoded) > MAX_MESSAGE_BYTES:
        encoded = encoded[: MAX_MESSAGE_BYTES - len(_ELLIPSIS)] + _ELLIPSIS
    return encoded.decode("utf-8", "ignore")


_ELLIPSIS = b"..."
