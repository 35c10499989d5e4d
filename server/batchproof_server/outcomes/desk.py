"""The use case of labels that arrive later: whose they are, and how often the answer was right."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import (
    InvalidInput,
    NotImplementedYet,
    ServingError,
)
from batchproof_server.base.events import RequestsScored, Subscription
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import VersionState
from batchproof_server.outcomes.answered import AnsweredRow, OutcomeRefusal
from batchproof_server.outcomes.counted import CountedRows
from batchproof_server.outcomes.counting import ClassBins, class_bins
from batchproof_server.outcomes.handle import SealingKey, open_handle
from batchproof_server.outcomes.known_labels import AcceptedOutcome, KnownLabels, OutcomeRecord
from batchproof_server.outcomes.recent import RecentAnswers
from batchproof_server.outcomes.refusals import Outcome, RefusedOutcome, error_of
from batchproof_server.outcomes.settings import OutcomeSettings


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


# Contract: lives on the loop thread; between finding an answered row and marking it nothing else
# runs, so each row counts once whatever callers send, by handle, by request id or by both, for as
# long as it is among the rows that were counted. A handle needs no memory of its answer; what was
# answered is what stands in it.
class OutcomeDesk:
    """Takes the outcomes of answered rows.

    Args:
        settings: what is taken, for how long.
        keys: of handles.
        clock: for the age of remembered answers.
        observer: told of every outcome.
        epoch_ms: what time it is, for the age of handles.
    """

    def __init__(
        self,
        settings: OutcomeSettings,
        keys: Sequence[SealingKey],
        clock: Clock,
        observer: OutcomeObserver,
        epoch_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._observer = observer
        self._epoch_ms = epoch_ms
        self._recent = RecentAnswers(settings)
        self._counted = CountedRows(settings.max_counted_bytes)
        self._models: dict[tuple[str, int], KnownLabels] = {}

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """The versions that answer; and answers, where they are remembered."""
        if not self._settings.enabled:
            return ()
        versions = Subscription(VersionChanged, self.follow_version)
        if not self._settings.accept_request_ids:
            return (versions,)
        return (versions, Subscription(RequestsScored, self.remember))

    def follow_version(self, change: VersionChanged) -> None:
        """A version answers from now on, or never again; raw outputs have no outcomes."""
        version, facts = (change.model, change.version), change.facts
        if change.new is VersionState.UNLOADED:
            if self._models.pop(version, None) is not None:
                self._recent.forget(*version)
                self._observer.forget_outcomes(*version)
        elif change.old is VersionState.LOADING and facts.class_labels:
            self._models[version] = KnownLabels(facts.class_labels, facts.is_multi_label)
            self._recent.expect(*version)
            largest = () if facts.profile is None else facts.profile.profile.class_bins
            bins = class_bins(facts.class_labels, largest)
            self._observer.expect_outcomes(*version, bins)

    def remember(self, scored: RequestsScored) -> None:
        """Remembers answers by the ids of their requests."""
        now_s = self._clock.now_s()
        for record in scored.records:
            self._recent.learn(now_s, record)

    def report(self, outcome: Outcome) -> AcceptedOutcome:
        """Counts an outcome.

        Raises:
            AnswerUnknown: no answer that this server knows of.
            AnswerExpired: it is too old.
            OutcomeReported: the row has its outcome already.
            InvalidInput: the handle cannot be read or was changed; a request id is not accepted
                here, or stands for several answers; the answer has no such row or class.
            NotImplementedYet: outcomes are switched off.
        """
        if not self._settings.enabled:
            raise NotImplementedYet("outcomes are switched off: [outcomes] enabled is false")
        found = self._find(outcome)
        if isinstance(found, RefusedOutcome):
            raise self._refuse(found, error_of(found.reason, outcome))
        try:
            known = self._models[found.model, found.version]
            record = known.outcome(found, outcome.truth)
        except InvalidInput as fault:
            reason = OutcomeRefusal.LABEL_OUT_OF_RANGE
            raise self._refuse(RefusedOutcome(reason, found.model, found.version), fault) from None
        self._counted.add(found.key)
        if not outcome.handle:
            self._recent.mark_reported(outcome.request_id, outcome.row)
        self._observer.count_outcome(record)
        return AcceptedOutcome(record, *known.predicted(found))

    def _find(self, outcome: Outcome) -> AnsweredRow | RefusedOutcome:
        found = self._open(outcome.handle) if outcome.handle else self._remembered(outcome)
        if isinstance(found, AnsweredRow) and found.key in self._counted:
            return RefusedOutcome(OutcomeRefusal.ALREADY_REPORTED, found.model, found.version)
        return found

    def _open(self, handle: bytes) -> AnsweredRow | RefusedOutcome:
        opened = open_handle(handle, self._keys)
        if isinstance(opened, OutcomeRefusal):
            return RefusedOutcome(opened)
        row = opened.row
        known = self._models.get((row.model, row.version))
        # Under the number of a version there may by now be another model, with fewer classes.
        if known is None or not known.can_have_answered(row):
            return RefusedOutcome(OutcomeRefusal.UNKNOWN_MODEL)
        if self._epoch_ms() - opened.answered_ms > self._settings.max_age_s * _MS_PER_S:
            return RefusedOutcome(OutcomeRefusal.EXPIRED, row.model, row.version)
        return row

    def _remembered(self, outcome: Outcome) -> AnsweredRow | RefusedOutcome:
        if not self._settings.accept_request_ids:
            return RefusedOutcome(OutcomeRefusal.NO_HANDLE)
        found = self._recent.find(outcome.request_id, outcome.row, self._clock.now_s())
        if isinstance(found, OutcomeRefusal):
            return RefusedOutcome(found, *self._recent.answerer(outcome.request_id))
        return found

    def _refuse(self, refused: RefusedOutcome, error: ServingError) -> ServingError:
        self._observer.count_refusal(refused.model, refused.version, refused.reason)
        return error


_MS_PER_S = 1_000
