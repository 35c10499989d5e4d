"""Records become Prometheus series. Nothing outside this module knows that there are metrics.

``docs/metrics.md`` lists every family; a test keeps the two equal. Families of which every request
or micro-batch touches a series are rows of numpy arrays: an observation is a few additions under
one lock, and a scrape copies the arrays under the same lock and formats the copy outside it.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client import metrics_core as core
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from batchproof_server.drift_metrics import DriftMetrics
from batchproof_server.label_admission import LabelAdmission, Labels, ModelVersion
from batchproof_server.telemetry import (
    PREDICT_METHODS,
    BatchRecord,
    DecodeRecord,
    ModelRecord,
    PredictionRecord,
    RequestRecord,
    SelfCheckRecord,
    ShedRecord,
)

Cells: TypeAlias = npt.NDArray[np.float64]

_PREFIX = "batchproof_"
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
_SELF_CHECK_RESULTS = ("identical", "different", "skipped")
_SHED_REASONS = ("queue_full", "deadline", "draining", "decode_budget")

_WORTH_AN_ARRAY = 16  # below it, one value at a time is quicker


# Bounds make it a histogram.
@dataclass(frozen=True, slots=True)
class _Spec:
    name: str
    text: str
    labels: str
    bounds: tuple[float, ...] = ()
    is_counter: bool = True


# One row for each series. Columns: one number; or of a histogram one for each bound, one for what
# is above all of them, and the sum. The caller holds the lock, except for ``metric``.
# A method asks for the row before it touches the cells: a new row may replace the array.
class _Family:
    def __init__(self, spec: _Spec, admission: LabelAdmission) -> None:
        self._spec = spec
        self.labels = tuple(spec.labels.split())
        self._bounds = spec.bounds
        self._bounds_array = np.array(spec.bounds, np.float64)
        self._admission = admission
        self._rows: dict[Labels, int] = {}
        self._cells = np.zeros((4, len(spec.bounds) + 2 if spec.bounds else 1))

    def row(self, labels: Labels) -> int:
        """Returns the row of a series; creates it at zero when it is new and admitted."""
        known = self._rows.get(labels)
        return self._create(labels) if known is None else known

    def _create(self, labels: Labels) -> int:
        admitted = self._admission.admit(self.labels, labels)
        row = self._rows.setdefault(admitted, len(self._rows))
        if row == len(self._cells):
            self._cells = np.concatenate((self._cells, np.zeros_like(self._cells)))
        return row

    def add(self, labels: Labels, amount: float = 1.0) -> None:
        row = self.row(labels)
        self._cells[row, 0] += amount

    def set(self, labels: Labels, value: float) -> None:
        row = self.row(labels)
        self._cells[row, 0] = value

    def observe(self, labels: Labels, value: float) -> None:
        row = self.row(labels)
        self._cells[row, bisect_left(self._bounds, value)] += 1.0
        self._cells[row, -1] += value

    def observe_all(self, labels: Labels, values: tuple[float, ...]) -> None:
        if len(values) < _WORTH_AN_ARRAY:
            for value in values:
                self.observe(labels, value)
            return
        row = self.row(labels)
        columns = np.searchsorted(self._bounds_array, values)
        self._cells[row, :-1] += np.bincount(columns, minlength=len(self._bounds) + 1)
        self._cells[row, -1] += sum(values)

    def snapshot(self) -> tuple[list[Labels], Cells]:
        """Returns copies that later observations do not change."""
        return list(self._rows), self._cells[: len(self._rows)].copy()

    def metric(self, series: list[Labels], cells: Cells) -> core.Metric:
        """Formats a snapshot; needs no lock."""
        if self._bounds:
            return self._histogram(series, cells)
        kind = core.CounterMetricFamily if self._spec.is_counter else core.GaugeMetricFamily
        metric = kind(_PREFIX + self._spec.name, self._spec.text, labels=self.labels)
        for labels, value in zip(series, cells[:, 0].tolist(), strict=True):
            metric.add_metric(tuple(map(str, labels)), value)
        return metric

    def _histogram(self, series: list[Labels], cells: Cells) -> core.Metric:
        name = _PREFIX + self._spec.name
        metric = core.HistogramMetricFamily(name, self._spec.text, labels=self.labels)
        bounds = (*(repr(float(bound)) for bound in self._bounds), "+Inf")
        counts = cells[:, :-1].cumsum(axis=1).tolist()
        for labels, row, total in zip(series, counts, cells[:, -1].tolist(), strict=True):
            buckets = list(zip(bounds, row, strict=True))
            metric.add_metric(tuple(map(str, labels)), buckets, total)
        return metric


_SPECS = (
    _Spec("requests", "Requests answered.", "model version method code"),
    _Spec("request_duration_seconds", "Arrival to answer.", "model version method", _LONG_BOUNDS_S),
    _Spec("queue_delay_seconds", "Wait of a task in the queue.", "model version", _SHORT_BOUNDS_S),
    _Spec("execution_seconds", "Time on the device.", "model version bucket", _SHORT_BOUNDS_S),
    _Spec("decode_seconds", "Time from an image to an input row.", "format", _SHORT_BOUNDS_S),
    _Spec("micro_batch_rows", "Rows before padding.", "model version", _ROW_BOUNDS),
    _Spec("padding_rows", "Rows added as padding.", "model version"),
    _Spec("micro_batches_failed", "Micro-batches whose execution failed.", "model version"),
    _Spec("shed", "Requests answered without execution.", "model version reason"),
    _Spec("selfcheck", "Answers tried again in other company.", "model version result"),
    _Spec("queue_rows", "Rows that wait now.", "model version", is_counter=False),
    _Spec("model_ready", "1 while the version answers, else 0.", "model version", is_counter=False),
)


# Contract: every method of the observer is called on the loop thread and takes microseconds;
# ``exposition`` may be called on any thread at any time and sees each record wholly or not at all.
class Metrics(Collector):
    """An observer that counts, and writes what it counted for Prometheus.

    Args:
        build_version: the version of the server.
        drift: counts what predictions look like; without it nothing does.
        others: write the families of their own field.
    """

    def __init__(
        self,
        build_version: str,
        drift: DriftMetrics | None = None,
        others: Iterable[Collector] = (),
    ) -> None:
        self._build_version = build_version
        self._drift = drift
        self._lock = threading.Lock()
        self._admission = LabelAdmission()
        self._families = {spec.name: _Family(spec, self._admission) for spec in _SPECS}
        self._models: dict[ModelVersion, ModelRecord] = {}
        self._registry = CollectorRegistry()
        for collector in (self, *others):
            self._registry.register(collector)
        if drift is not None:
            self._registry.register(drift)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def request_finished(self, record: RequestRecord) -> None:
        """Counts the answer and its duration."""
        labels = (record.model, record.version, record.method)
        with self._lock:
            self._families["requests"].add((*labels, record.code))
            self._families["request_duration_seconds"].observe(labels, record.duration_s)

    def batch_executed(self, record: BatchRecord) -> None:
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

    def predicted(self, record: PredictionRecord) -> None:
        """Leaves the scores to the one who counts them."""
        if self._drift is not None:
            self._drift.predicted(record)

    def image_decoded(self, record: DecodeRecord) -> None:
        """Counts the time of one image."""
        with self._lock:
            self._families["decode_seconds"].observe((record.image_format,), record.duration_s)

    def request_shed(self, record: ShedRecord) -> None:
        """Counts the refusal."""
        with self._lock:
            self._families["shed"].add((record.model, record.version, record.reason))

    def queue_changed(self, model: str, version: int, rows: int) -> None:
        """Remembers the rows that wait."""
        with self._lock:
            self._families["queue_rows"].set((model, version), rows)

    def self_checked(self, record: SelfCheckRecord) -> None:
        """Counts the result."""
        with self._lock:
            self._families["selfcheck"].add((record.model, record.version, record.result))

    def model_changed(self, record: ModelRecord) -> None:
        """Announces the version, and says whether it answers."""
        version = (record.model, record.version)
        with self._lock:
            self._admission.announce(version)
            if record.model_digest:
                self._models[version] = record
            self._create_series(version)
            self._families["model_ready"].set(version, record.state == "ready")

    def _create_series(self, version: ModelVersion) -> None:
        families = self._families
        for family in families.values():
            if family.labels == ("model", "version"):
                family.row(version)
        for method in PREDICT_METHODS:
            families["request_duration_seconds"].row((*version, method))
            for code in _USUAL_CODES:
                families["requests"].row((*version, method, code))
        for reason in _SHED_REASONS:
            families["shed"].row((*version, reason))
        for result in _SELF_CHECK_RESULTS:
            families["selfcheck"].row((*version, result))

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
            models = list(self._models.values())
        for family, series, cells in snapshots:
            yield family.metric(series, cells)
        yield _model_info(models)
        build = {"version": self._build_version}
        yield core.InfoMetricFamily(f"{_PREFIX}build", "The version of the server.", value=build)


def _model_info(models: Iterable[ModelRecord]) -> core.Metric:
    text = "What answers under a model version."
    info = core.InfoMetricFamily(f"{_PREFIX}model", text, labels=("model", "version"))
    for record in models:
        what = {
            "digest": record.model_digest,
            "recipe": record.recipe_digest,
            "engine": record.engine,
        }
        what |= {"certificate": record.certificate_digest, "consistency": record.consistency}
        info.add_metric((record.model, str(record.version)), what)
    return info
