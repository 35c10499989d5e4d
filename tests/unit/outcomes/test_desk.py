"""The desk begins with a version when it is loaded, and forgets it when it is unloaded."""

import itertools

import numpy as np
import pytest

from batchproof_server.base.errors import AnswerUnknown
from batchproof_server.base.events import PredictionRecord
from batchproof_server.base.scores import score
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_facts import VersionFacts
from batchproof_server.models.version_states import VersionState
from batchproof_server.observing.fan_out import Observers
from batchproof_server.observing.prometheus.outcomes import OutcomeMetrics
from batchproof_server.outcomes.desk import OutcomeDesk
from batchproof_server.outcomes.handle import SealingKey, seal_rows
from batchproof_server.outcomes.refusals import Outcome
from batchproof_server.outcomes.settings import OutcomeSettings
from support.fakes import FakeClock
from support.told import scored

KEY = SealingKey(bytes(32))
NOW_MS = 1_000_000
LOADING, READY, DRAINING = VersionState.LOADING, VersionState.READY, VersionState.DRAINING


class Place:
    """A desk, its series, and what tells it of events."""

    def __init__(self) -> None:
        self.metrics = OutcomeMetrics()
        self.nonces = itertools.count()
        settings = OutcomeSettings(accept_request_ids=True)
        self.desk = OutcomeDesk(settings, (KEY,), FakeClock(), self.metrics, lambda: NOW_MS)
        self.observers = Observers((self.desk,), lambda failure: pytest.fail(str(failure)))

    def changed(self, version: int, old: VersionState, new: VersionState) -> None:
        """Tells of a change."""
        facts = VersionFacts(class_labels=("cat", "dog"))
        self.observers.notify(VersionChanged("m", version, old, new, facts))

    def answered(self, request_id: str, version: int) -> None:
        """Tells of an answer of one row."""
        scores = score(np.array([[0.25, 0.75]]), "probabilities")
        nonce = next(self.nonces).to_bytes(12)
        handles = seal_rows(KEY, "m", version, [(1, 0.75)], NOW_MS, nonce)
        record = PredictionRecord("m", version, request_id, scores, handles=handles)
        self.observers.notify(scored(record))

    def series(self) -> set[tuple[str, ...]]:
        """The labels of every series."""
        return {
            (sample.name, *sorted(sample.labels.values()))
            for family in self.metrics.collect()
            for sample in family.samples
        }


def test_a_version_that_is_unloaded_leaves_nothing_behind() -> None:
    place = Place()
    place.changed(1, LOADING, READY)
    place.answered("kept", 1)
    series = place.series()
    rows, size_bytes = place.desk._recent.rows, place.desk._recent.remembered_bytes
    for _ in range(2):
        place.changed(2, LOADING, READY)
        place.answered("gone", 2)
        place.desk.report(Outcome("dog", request_id="gone"))
        assert place.series() > series
        place.changed(2, READY, DRAINING)
        place.changed(2, DRAINING, VersionState.UNLOADED)
        place.answered("late", 2)
        assert (place.desk._recent.rows, place.desk._recent.remembered_bytes) == (rows, size_bytes)
        assert place.series() == series
    with pytest.raises(AnswerUnknown):
        place.desk.report(Outcome("dog", request_id="gone"))
    assert place.desk.report(Outcome("dog", request_id="kept")).record.is_correct


def test_a_version_that_drains_still_takes_outcomes_and_so_does_one_that_was_stuck() -> None:
    place = Place()
    place.changed(1, LOADING, READY)
    place.answered("a", 1)
    place.changed(1, READY, VersionState.STUCK)
    place.changed(1, VersionState.STUCK, READY)
    place.changed(1, READY, DRAINING)
    assert place.desk.report(Outcome(1, request_id="a")).predicted_label == "dog"


def test_a_version_that_failed_or_was_never_loaded_can_be_unloaded() -> None:
    place = Place()
    before = place.series()
    place.changed(1, VersionState.FAILED, VersionState.UNLOADED)
    place.changed(1, VersionState.DISCOVERED, VersionState.UNLOADED)
    assert place.series() == before
