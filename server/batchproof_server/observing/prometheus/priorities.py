"""What became of requests by their priority becomes Prometheus series."""

import threading
from collections.abc import Iterable
from typing import Any, Final

from prometheus_client import metrics_core as core
from prometheus_client.registry import Collector

from batchproof_server.base.events import RefusedUnread, RequestsFinished, Subscription
from batchproof_server.base.priorities import PRIORITIES
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import VersionState
from batchproof_server.observing.prometheus.families import Family, Spec
from batchproof_server.observing.prometheus.labels import LabelAdmission

_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_USUAL_CODES: Final = ("OK", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")


# Contract: as that of ``Metrics``. There is a series only where callers have to show who they are.
class PriorityMetrics(Collector):
    """Counts requests and their waits by priority, and writes what it counted for Prometheus."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._admission = LabelAdmission()
        labels = "model version priority"
        self._requests = Family(
            Spec("priority_requests", "Requests by their priority.", f"{labels} code"),
            self._admission,
        )
        self._delays = Family(
            Spec("priority_queue_delay_seconds", "Longest wait of a row.", labels, _BOUNDS_S),
            self._admission,
        )

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """What becomes a series here."""
        return (
            Subscription(RequestsFinished, self.count),
            Subscription(RefusedUnread, self.count_refused),
            Subscription(VersionChanged, self.follow_version),
        )

    def count(self, finished: RequestsFinished) -> None:
        """Counts requests of callers, and how long each waited where it was executed."""
        for record in finished.records:
            if record.priority is None:
                continue
            labels = (record.model, record.version, record.priority)
            with self._lock:
                self._requests.add((*labels, record.code))
                if record.code == "OK" and record.rows:
                    self._delays.observe(labels, record.queued_s)

    def count_refused(self, refused: RefusedUnread) -> None:
        """Counts calls that were refused unread."""
        if refused.priority is not None:
            labels = (refused.model, refused.version, refused.priority, refused.code)
            with self._lock:
                self._requests.add(labels, len(refused.request_ids))

    def follow_version(self, change: VersionChanged) -> None:
        """Begins the series of a version that answers; removes those of what was unloaded."""
        version = (change.model, change.version)
        with self._lock:
            if change.new is VersionState.UNLOADED:
                for gone in self._admission.forget(version):
                    self._requests.forget(gone)
                    self._delays.forget(gone)
            elif change.new is VersionState.READY:
                self._admission.announce(version)
                for priority in PRIORITIES:
                    self._delays.row((*version, priority))
                    for code in _USUAL_CODES:
                        self._requests.row((*version, priority, code))

    def collect(self) -> Iterable[core.Metric]:
        """Called by the registry: copies under the lock, formats outside it."""
        with self._lock:
            families = (self._requests, self._delays)
            snapshots = [(family, *family.snapshot()) for family in families]
        for family, series, cells in snapshots:
            yield family.metric(series, cells)
