"""Predictions become counts in the bins of their model's profile, and these Prometheus series.

The loop thread only keeps the records. They are counted, vectorised, on a thread of its own when
256 rows wait, and before every scrape, so that a scrape shows every answered request.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import metrics_core as core
from prometheus_client.registry import Collector

from batchproof_server.base.events import PredictionRecord, RequestsScored, Subscription
from batchproof_server.drift.comparing import DriftComparison, compare_counts
from batchproof_server.drift.counters import DriftCounts, Ruler
from batchproof_server.drift.profile_form import KnownProfile
from batchproof_server.drift.recorded import signals_of_records
from batchproof_server.drift.tta_reference import TtaReference
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import VersionState
from batchproof_server.observing.prometheus.drift_series import (
    ReferenceSeries,
    confidence_family,
    far_family,
    uncounted_family,
    version_families,
)
from batchproof_server.shadowing.records import ShadowRecord

_ROWS_A_COUNT: Final = 256
_MAX_PENDING_ROWS: Final = 4096


@dataclass(slots=True, eq=False)
class _Watched:
    """One model version. Without a profile only the confidence is counted."""

    model: str
    version: int
    tta: TtaReference | None = None
    ruler: Ruler | None = None
    series: ReferenceSeries | None = None
    counts: DriftCounts | None = None
    confidence_sum: float = 0.0
    confidence_count: int = 0
    uncounted_rows: int = 0
    far_rows: int = 0
    labels: tuple[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.labels = (self.model, str(self.version))

    def add(self, records: Sequence[PredictionRecord]) -> None:
        """Counts the rows of some requests: all of them, or none when that fails."""
        signals, not_finite = signals_of_records(records, self.tta)
        confidence = signals.values["confidence"]
        total = float(confidence.sum())
        if self.ruler is not None and self.counts is not None:
            self.counts = self.counts + self.ruler.counted(signals, not_finite)
        self.confidence_sum += total
        self.confidence_count += len(confidence)
        self.far_rows += sum(record.far_rows for record in records)


# Contract: what is subscribed is called on the loop thread; ``collect`` on any thread.
# Whoever counts holds the lock and takes all that waits, so nothing is counted twice or missed. The
# loop thread takes the lock only when 4,096 rows wait, which bounds the memory. Rows that cannot be
# counted are counted as such and fail neither a scrape nor the rows of other versions.
class DriftMetrics(Collector):
    """Counts predictions; a collector of its own beside ``metrics.Metrics``.

    Args:
        on_failure: told of an exception while counting; must not raise.
    """

    def __init__(self, on_failure: Callable[[Exception], None]) -> None:
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._watched: dict[tuple[str, int], _Watched] = {}
        self._pending: deque[PredictionRecord] = deque()
        # Each of the two has one writer at a time: the loop thread, and whoever holds the lock.
        self._kept_rows = 0
        self._counted_rows = 0
        self._rows_until_count = _ROWS_A_COUNT
        self._thread: ThreadPoolExecutor | None = ThreadPoolExecutor(1, thread_name_prefix="drift")

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """The predictions to count, and the versions that give them."""
        return (
            Subscription(VersionChanged, self.follow_version),
            Subscription(RequestsScored, self.keep_predictions),
            Subscription(ShadowRecord, self.keep_shadow),
        )

    def follow_version(self, change: VersionChanged) -> None:
        """Begins with a classifier that was loaded, and forgets one that was unloaded."""
        if change.new is VersionState.UNLOADED:
            self._forget(change.model, change.version)
        elif change.old is VersionState.LOADING and change.facts.class_labels:
            self.watch(change.model, change.version, change.facts.profile)

    def watch(self, model: str, version: int, known: KnownProfile | None) -> None:
        """Creates every series of a classifier, at zero.

        Args:
            model: its name.
            version: its number.
            known: its profile; None counts the confidence alone.
        """
        watched = _Watched(model, version)
        if known is not None:
            watched.tta = known.profile.tta
            watched.ruler = Ruler(known.profile)
            watched.counts = watched.ruler.nothing()
            watched.series = ReferenceSeries.of(watched.labels, known)
        with self._lock:
            self._watched[model, version] = watched

    def _forget(self, model: str, version: int) -> None:
        with self._lock:
            failures = self._count_locked()  # what waits keeps its arrays alive
            self._watched.pop((model, version), None)
        self._tell(failures)

    def keep_predictions(self, scored: RequestsScored) -> None:
        """Keeps requests until they are counted."""
        self._keep(scored.records)

    def _keep(self, records: Sequence[PredictionRecord]) -> None:
        rows = sum([record.rows for record in records])
        self._kept_rows += rows
        self._pending.extend(records)
        self._rows_until_count -= rows
        if self._rows_until_count > 0:
            return
        self._rows_until_count = _ROWS_A_COUNT
        if self._thread is None or self._kept_rows - self._counted_rows > _MAX_PENDING_ROWS:
            self._count()
        else:
            self._thread.submit(self._count)

    def keep_shadow(self, record: ShadowRecord) -> None:
        """Keeps what a shadow answered: it drifts from its own profile before it has callers."""
        if record.scored is not None:
            self._keep((record.scored,))

    def close(self) -> None:
        """Ends the thread; a scrape still counts what waits."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None

    def _count(self) -> None:
        with self._lock:
            failures = self._count_locked()
        self._tell(failures)

    def _tell(self, failures: Iterable[Exception]) -> None:
        for failure in failures:
            self._on_failure(failure)

    def _count_locked(self) -> list[Exception]:
        """Counts what waits, and returns what went wrong."""
        # Answers of test-time augmentation have no logits where the plain ones have.
        alike: dict[tuple[str, int, bool], list[PredictionRecord]] = {}
        for _ in range(len(self._pending)):
            record = self._pending.popleft()
            key = (record.model, record.version, record.scores.logits is None)
            alike.setdefault(key, []).append(record)
            self._counted_rows += record.rows
        failures = []
        for (model, version, _), records in alike.items():
            if watched := self._watched.get((model, version)):
                try:
                    watched.add(records)
                except Exception as failure:  # noqa: BLE001 - a scrape must show everything else
                    watched.uncounted_rows += sum(each.rows for each in records)
                    failures.append(failure)
        return failures

    def collect(self) -> Iterable[core.Metric]:
        """Called by the registry: counts and copies under the lock, formats outside it."""
        with self._lock:
            failures = self._count_locked()
            watched = list(self._watched.values())
            confidences = [(w.labels, w.confidence_count, w.confidence_sum) for w in watched]
            uncounted = [(w.labels, w.uncounted_rows) for w in watched]
            far = [(w.labels, w.far_rows) for w in watched if w.ruler is not None]
            profiled = [
                (w.series, w.counts)
                for w in watched
                if w.series is not None and w.counts is not None
            ]
        self._tell(failures)
        yield confidence_family(confidences)
        yield uncounted_family(uncounted)
        yield far_family(far)
        yield from version_families(profiled)

    def comparisons(self) -> dict[tuple[str, int], DriftComparison]:
        """What was counted of each version since it was loaded, against its profile."""
        with self._lock:
            failures = self._count_locked()
            counted = {
                key: (each.ruler.profile, each.counts, each.confidence_sum, each.confidence_count)
                for key, each in self._watched.items()
                if each.ruler is not None and each.counts is not None
            }
        self._tell(failures)
        return {
            key: compare_counts(profile, counts, total / max(1, rows))
            for key, (profile, counts, total, rows) in counted.items()
        }

    def describe(self) -> Iterable[core.Metric]:
        """The families are known by what ``collect`` yields; registering must not run it."""
        return ()
