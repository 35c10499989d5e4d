"""The calls of the client that report what rows really were."""

from abc import abstractmethod
from collections.abc import Iterable

from batchproof_client.connection import Connection
from batchproof_client.errors import BatchproofError
from batchproof_client.outcomes import (
    AcceptedOutcome,
    Outcome,
    OutcomeResult,
    messages_of,
    refused,
    results_of,
)


class OutcomeReports:
    """The part of :class:`~batchproof_client.client.AsyncClient` that labels need."""

    _connection: Connection

    async def report_outcome(
        self,
        request_id: str = "",
        label: str | int = "",
        *,
        row: int = 0,
        handle: str = "",
        timeout_s: float | None = None,
    ) -> AcceptedOutcome:
        """Tells the server what a row that was answered really was.

        Args:
            request_id: of the answer (``result.request_id``), where the server accepts it in the
                place of a handle.
            label: a label of the model, or a class index as ``int``.
            row: its place in that request; only beside a request id.
            handle: of the row (``result.handle``, or ``result.rows[n].handle``).
            timeout_s: until the answer, retries included; None for the client's.

        Raises:
            LocalInputError: the handle cannot be read, or there is not either a handle or an id.
            AnswerNotFound: the server does not know the answer or its key, or it is too old.
            OutcomeAlreadyReported: the row has its outcome.
            InvalidRequest: the handle was changed, a request id is not accepted, or the answer has
                no such row or class.
            NotSupported: the server takes no outcomes.
            BatchproofError: the server could not answer.
        """
        outcome = Outcome(request_id, label, row, handle)
        (result,) = await self.report_outcomes([outcome], timeout_s=timeout_s)
        return result.unwrap()

    async def report_outcomes(
        self, outcomes: Iterable[Outcome], *, timeout_s: float | None = None
    ) -> tuple[OutcomeResult, ...]:
        """Tells the server what many rows really were; one that is refused disturbs no other.

        Args:
            outcomes: any number; sent 1,000 a call.
            timeout_s: for each call; None for the client's.

        Raises:
            LocalInputError: an outcome cannot be sent; those before it may have been.
            BatchproofError: the server could not answer; calls before it counted.
        """
        results: list[OutcomeResult] = []
        for part, message in messages_of(outcomes):
            deadline_s = self._deadline_s(timeout_s)
            method = self._connection.prediction.ReportOutcome
            try:
                response = await self._connection.call(method, message, deadline_s)
            except BatchproofError as error:
                alone = refused(part, error)
                if alone is None:
                    raise
                results.append(alone)
            else:
                results.extend(results_of(part, response))
        return tuple(results)

    @abstractmethod
    def _deadline_s(self, timeout_s: float | None) -> float:
        """The instant until which a call may take."""
