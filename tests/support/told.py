"""Events of several requests, as observers are told of them."""

from batchproof_server.base.events import (
    PredictionRecord,
    RequestRecord,
    RequestsFinished,
    RequestsScored,
)


def finished(*records: RequestRecord) -> RequestsFinished:
    """The ends of requests."""
    return RequestsFinished(records)


def scored(*records: PredictionRecord) -> RequestsScored:
    """The answers of requests."""
    return RequestsScored(records)
