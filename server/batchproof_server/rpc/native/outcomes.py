"""``ReportOutcome``: reads the message, asks the desk, writes the message."""

from collections.abc import Sequence

from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.base.errors import InvalidInput, ServingError
from batchproof_server.outcomes.desk import OutcomeDesk
from batchproof_server.outcomes.known_labels import AcceptedOutcome
from batchproof_server.outcomes.refusals import Outcome, TrueLabels
from batchproof_server.rpc.calls import Call
from batchproof_server.rpc.status import failure_of

MAX_OUTCOMES = 1_000


class OutcomeReports:
    """Answers ``ReportOutcome`` as the contract in prediction.proto says.

    Args:
        desk: takes the outcomes.
    """

    def __init__(self, desk: OutcomeDesk) -> None:
        self._desk = desk

    async def answer(
        self, request: pb.ReportOutcomeRequest, call: Call
    ) -> pb.ReportOutcomeResponse:
        """The results, in the request's order.

        Raises:
            InvalidInput: there are no outcomes, or too many.
            ServingError: of the only outcome, as the desk says.
        """
        outcomes = request.outcomes
        if not 1 <= len(outcomes) <= MAX_OUTCOMES:
            raise InvalidInput(f"{len(outcomes)} outcomes, expected 1 to {MAX_OUTCOMES}")
        if len(outcomes) == 1:
            accepted = self._desk.report(_read(outcomes[0]))
            call.trace.model, call.trace.version = accepted.record.model, accepted.record.version
            return pb.ReportOutcomeResponse(results=[_write(accepted)])
        return pb.ReportOutcomeResponse(results=self._results(outcomes, call.request_id))

    def _results(self, outcomes: Sequence[pb.Outcome], request_id: str) -> list[pb.OutcomeResult]:
        return [self._result(each, request_id) for each in outcomes]

    def _result(self, outcome: pb.Outcome, request_id: str) -> pb.OutcomeResult:
        try:
            return _write(self._desk.report(_read(outcome)))
        except ServingError as refused:
            failure = failure_of(refused, request_id)
            error = pb.Error(code=failure.code, message=failure.text)
            return pb.OutcomeResult(error=error)


def _read(outcome: pb.Outcome) -> Outcome:
    if outcome.handle and (outcome.request_id or outcome.row):
        raise InvalidInput("the outcome has a handle, expected no request_id and no row beside it")
    truth: int | str | TrueLabels | None = None
    match outcome.WhichOneof("truth"):
        case "class_index":
            truth = outcome.class_index
        case "label":
            truth = outcome.label
        case "label_set":
            given = outcome.label_set
            truth = TrueLabels(tuple(given.labels), tuple(given.class_indices))
    return Outcome(truth, outcome.handle, outcome.request_id, outcome.row)


def _write(accepted: AcceptedOutcome) -> pb.OutcomeResult:
    record = accepted.record
    predicted = pb.ScoredClass(
        index=record.predicted, label=accepted.predicted_label, score=record.confidence
    )
    return pb.OutcomeResult(
        accepted=pb.AcceptedOutcome(
            model=record.model,
            version=record.version,
            predicted=predicted,
            is_correct=record.is_correct,
            predicted_labels=accepted.predicted_labels,
        )
    )
