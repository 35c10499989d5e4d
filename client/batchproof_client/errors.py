"""Everything that can go wrong for a caller of the client.

::

    BatchproofError              code, request_id
    ├── LocalInputError          found here, before anything was sent; also a ValueError
    ├── ClientClosed             the client was closed, or the process forked after it was opened
    ├── InvalidRequest           the request can never succeed
    │   ├── MessageTooLarge      larger than the server or this client allows
    │   └── OutcomeAlreadyReported  the row has its outcome
    ├── NotSupported             the server cannot do this option or this call
    ├── ModelNotFound            the text lists what is served
    ├── AnswerNotFound           the server does not know, or no longer knows, the answer
    ├── ModelRefused             the model failed to load or to prove itself; the text has findings
    ├── Unavailable              not reachable, loading or going away; another replica may answer
    ├── ServerBusy               retry_after_s says when trying again makes sense, if the server did
    ├── DeadlineExceeded         no answer within the time that the caller gave
    ├── Unauthenticated          the server does not know who asks
    ├── PermissionDenied         the server knows and refuses
    └── ServerFailed             a fault of the server; its text names it in the server's log
"""

from typing import Final

import grpc


class BatchproofError(Exception):
    """Root of the tree; its text is one sentence for the user.

    Args:
        message: what happened.
        code: the gRPC code, or None when the fault was found without the server.
        request_id: the id under which the server logged the request; empty when there is none.
    """

    def __init__(
        self, message: str, *, code: grpc.StatusCode | None = None, request_id: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


class LocalInputError(BatchproofError, ValueError):
    """What was given cannot be sent: no such file, an empty list, a name that does not parse."""


class ClientClosed(BatchproofError):
    """The client can no longer be used in this process."""


class InvalidRequest(BatchproofError):
    """The server says what came and what it expected."""


class MessageTooLarge(InvalidRequest):
    """A request or an answer has more bytes than one of the two ends allows."""


class OutcomeAlreadyReported(InvalidRequest):
    """The row has its outcome already; after a retry, the first attempt may have counted."""


class NotSupported(BatchproofError):
    """The contract has it and this server does not."""


class ModelNotFound(BatchproofError):
    """No such model, version or label."""


class AnswerNotFound(BatchproofError):
    """The server gave no such answer, has forgotten it, or takes no more outcomes for it."""


class ModelRefused(BatchproofError):
    """The server holds this version and does not serve it."""


class Unavailable(BatchproofError):
    """The server or the model cannot answer now."""


class ServerBusy(BatchproofError):
    """The server is full.

    Args:
        message: what happened.
        code: the gRPC code.
        request_id: as in the server's log.
        retry_after_s: when trying again makes sense; None when the server did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        request_id: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, request_id=request_id)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(BatchproofError):
    """The time given has passed."""


class Unauthenticated(BatchproofError):
    """Credentials are missing or wrong."""


class PermissionDenied(BatchproofError):
    """The credentials do not allow it."""


class ServerFailed(BatchproofError):
    """The server broke; trying the same again may or may not help."""


# Total over the codes of an RPC that failed; a test proves it.
_KINDS: Final[dict[grpc.StatusCode, type[BatchproofError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.ALREADY_EXISTS: OutcomeAlreadyReported,
    grpc.StatusCode.UNIMPLEMENTED: NotSupported,
    grpc.StatusCode.NOT_FOUND: ModelNotFound,
    grpc.StatusCode.FAILED_PRECONDITION: ModelRefused,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ServerBusy,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.INTERNAL: ServerFailed,
    grpc.StatusCode.UNKNOWN: ServerFailed,
    grpc.StatusCode.DATA_LOSS: ServerFailed,
    grpc.StatusCode.ABORTED: ServerFailed,
    grpc.StatusCode.CANCELLED: ServerFailed,
}
# The words of gRPC itself, at either end; the code alone cannot tell it from a full queue.
_TOO_LARGE: Final = "message larger than max"


def error_of(
    code: grpc.StatusCode,
    message: str,
    *,
    request_id: str = "",
    retry_after_s: float | None = None,
) -> BatchproofError:
    """Returns the error that stands for a gRPC status."""
    message = message or code.name
    kind = _KINDS.get(code, ServerFailed)
    if kind is not ServerBusy:
        return kind(message, code=code, request_id=request_id)
    if _TOO_LARGE in message:
        return MessageTooLarge(message, code=code, request_id=request_id)
    return ServerBusy(message, code=code, request_id=request_id, retry_after_s=retry_after_s)


def error_of_number(
    number: int, message: str, *, request_id: str, retry_after_s: float | None = None
) -> BatchproofError:
    """Returns the error for a number of ``google.rpc.Code``, as a stream's answers carry it."""
    code = _CODES_BY_NUMBER.get(number, grpc.StatusCode.UNKNOWN)
    return error_of(code, message, request_id=request_id, retry_after_s=retry_after_s)


_CODES_BY_NUMBER: Final = {code.value[0]: code for code in grpc.StatusCode}
