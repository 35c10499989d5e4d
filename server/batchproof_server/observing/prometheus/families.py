"""Families of Prometheus series as rows of numpy arrays: an observation is a few additions."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from prometheus_client import metrics_core as core
from prometheus_client.samples import Exemplar

from batchproof_server.observing.prometheus.labels import LabelAdmission, Labels, ModelVersion

Cells: TypeAlias = npt.NDArray[np.float64]

PREFIX: Final = "batchproof_"
_FEWEST_ROWS = 4
_WORTH_AN_ARRAY = 16  # below it, one value at a time is quicker


@dataclass(frozen=True, slots=True)
class Spec:
    """One family.

    Attributes:
        name: without prefix and suffix.
        text: of its HELP line.
        labels: their names, separated by spaces.
        bounds: make it a histogram.
        is_counter: or else a gauge.
    """

    name: str
    text: str
    labels: str
    bounds: tuple[float, ...] = ()
    is_counter: bool = True


class _SeriesRows(dict[Labels, int]):
    """The row of each series; what is asked for and is not there is created."""

    def __init__(self, create: Callable[[Labels], int]) -> None:
        super().__init__()
        self._create = create

    def __missing__(self, labels: Labels) -> int:
        return self._create(labels)


# One row for each series. Columns: one number; or of a histogram one for each bound, one for what
# is above all of them, and the sum. The caller holds the lock, except for ``metric``.
# A method asks for the row before it touches the cells: a new row may replace the array.
class Family:
    """The series of one family.

    Args:
        spec: what it is.
        admission: decides which label values become series.
    """

    def __init__(self, spec: Spec, admission: LabelAdmission) -> None:
        self._spec = spec
        self.labels = tuple(spec.labels.split())
        self._bounds = spec.bounds
        self._bounds_array = np.array(spec.bounds, np.float64)
        self._admission = admission
        self._rows = _SeriesRows(self._create)
        self._cells = np.zeros((_FEWEST_ROWS, len(spec.bounds) + 2 if spec.bounds else 1))
        self._exemplars: dict[tuple[Labels, int], Exemplar] = {}

    def row(self, labels: Labels) -> int:
        """Returns the row of a series; creates it at zero when it is new and admitted."""
        return self._rows[labels]

    def _create(self, labels: Labels) -> int:
        admitted = self._admission.admit(self.labels, labels)
        row = self._rows.setdefault(admitted, len(self._rows))
        if row == len(self._cells):
            self._cells = np.concatenate((self._cells, np.zeros_like(self._cells)))
        return row

    def forget(self, version: ModelVersion) -> None:
        """Removes the series of a model version, and gives their memory back."""
        if self.labels[0] != "model":
            return
        kept = {labels: row for labels, row in self._rows.items() if labels[:2] != version}
        cells = np.zeros((max(_FEWEST_ROWS, len(kept)), self._cells.shape[1]))
        cells[: len(kept)] = self._cells[list(kept.values())]
        self._rows = _SeriesRows(self._create)
        self._rows.update((labels, row) for row, labels in enumerate(kept))
        self._cells = cells
        gone = [place for place in self._exemplars if place[0][:2] == version]
        for place in gone:
            del self._exemplars[place]

    def add(self, labels: Labels, amount: float = 1.0) -> None:
        """Adds to a number."""
        row = self._rows[labels]
        self._cells[row, 0] += amount

    def set(self, labels: Labels, value: float) -> None:
        """Replaces a number."""
        row = self._rows[labels]
        self._cells[row, 0] = value

    def observe(self, labels: Labels, value: float) -> None:
        """Adds a value to a histogram."""
        row = self._rows[labels]
        self._cells[row, bisect_left(self._bounds, value)] += 1.0
        self._cells[row, -1] += value

    def keep_exemplar(self, labels: Labels, value: float, trace: str) -> None:
        """Remembers of which trace the latest value in a bucket of a histogram was."""
        place = self._admission.admit(self.labels, labels), bisect_left(self._bounds, value)
        self._exemplars[place] = Exemplar({"trace_id": trace}, value)

    def observe_all(self, labels: Labels, values: Sequence[float]) -> None:
        """Adds values to a histogram."""
        row = self._rows[labels]
        if len(values) < _WORTH_AN_ARRAY:
            for value in values:
                self._cells[row, bisect_left(self._bounds, value)] += 1.0
        else:
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
        metric = kind(PREFIX + self._spec.name, self._spec.text, labels=self.labels)
        for labels, value in zip(series, cells[:, 0].tolist(), strict=True):
            metric.add_metric(tuple(map(str, labels)), value)
        return metric

    def _histogram(self, series: list[Labels], cells: Cells) -> core.Metric:
        name = PREFIX + self._spec.name
        metric = core.HistogramMetricFamily(name, self._spec.text, labels=self.labels)
        bounds = (*(repr(float(bound)) for bound in self._bounds), "+Inf")
        counts = cells[:, :-1].cumsum(axis=1).tolist()
        for labels, row, total in zip(series, counts, cells[:, -1].tolist(), strict=True):
            # Read without the lock: the latest one does as well. Only OpenMetrics has room for it.
            latest = (self._exemplars.get((labels, column)) for column in range(len(bounds)))
            buckets = [
                (bound, count) if exemplar is None else (bound, count, exemplar)
                for bound, count, exemplar in zip(bounds, row, latest, strict=True)
            ]
            metric.add_metric(tuple(map(str, labels)), buckets, total)
        return metric
