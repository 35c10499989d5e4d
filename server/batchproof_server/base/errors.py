"""Everything that can go wrong with a request, as values that know no transport.

::

    ServingError
    ├── InvalidInput        the request can never succeed; says what came and what was expected
    ├── NotImplementedYet   an option that the contract reserves and this server cannot do
    ├── ModelNotFound       lists what is served
    ├── AnswerUnknown       an outcome for an answer that this server does not know of
    ├── AnswerExpired       an outcome that comes too late
    ├── OutcomeReported     an outcome for a row that has one
    ├── ModelNotReady       loading or warming up; another replica may answer
    ├── ModelRefused        failed to load; carries the findings
    ├── OrderNotKept        what an operator ordered is done, and is lost at the next start
    ├── Draining            the server is going away; another replica may answer
    ├── QueueFull           busy; the same request may succeed after ``retry_after_s``
    ├── QuotaExceeded       the caller has as much as it may; others may have more
    ├── Unauthenticated     nothing shows who the caller is
    ├── Forbidden           the caller is known and may not do this
    ├── DeadlineExceeded    shed before execution
    └── BackendFailed       the model itself failed; its text stays in the server's log
        └── ModelRaised     it failed for these rows, and may answer others

``rpc/status.py`` is the one place that turns these into gRPC codes.
"""


class ServingError(Exception):
    """Root of the tree; its text is written for the caller."""


class InvalidInput(ServingError):
    """Shape, dtype, name, format, or more rows, pixels or bytes than the limits allow."""


class NotImplementedYet(ServingError):
    """The wire contract reserves this option; the server cannot do it yet."""


class ModelNotFound(ServingError):
    """No such model, version or label."""


class AnswerUnknown(ServingError):
    """The server gave no such answer, has forgotten it, or cannot open its handle."""


class AnswerExpired(ServingError):
    """The answer is older than outcomes are accepted for."""


class OutcomeReported(ServingError):
    """The row has its outcome already; it counts once."""


class ModelNotReady(ServingError):
    """The version exists and is still being loaded or warmed up."""


class ModelRefused(ServingError):
    """The version exists and could not be loaded.

    Args:
        message: one sentence for the caller.
        findings: one sentence for each fault.
    """

    def __init__(self, message: str, findings: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.findings = findings


class OrderNotKept(ServingError):
    """The order was carried out and could not be written where orders are kept."""


class Draining(ServingError):
    """Nothing new is accepted because the server or the version is going away."""


class QueueFull(ServingError):
    """A bounded resource (queue rows, decoded bytes, streams) is used up.

    Args:
        message: one sentence for the caller.
        retry_after_s: when trying again makes sense.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QuotaExceeded(ServingError):
    """The caller has as much as it may.

    Args:
        message: one sentence for the caller.
        retry_after_s: when trying again makes sense.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unauthenticated(ServingError):
    """Nothing shows who the caller is; the text holds nothing of what it brought."""


class Forbidden(ServingError):
    """The caller is known and may not do this."""


class DeadlineExceeded(ServingError):
    """The deadline passed while the request waited; it was not executed."""


class BackendFailed(ServingError):
    """The model raised or broke its contract. The cause is chained, and never sent."""


class ModelRaised(BackendFailed):
    """The model raised while it executed these rows; it may well answer others."""


def cut(text: str, characters: int = 80) -> str:
    """What a caller wrote, short enough for a sentence."""
    return text if len(text) <= characters else text[:characters] + "..."
