"""Counts of every version's requests and executions, as Triton's clients read them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from batchproof_server.base.events import (
    PREDICT_METHODS,
    BatchRecord,
    RefusedUnread,
    RequestsFinished,
    Subscription,
)
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import VersionState

_NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class Total:
    """How often something happened, and how long it took in all."""

    count: int = 0
    ns: int = 0

    def add(self, total_s: float, count: int = 1) -> None:
        """Counts ``count`` times something that took ``total_s`` in all."""
        self.count += count
        self.ns += round(total_s * _NS_PER_S)


@dataclass(slots=True)
class VersionStatistics:
    """What one version did since it was loaded.

    Attributes:
        last_inference_ms: since the epoch; 0 before the first.
        inference_rows: rows of requests that succeeded.
        executions: micro-batches that succeeded.
        success: requests that succeeded, from arrival to answer.
        fail: those that did not.
        queue: tasks of micro-batches that succeeded, and their waits.
        compute: the same tasks; each is counted with the whole time of its micro-batch.
        by_bucket_rows: executions of each bucket.
    """

    last_inference_ms: int = 0
    inference_rows: int = 0
    executions: int = 0
    success: Total = field(default_factory=Total)
    fail: Total = field(default_factory=Total)
    queue: Total = field(default_factory=Total)
    compute: Total = field(default_factory=Total)
    by_bucket_rows: dict[int, Total] = field(default_factory=dict)


class Statistics:
    """An observer that counts. Lives on the loop thread.

    Args:
        epoch_ms: the time of day.
    """

    def __init__(self, epoch_ms: Callable[[], int]) -> None:
        self._epoch_ms = epoch_ms
        self._versions: dict[tuple[str, int], VersionStatistics] = {}

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """Requests and micro-batches, and the versions to count them for."""
        return (
            Subscription(RequestsFinished, self.count_requests),
            Subscription(RefusedUnread, self.count_refused),
            Subscription(BatchRecord, self.count_batch),
            Subscription(VersionChanged, self.follow_version),
        )

    def of(self, model: str, version: int) -> VersionStatistics:
        """What a version did; nothing, when it is unknown."""
        return self._versions.get((model, version), VersionStatistics())

    def count_requests(self, finished: RequestsFinished) -> None:
        """Counts predictions."""
        for (model, number, method, code), records in finished.by_kind().items():
            version = self._versions.get((model, number))
            if version is None or method not in PREDICT_METHODS:
                continue
            total_s = sum([record.duration_s for record in records])
            if code != "OK":
                version.fail.add(total_s, len(records))
                continue
            version.success.add(total_s, len(records))
            version.inference_rows += sum([record.rows for record in records])
            version.last_inference_ms = self._epoch_ms()

    def count_refused(self, refused: RefusedUnread) -> None:
        """Counts predictions that nobody read."""
        version = self._versions.get((refused.model, refused.version))
        if version is not None and refused.method in PREDICT_METHODS:
            version.fail.add(0.0, len(refused.request_ids))

    def count_batch(self, record: BatchRecord) -> None:
        """Counts an execution that succeeded."""
        version = self._versions.get((record.model, record.version))
        if version is None or record.failed:
            return
        tasks = len(record.queue_delays_s)
        version.executions += 1
        version.queue.add(sum(record.queue_delays_s), tasks)
        version.compute.add(record.execution_s * tasks, tasks)
        version.by_bucket_rows.setdefault(record.bucket_rows, Total()).add(record.execution_s)

    def follow_version(self, change: VersionChanged) -> None:
        """Begins to count for a version that it did not know, or forgets it."""
        if change.new is VersionState.UNLOADED:
            self._versions.pop((change.model, change.version), None)
        elif change.new is not VersionState.DISCOVERED:
            self._versions.setdefault((change.model, change.version), VersionStatistics())
