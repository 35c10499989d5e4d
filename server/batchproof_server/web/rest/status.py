"""The one place that turns codes into the statuses of HTTP."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from batchproof_server.rpc.fronts.front import Code
from batchproof_server.rpc.status import Failure
from batchproof_server.web.rest.exchange import RestAnswer, refusal

# Those of TensorFlow Serving, where it has one.
STATUSES: Final[Mapping[Code, HTTPStatus]] = {
    Code.OK: HTTPStatus.OK,
    Code.CANCELLED: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.UNKNOWN: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.FAILED_PRECONDITION: HTTPStatus.PRECONDITION_FAILED,
    Code.ABORTED: HTTPStatus.CONFLICT,
    Code.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.DATA_LOSS: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
}


def failed_answer(failure: Failure) -> RestAnswer:
    """The answer to a request that failed."""
    headers = {"x_request_id": failure.request_id}
    if failure.retry_after_s is not None:
        headers["retry_after"] = str(max(1, math.ceil(failure.retry_after_s)))
    return refusal(STATUSES[failure.code], failure.text, **headers)
