"""What is reported, and what the caller is told when it does not count."""

from dataclasses import dataclass
from typing import Final

from batchproof_server.base.errors import (
    AnswerExpired,
    AnswerUnknown,
    InvalidInput,
    OutcomeReported,
    ServingError,
    cut,
)
from batchproof_server.outcomes.answered import OutcomeRefusal


@dataclass(frozen=True, slots=True)
class TrueLabels:
    """All labels that are true, of those that are independent of each other.

    Attributes:
        labels: by name.
        class_indices: by index; both together are the set.
    """

    labels: tuple[str, ...] = ()
    class_indices: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one row really was.

    Attributes:
        truth: the class, by index or by label, or the true labels of independent ones; None when
            the caller gave none.
        handle: of the row; empty when the answer is named by request id and row.
    """

    truth: int | str | TrueLabels | None
    handle: bytes = b""
    request_id: str = ""
    row: int = 0


@dataclass(frozen=True, slots=True)
class RefusedOutcome:
    """Why an outcome does not count.

    Attributes:
        model: that answered; empty when nobody may believe that.
        version: its number, or 0.
    """

    reason: OutcomeRefusal
    model: str = ""
    version: int = 0


def error_of(reason: OutcomeRefusal, outcome: Outcome) -> ServingError:
    """The error that tells the reporter."""
    if outcome.handle and reason in _HANDLES:
        kind, text = _HANDLES[reason]
        return kind(text)
    kind, text = _IDS[reason]
    return kind(text.format(request=f'request "{cut(outcome.request_id)}"', row=outcome.row))


_HANDLES: Final[dict[OutcomeRefusal, tuple[type[ServingError], str]]] = {
    OutcomeRefusal.MALFORMED: (
        InvalidInput,
        "the handle cannot be read, expected the one that a row was answered with, whole",
    ),
    OutcomeRefusal.FORGED: (
        InvalidInput,
        (
            "the handle was changed, its seal does not fit; expected the one that a row was "
            "answered with"
        ),
    ),
    OutcomeRefusal.UNKNOWN_KEY: (
        AnswerUnknown,
        (
            "the handle is sealed under a key that this server does not have; expected the same "
            "[outcomes] key_file at all replicas and after a restart"
        ),
    ),
    OutcomeRefusal.UNKNOWN_MODEL: (
        AnswerUnknown,
        "the handle is of a model version that this server does not serve",
    ),
    OutcomeRefusal.EXPIRED: (
        AnswerExpired,
        "the answer of this handle is too old, outcomes are closed",
    ),
    OutcomeRefusal.ALREADY_REPORTED: (
        OutcomeReported,
        "the row of this handle has its outcome already",
    ),
}
_IDS: Final[dict[OutcomeRefusal, tuple[type[ServingError], str]]] = {
    OutcomeRefusal.NO_HANDLE: (
        InvalidInput,
        (
            "the outcome has no handle, and a request id alone is not accepted; expected the "
            "handle that the row was answered with, or [outcomes] accept_request_ids = true on "
            "the server"
        ),
    ),
    OutcomeRefusal.UNKNOWN: (AnswerUnknown, "{request}: no answer is remembered under this id"),
    OutcomeRefusal.EXPIRED: (
        AnswerExpired,
        "{request}: its answer is too old, outcomes are closed",
    ),
    OutcomeRefusal.ALREADY_REPORTED: (
        OutcomeReported,
        "{request}: row {row} has its outcome already",
    ),
    OutcomeRefusal.AMBIGUOUS: (
        InvalidInput,
        "{request}: different answers were given under this id",
    ),
    OutcomeRefusal.ROW_OUT_OF_RANGE: (InvalidInput, "{request}: its answer has no row {row}"),
    OutcomeRefusal.NO_ANSWER: (
        InvalidInput,
        "{request}: row {row} was answered with NaN, about which nothing can be right or wrong",
    ),
}
