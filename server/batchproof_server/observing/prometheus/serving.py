"""Records become Prometheus series. Observers are all that the rest knows of metrics.

``docs/metrics.md`` lists every family; a test keeps the two equal. A scrape copies the arrays of
the families under the lock of the observations, and formats the copy outside it.
"""

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client import metrics_core as core
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from batchproof_server.base.events import (
    PREDICT_METHODS,
    BatchRecord,
    DecodeRecord,
    DeviceLost,
    FrontChosen,
    IsolationRecord,
    QueueChanged,
    RefusedUnread,
    RepositoryLooked,
    RequestsFinished,
    RequestsScored,
    SelfCheckRecord,
    ShedRecord,
    Subscription,
)
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_facts import VersionFacts
from batchproof_server.models.version_labels import ShareDiverted
from batchproof_server.models.version_states import IN_MEMORY, VersionState
from batchproof_server.observing.prometheus.answer_times import AnswerTimes, answer_times_of
from batchproof_server.observing.prometheus.families import PREFIX, Family, Spec
from batchproof_server.observing.prometheus.labels import LabelAdmission, ModelVersion

_OPENMETRICS = "application/openmetrics-text"

_LONG_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SHORT_BOUNDS_S = (0.0001, 0.00025, 0.0005, *_LONG_BOUNDS_S[:-1])
_ROW_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

# Series that exist at zero as soon as a model is announced: the first error must be an increase.
_USUAL_CODES = (
    "OK",
    "INVALID_ARGUMENT",
    "RESOURCE_EXHAUSTED",
    "DEADLINE_EXCEEDED",
    "UNAVAILABLE",
    "CANCELLED",
    "INTERNAL",
)
# The values of the last label of families whose series stand at 0 from the start of a version.
_ALWAYS_THERE = (
    ("isolated_tasks", ("refused", "failed")),
    ("shed", ("queue_full", "deadline", "draining", "not_ready", "share", "priority")),
    ("device_restarts", ("crashed", "hung", "memory", "not_started")),
    ("selfcheck", ("identical", "different", "skipped")),
)
_LOOK_RESULTS = ("read", "failed")

_TTA_FAMILIES = ("tta_views", "tta_rows", "tta_early_exits")

_SPECS = (
    Spec("requests", "Requests answered.", "model version method code"),
    Spec("request_duration_seconds", "Arrival to answer.", "model version method", _LONG_BOUNDS_S),
    Spec("queue_delay_seconds", "Wait of a task in the queue.", "model version", _SHORT_BOUNDS_S),
    Spec("execution_seconds", "Time on the device.", "model version bucket", _SHORT_BOUNDS_S),
    Spec("decode_seconds", "Time from an image to an input row.", "format", _SHORT_BOUNDS_S),
    Spec("micro_batch_rows", "Rows before padding.", "model version", _ROW_BOUNDS),
    Spec("padding_rows", "Rows added as padding.", "model version"),
    Spec("micro_batches_failed", "Micro-batches whose execution failed.", "model version"),
    Spec("isolation_executions", "Executions to find who made others fail.", "model version"),
    Spec("isolated_tasks", "Tasks at fault in failed micro-batches.", "model version result"),
    Spec("shed", "Requests answered without execution.", "model version reason"),
    Spec("device_restarts", "Device processes begun anew.", "model version reason"),
    Spec("devices_given_up", "Versions failed by losing devices.", "model version"),
    Spec("selfcheck", "Answers executed again beside other rows.", "model version result"),
    Spec("tta_views", "Views executed for augmented rows.", "model version policy"),
    Spec("tta_rows", "Rows answered with augmentation.", "model version policy"),
    Spec("tta_early_exits", "Rows that stopped after their plain view.", "model version policy"),
    Spec("queue_rows", "Rows that wait now.", "model version", is_counter=False),
    Spec("model_ready", "1 while the version answers, else 0.", "model version", is_counter=False),
    Spec("model_failed", "1 while it is failed, else 0.", "model version", is_counter=False),
    Spec("label_diverted", "Requests of a label meant for a version not ready.", "model version"),
    Spec("repository_looks", "Looks for versions that came, changed or went.", "result"),
)


# Contract: what is subscribed is called on the loop thread and takes microseconds;
# ``exposition`` may be called on any thread at any time and sees each record wholly or not at all.
class Metrics(Collector):
    """An observer that counts, and writes what it counted for Prometheus.

    Args:
        build_version: the version of the server.
        others: write the families of their own field.
    """

    def __init__(self, build_version: str, others: Iterable[Collector] = ()) -> None:
        self._build_version = build_version
        self._front = ""
        self._lock = threading.Lock()
        self._admission = LabelAdmission()
        self._families = {spec.name: Family(spec, self._admission) for spec in _SPECS}
        for result in _LOOK_RESULTS:
            self._families["repository_looks"].row((result,))
        self._models: dict[ModelVersion, VersionFacts] = {}
        self._registry = CollectorRegistry()
        for collector in (self, *others):
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """What becomes a series here."""
        return (
            Subscription(RequestsFinished, self.count_requests),
            Subscription(RefusedUnread, self.count_refused),
            Subscription(BatchRecord, self.count_batch),
            Subscription(RequestsScored, self.count_views),
            Subscription(IsolationRecord, self.count_isolation),
            Subscription(DecodeRecord, self.count_decoding),
            Subscription(ShedRecord, self.count_shed),
            Subscription(QueueChanged, self.keep_queue_rows),
            Subscription(SelfCheckRecord, self.count_self_check),
            Subscription(DeviceLost, self.count_device),
            Subscription(VersionChanged, self.follow_version),
            Subscription(FrontChosen, self.keep_front),
            Subscription(RepositoryLooked, self.count_look),
            Subscription(ShareDiverted, self.count_diverted),
        )

    def count_requests(self, finished: RequestsFinished) -> None:
        """Counts the answers and their durations."""
        requests = self._families["requests"]
        durations = self._families["request_duration_seconds"]
        with self._lock:
            for kind, records in finished.by_kind().items():
                requests.add(kind, len(records))
                labels = kind[:3]
                durations.observe_all(labels, [record.duration_s for record in records])
                for record in records:
                    if record.spans is not None:
                        durations.keep_exemplar(labels, record.duration_s, record.spans.trace)

    def count_refused(self, refused: RefusedUnread) -> None:
        """Counts calls that were refused unread, which takes no time that is worth measuring."""
        labels = (refused.model, refused.version, refused.method)
        calls = len(refused.request_ids)
        with self._lock:
            self._families["requests"].add((*labels, refused.code), calls)
            self._families["request_duration_seconds"].observe_all(labels, (0.0,) * calls)
            self._families["shed"].add((refused.model, refused.version, refused.reason), calls)

    def count_batch(self, record: BatchRecord) -> None:
        """Counts rows, padding and time; of a failed micro-batch only the waits and the failure."""
        version = (record.model, record.version)
        families = self._families
        with self._lock:
            families["queue_delay_seconds"].observe_all(version, record.queue_delays_s)
            if record.failed:
                families["micro_batches_failed"].add(version)
                return
            families["micro_batch_rows"].observe(version, record.rows)
            families["padding_rows"].add(version, record.bucket_rows - record.rows)
            families["execution_seconds"].observe(
                (*version, record.bucket_rows), record.execution_s
            )

    def count_isolation(self, record: IsolationRecord) -> None:
        """Counts what a failed micro-batch has cost, and how many were at fault."""
        version = (record.model, record.version)
        with self._lock:
            self._families["isolation_executions"].add(version, record.executions)
            for result, tasks in (("refused", record.refused), ("failed", record.failed)):
                self._families["isolated_tasks"].add((*version, result), tasks)

    def count_views(self, scored: RequestsScored) -> None:
        """Counts rows and views of augmented requests; the scores are somebody else's."""
        for record in scored.records:
            if (views := record.augmented) is None:
                continue
            labels = (record.model, record.version, views.policy)
            with self._lock:
                self._families["tta_views"].add(labels, views.views)
                self._families["tta_rows"].add(labels, record.rows)
                self._families["tta_early_exits"].add(labels, views.early_exits)

    def count_decoding(self, record: DecodeRecord) -> None:
        """Counts the time of one image."""
        with self._lock:
            self._families["decode_seconds"].observe((record.image_format,), record.duration_s)

    def count_shed(self, record: ShedRecord) -> None:
        """Counts the refusal."""
        with self._lock:
            self._families["shed"].add((record.model, record.version, record.reason))

    def keep_front(self, chosen: FrontChosen) -> None:
        """Remembers which one serves."""
        self._front = chosen.front

    def keep_queue_rows(self, change: QueueChanged) -> None:
        """Remembers the rows that wait."""
        with self._lock:
            self._families["queue_rows"].set((change.model, change.version), change.rows)

    def count_self_check(self, record: SelfCheckRecord) -> None:
        """Counts the result."""
        with self._lock:
            self._families["selfcheck"].add((record.model, record.version, record.result))

    def count_device(self, lost: DeviceLost) -> None:
        """Counts the process that takes its place."""
        with self._lock:
            self._families["device_restarts"].add((lost.model, lost.version, lost.reason))

    def count_look(self, looked: RepositoryLooked) -> None:
        """Counts it as failed when a part of the repository could not be read."""
        with self._lock:
            self._families["repository_looks"].add((_LOOK_RESULTS[bool(looked.failure)],))

    def count_diverted(self, diverted: ShareDiverted) -> None:
        """Counts the request under the version that it was meant for."""
        with self._lock:
            self._families["label_diverted"].add((diverted.model, diverted.version))

    def follow_version(self, change: VersionChanged) -> None:
        """Announces a version and says whether it answers; or removes all that is about it."""
        version = (change.model, change.version)
        with self._lock:
            if change.new is VersionState.UNLOADED:
                self._forget(version)
            elif change.new is not VersionState.DISCOVERED:
                self._announce(version, change.facts)
                self._families["model_ready"].set(version, change.new is VersionState.READY)
                self._families["model_failed"].set(version, change.new is VersionState.FAILED)
                if change.new is VersionState.FAILED and change.old in IN_MEMORY:
                    self._families["devices_given_up"].add(version)

    def _forget(self, version: ModelVersion) -> None:
        self._models.pop(version, None)
        for gone in self._admission.forget(version):
            for family in self._families.values():
                family.forget(gone)

    def _announce(self, version: ModelVersion, facts: VersionFacts) -> None:
        self._admission.announce(version)
        if facts.model_digest:
            self._models[version] = facts
        self._create_series(version)
        for policy in facts.tta_policies:
            for name in _TTA_FAMILIES:
                self._families[name].row((*version, policy))

    def _create_series(self, version: ModelVersion) -> None:
        families = self._families
        for family in families.values():
            if family.labels == ("model", "version"):
                family.row(version)
        for method in PREDICT_METHODS:
            families["request_duration_seconds"].row((*version, method))
            for code in _USUAL_CODES:
                families["requests"].row((*version, method, code))
        for name, values in _ALWAYS_THERE:
            for each in values:
                families[name].row((*version, each))

    def answer_times(self) -> AnswerTimes:
        """How long predictions took so far, by version."""
        with self._lock:
            counted = self._families["request_duration_seconds"].snapshot()
        return answer_times_of(_LONG_BOUNDS_S, *counted)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Writes every series.

        Args:
            accept: the ``Accept`` header; OpenMetrics when it names it, else the text format.

        Returns:
            The text and its content type.
        """
        encode, content_type = choose_encoder(_OPENMETRICS if _OPENMETRICS in accept else "")
        return encode(self._registry), content_type

    def collect(self) -> Iterable[core.Metric]:
        """Called by the registry: copies under the lock, formats outside it."""
        with self._lock:
            snapshots = [(family, *family.snapshot()) for family in self._families.values()]
            models = dict(self._models)
        for family, series, cells in snapshots:
            yield family.metric(series, cells)
        yield _model_info(models)
        text, build = "The version of the server.", {"version": self._build_version}
        yield core.InfoMetricFamily(f"{PREFIX}build", text, value=build)
        if self._front:
            text, front = "What speaks HTTP/2 on the gRPC port.", {"front": self._front}
            yield core.InfoMetricFamily(f"{PREFIX}front", text, value=front)


def _model_info(models: Mapping[ModelVersion, VersionFacts]) -> core.Metric:
    text = "What answers under a model version."
    info = core.InfoMetricFamily(f"{PREFIX}model", text, labels=("model", "version"))
    for (model, version), facts in models.items():
        what = {
            "digest": facts.model_digest,
            "recipe": facts.recipe_digest,
            "engine": facts.engine,
            "certificate": facts.certificate_digest,
            "verdict": facts.verdict,
            "consistency": facts.consistency,
        }
        info.add_metric((model, str(version)), what)
    return info
