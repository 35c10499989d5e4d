"""The use case of labels that arrive later: remember answers, count how often they were right."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import (
    AnswerExpired,
    AnswerUnknown,
    InvalidInput,
    OutcomeReported,
    ServingError,
    cut,
)
from batchproof_server.base.events import PredictionRecord, Subscription
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import VersionState
from batchproof_server.outcomes.counting import ClassBins, class_bins
from batchproof_server.outcomes.recent import (
    AnsweredRow,
    OutcomeRefusal,
    OutcomeSettings,
    RecentAnswers,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one row really was.

    Attributes:
        truth: the class, by index or by label; None when the caller gave neither.
    """

    request_id: str
    row: int
    truth: int | str | None


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """One outcome that counts.

    Attributes:
        predicted: the class that was answered.
        true: the class that it was.
        confidence: the probability of the predicted class.
    """

    model: str
    version: int
    predicted: int
    true: int
    confidence: float

    @property
    def is_correct(self) -> bool:
        """Whether the answer was right."""
        return self.predicted == self.true


@dataclass(frozen=True, slots=True)
class AcceptedOutcome:
    """An outcome that was counted, and the label of the predicted class."""

    record: OutcomeRecord
    predicted_label: str


class OutcomeObserver(Protocol):
    """Learns of outcomes. Called on the loop thread; must be quick and must not raise."""

    def expect_outcomes(self, model: str, version: int, bins: ClassBins) -> None:
        """A version answers from now on."""
        ...

    def forget_outcomes(self, model: str, version: int) -> None:
        """A version was unloaded; no outcome of its answers counts any more."""
        ...

    def count_outcome(self, record: OutcomeRecord) -> None:
        """One outcome counts."""
        ...

    def count_refusal(self, model: str, version: int, reason: OutcomeRefusal) -> None:
        """One outcome does not; model and version are empty and 0 for an unknown answer."""
        ...


# The labels of a version, and the classes that each stands for.
class _Labels:
    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.classes_of: dict[str, tuple[int, ...]] = {}
        for index, label in enumerate(labels):
            self.classes_of[label] = (*self.classes_of.get(label, ()), index)


# Contract: lives on the loop thread; between looking an answer up and marking its row nothing else
# runs, so each row counts once whatever callers send.
class OutcomeDesk:
    """Remembers recent answers and takes their outcomes.

    Args:
        settings: how much to remember.
        clock: for the age of answers; the time of day does not matter.
        observer: told of every outcome.
    """

    def __init__(self, settings: OutcomeSettings, clock: Clock, observer: OutcomeObserver) -> None:
        self._recent = RecentAnswers(settings)
        self._clock = clock
        self._observer = observer
        self._models: dict[tuple[str, int], _Labels] = {}

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """The answers that labels may arrive for, and the versions that give them."""
        return (
            Subscription(VersionChanged, self.follow_version),
            Subscription(PredictionRecord, partial(self._recent.learn, self._clock.now_s)),
        )

    def follow_version(self, change: VersionChanged) -> None:
        """A version answers from now on, or never again; of raw outputs nothing is remembered."""
        version, facts = (change.model, change.version), change.facts
        if change.new is VersionState.UNLOADED:
            if self._models.pop(version, None) is not None:
                self._recent.forget(*version)
                self._observer.forget_outcomes(*version)
        elif change.old is VersionState.LOADING and facts.class_labels:
            self._models[version] = _Labels(facts.class_labels)
            self._recent.expect(*version)
            largest = () if facts.profile is None else facts.profile.profile.class_bins
            bins = class_bins(facts.class_labels, largest)
            self._observer.expect_outcomes(*version, bins)

    def report(self, outcome: Outcome) -> AcceptedOutcome:
        """Counts an outcome.

        Raises:
            AnswerUnknown: no such answer is remembered.
            AnswerExpired: it is too old.
            OutcomeReported: the row has its outcome already.
            InvalidInput: the answer has no such row or class, or the id stands for several answers.
        """
        found = self._recent.find(outcome.request_id, outcome.row, self._clock.now_s())
        if isinstance(found, OutcomeRefusal):
            raise self._refuse(outcome, found, _refusal(outcome, found))
        try:
            true = self._class_of(found, outcome.truth)
        except InvalidInput as fault:
            raise self._refuse(outcome, OutcomeRefusal.LABEL_OUT_OF_RANGE, fault) from None
        self._recent.mark_reported(outcome.request_id, outcome.row)
        record = OutcomeRecord(found.model, found.version, found.predicted, true, found.confidence)
        self._observer.count_outcome(record)
        return AcceptedOutcome(record, self._label(found, found.predicted))

    def _refuse(
        self, outcome: Outcome, reason: OutcomeRefusal, error: ServingError
    ) -> ServingError:
        self._observer.count_refusal(*self._recent.answerer(outcome.request_id), reason)
        return error

    def _class_of(self, row: AnsweredRow, truth: int | str | None) -> int:
        if truth is None:
            raise InvalidInput("the outcome has no class, expected class_index or label")
        if isinstance(truth, str):
            return self._labelled(row, truth)
        if not 0 <= truth < row.classes:
            raise InvalidInput(
                f'class_index is {truth}, expected 0 to {row.classes - 1} of model "{row.model}"'
            )
        return truth

    def _labelled(self, row: AnsweredRow, label: str) -> int:
        known = self._models[(row.model, row.version)]
        found = known.classes_of.get(label, ())
        if len(found) == 1:
            return found[0]
        shown = cut(label)
        if found:
            raise InvalidInput(
                f'the label "{shown}" stands for {len(found)} classes of model "{row.model}", '
                "expected class_index"
            )
        expected = ", ".join(known.labels[:_SHOWN_LABELS])
        more = ", ..." if len(known.labels) > _SHOWN_LABELS else ""
        raise InvalidInput(
            f'model "{row.model}" has no label "{shown}", expected one of {expected}{more}'
        )

    def _label(self, row: AnsweredRow, class_index: int) -> str:
        return self._models[(row.model, row.version)].labels[class_index]


_SHOWN_LABELS = 20


def _refusal(outcome: Outcome, reason: OutcomeRefusal) -> ServingError:
    request = f'request "{cut(outcome.request_id)}"'
    match reason:
        case OutcomeRefusal.UNKNOWN:
            return AnswerUnknown(f"{request}: no answer is remembered under this id")
        case OutcomeRefusal.EXPIRED:
            return AnswerExpired(f"{request}: its answer is too old, outcomes are closed")
        case OutcomeRefusal.ALREADY_REPORTED:
            return OutcomeReported(f"{request}: row {outcome.row} has its outcome already")
        case OutcomeRefusal.AMBIGUOUS:
            return InvalidInput(f"{request}: different answers were given under this id")
        case _:
            return InvalidInput(f"{request}: its answer has no row {outcome.row}")
