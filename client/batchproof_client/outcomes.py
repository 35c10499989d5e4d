"""Labels that arrive later: what a row really was, reported to the server that had answered it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import grpc

from batchproof.handles import HandleError, handle_from_text
from batchproof.v1 import prediction_pb2 as pb
from batchproof_client.answers import ScoredClass
from batchproof_client.errors import (
    AnswerNotFound,
    BatchproofError,
    LocalInputError,
    ModelNotFound,
    ServerFailed,
    error_of_number,
)

MAX_OUTCOMES: Final = 1_000
"""Of one call; more are sent in several."""
_MAX_UINT32: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one row of an answered request really was.

    Attributes:
        request_id: of the answer, where the server accepts it in the place of a handle.
        label: a label of the model, or a class index as ``int``.
        row: its place in the request, from 0; only beside a request id.
        handle: of the answered row, the text that its answer came with.
        labels: in the place of ``label``, of a model with independent labels: all that are true,
            each a label or a class index; none is an empty tuple.
    """

    request_id: str = ""
    label: str | int = ""
    row: int = 0
    handle: str = ""
    labels: tuple[str | int, ...] | None = None


@dataclass(frozen=True, slots=True)
class AcceptedOutcome:
    """An outcome that the server counted.

    Attributes:
        model: who had answered.
        version: its version.
        predicted: what the answer was, with its confidence; of independent labels only that.
        is_correct: whether that is the true class; of independent labels, whether exactly these
            are true.
        predicted_labels: of independent labels those that were answered.
    """

    model: str
    version: int
    predicted: ScoredClass
    is_correct: bool
    predicted_labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutcomeResult:
    """What became of one outcome; one of the two is None.

    Attributes:
        outcome: as it was reported.
        accepted: set when it counts.
        error: set when it does not: ``AnswerNotFound``, ``OutcomeAlreadyReported`` or
            ``InvalidRequest``.
    """

    outcome: Outcome
    accepted: AcceptedOutcome | None = None
    error: BatchproofError | None = None

    def unwrap(self) -> AcceptedOutcome:
        """Returns what was accepted.

        Raises:
            BatchproofError: it was refused.
        """
        if self.accepted is not None:
            return self.accepted
        raise self.error or ServerFailed("the outcome has no result")


def messages_of(
    outcomes: Iterable[Outcome],
) -> Iterator[tuple[Sequence[Outcome], pb.ReportOutcomeRequest]]:
    """Writes outcomes as messages that the server accepts, each with what it holds.

    Raises:
        LocalInputError: a handle cannot be read, stands beside a request id, or both are missing;
            or a row or a class index is no number that can be sent.
    """
    rest = iter(outcomes)
    while part := tuple(islice(rest, MAX_OUTCOMES)):
        yield part, pb.ReportOutcomeRequest(outcomes=[_message(each) for each in part])


def _message(outcome: Outcome) -> pb.Outcome:
    if bool(outcome.handle) == bool(outcome.request_id) or (outcome.handle and outcome.row):
        raise LocalInputError("expected either a handle, or a request id and a row of it")
    message = pb.Outcome(request_id=outcome.request_id, row=_checked("row", outcome.row))
    if outcome.handle:
        message.handle = _handle(outcome.handle)
    if outcome.labels is not None:
        if outcome.label != "":
            raise LocalInputError("expected either label or labels")
        names = [each for each in outcome.labels if isinstance(each, str)]
        indices = [each for each in outcome.labels if not isinstance(each, str)]
        checked = [_checked("class index", each) for each in indices]
        message.label_set.CopyFrom(pb.LabelSet(labels=names, class_indices=checked))
    elif isinstance(outcome.label, str):
        message.label = outcome.label
    else:
        message.class_index = _checked("class index", outcome.label)
    return message


def _handle(text: str) -> bytes:
    try:
        return handle_from_text(text)
    except HandleError as fault:
        raise LocalInputError(str(fault)) from fault


def _checked(name: str, number: int) -> int:
    if not 0 <= number <= _MAX_UINT32:
        raise LocalInputError(f"the {name} is {number}, expected 0 to {_MAX_UINT32}")
    return number


def results_of(
    outcomes: Sequence[Outcome], response: pb.ReportOutcomeResponse
) -> Iterator[OutcomeResult]:
    """Reads what became of each outcome.

    Raises:
        ServerFailed: there is not one result for each.
    """
    if len(response.results) != len(outcomes):
        raise ServerFailed(
            f"the server gave {len(response.results)} results for {len(outcomes)} outcomes"
        )
    for outcome, result in zip(outcomes, response.results, strict=True):
        if result.WhichOneof("result") == "accepted":
            yield OutcomeResult(outcome, accepted=_accepted(result.accepted))
        else:
            yield OutcomeResult(outcome, error=_error(result.error, outcome))


def refused(outcomes: Sequence[Outcome], error: BatchproofError) -> OutcomeResult | None:
    """The result of an outcome that was sent alone and refused; None for any other failure."""
    if len(outcomes) == 1 and error.code in _REFUSED_ALONE:
        return OutcomeResult(outcomes[0], error=_as_outcome(error))
    return None


_REFUSED_ALONE: Final = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.INVALID_ARGUMENT,
)


def _accepted(message: pb.AcceptedOutcome) -> AcceptedOutcome:
    predicted = message.predicted
    return AcceptedOutcome(
        model=message.model,
        version=message.version,
        predicted=ScoredClass(predicted.index, predicted.label, predicted.score),
        is_correct=message.is_correct,
        predicted_labels=tuple(message.predicted_labels),
    )


def _error(error: pb.Error, outcome: Outcome) -> BatchproofError:
    return _as_outcome(error_of_number(error.code, error.message, request_id=outcome.request_id))


def _as_outcome(error: BatchproofError) -> BatchproofError:
    """NOT_FOUND of an outcome is about an answer, not about a model."""
    if not isinstance(error, ModelNotFound):
        return error
    return AnswerNotFound(str(error), code=error.code, request_id=error.request_id)
