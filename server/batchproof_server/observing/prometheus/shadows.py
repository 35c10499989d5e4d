"""What shadows were found to do becomes Prometheus series."""

import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from prometheus_client import metrics_core as core
from prometheus_client.registry import Collector

from batchproof_server.base.events import Subscription
from batchproof_server.models.shadows import ShadowChanged
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import VersionState
from batchproof_server.shadowing.records import RESULTS, SKIP_REASONS, ShadowRecord

_PREFIX: Final = "batchproof_shadow"
_EXECUTED_BY: Final = ("answer", "shadow")


class _ShadowCounts:
    def __init__(self) -> None:
        self.results: dict[str, float] = dict.fromkeys(RESULTS, 0.0)
        self.skipped: dict[str, float] = dict.fromkeys(SKIP_REASONS, 0.0)
        self.distance_sum = 0.0
        self.execution_s: dict[str, float] = dict.fromkeys(_EXECUTED_BY, 0.0)
        self.timed = 0.0


# Contract: as that of ``Metrics``. The version is the shadow's; its series stand at 0 from the
# moment that it is loaded and a shadow, so that its first row is an increase.
class ShadowMetrics(Collector):
    """Counts rows of shadows, and writes what it counted for Prometheus."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shadows: defaultdict[tuple[str, int], _ShadowCounts] = defaultdict(_ShadowCounts)
        self._named: dict[str, int] = {}
        self._loaded: set[tuple[str, int]] = set()

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """What becomes a series here."""
        return (
            Subscription(ShadowRecord, self.count),
            Subscription(VersionChanged, self.follow_version),
            Subscription(ShadowChanged, self.follow_shadow),
        )

    def count(self, record: ShadowRecord) -> None:
        """Counts one row."""
        with self._lock:
            counts = self._shadows[record.model, record.shadow]
            counts.results[record.result] += 1
            if record.result == "skipped":
                counts.skipped[record.reason] += 1
                return
            counts.distance_sum += record.distance
            if record.answered_s is not None:
                counts.timed += 1
                counts.execution_s["answer"] += record.answered_s
                counts.execution_s["shadow"] += record.shadow_s

    def follow_version(self, change: VersionChanged) -> None:
        """Begins the series of a shadow that was loaded; removes those of what was unloaded."""
        version = (change.model, change.version)
        with self._lock:
            if change.new is VersionState.UNLOADED:
                self._shadows.pop(version, None)
                self._loaded.discard(version)
            elif change.new is VersionState.READY:
                self._loaded.add(version)
                self._begin(change.model)

    def follow_shadow(self, change: ShadowChanged) -> None:
        """Begins the series of a version that is loaded and becomes a shadow."""
        with self._lock:
            if change.version is None:
                self._named.pop(change.model, None)
            else:
                self._named[change.model] = change.version
                self._begin(change.model)

    def _begin(self, model: str) -> None:
        named = (model, self._named.get(model, 0))
        if named in self._loaded:
            self._shadows.setdefault(named, _ShadowCounts())

    def collect(self) -> Iterable[core.Metric]:
        """Called by the registry, under the lock: these are few numbers."""
        rows = core.CounterMetricFamily(
            f"{_PREFIX}_rows",
            "Answered rows that were selected for the shadow.",
            labels=("model", "version", "result"),
        )
        skipped = core.CounterMetricFamily(
            f"{_PREFIX}_skipped",
            "Selected rows that were not compared.",
            labels=("model", "version", "reason"),
        )
        distance = core.CounterMetricFamily(
            f"{_PREFIX}_distance",
            "Sum of the distances between the probabilities of both answers.",
            labels=("model", "version"),
        )
        timed = core.CounterMetricFamily(
            f"{_PREFIX}_timed_rows",
            "Rows that both versions executed in the same bucket.",
            labels=("model", "version"),
        )
        seconds = core.CounterMetricFamily(
            f"{_PREFIX}_execution_seconds",
            "Time of both executions of these rows.",
            labels=("model", "version", "by"),
        )
        with self._lock:
            for (model, version), counts in self._shadows.items():
                labels = (model, str(version))
                _add(rows, labels, counts.results)
                _add(skipped, labels, counts.skipped)
                distance.add_metric(labels, counts.distance_sum)
                timed.add_metric(labels, counts.timed)
                _add(seconds, labels, counts.execution_s)
        yield from (rows, skipped, distance, timed, seconds)


def _add(
    family: core.CounterMetricFamily, labels: tuple[str, str], counts: dict[str, float]
) -> None:
    for value, count in counts.items():
        family.add_metric((*labels, value), count)
