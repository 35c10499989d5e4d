"""Outcomes become Prometheus series: accuracy, recall of each class, calibration."""

import threading
from collections.abc import Iterable
from typing import Final

import numpy as np
from prometheus_client import metrics_core as core
from prometheus_client.registry import Collector

from batchproof_server.base.signature import Array
from batchproof_server.observing.prometheus.labels import ModelVersion
from batchproof_server.outcomes.answered import OutcomeRefusal
from batchproof_server.outcomes.counting import CONFIDENCE_BINS, ClassBins, confidence_bin
from batchproof_server.outcomes.known_labels import OutcomeRecord

_PREFIX: Final = "batchproof_outcome"
_NOBODY: Final[ModelVersion] = ("", 0)
_FALSE_TRUE: Final = ("false", "true")


# Columns of the count arrays: wrong, right.
class _Counts:
    def __init__(self, bins: ClassBins) -> None:
        self.bins = bins
        self.answers = np.zeros(2)
        self.classes = np.zeros((len(bins.labels), 2))
        self.calibration = np.zeros((CONFIDENCE_BINS, 2))
        self.confidence_sum = np.zeros(CONFIDENCE_BINS)

    def copy(self) -> "_Counts":
        copied = _Counts(self.bins)
        copied.answers[:] = self.answers
        copied.classes[:] = self.classes
        copied.calibration[:] = self.calibration
        copied.confidence_sum[:] = self.confidence_sum
        return copied


# Contract: as that of ``Metrics``. Every series of a version exists at zero before its first
# outcome; an answer that nobody remembers is counted under no model.
class OutcomeMetrics(Collector):
    """Counts outcomes, and writes what it counted for Prometheus."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: dict[ModelVersion, _Counts] = {}
        self._refused: dict[ModelVersion, dict[OutcomeRefusal, float]] = {_NOBODY: _no_refusals()}

    def expect_outcomes(self, model: str, version: int, bins: ClassBins) -> None:
        """Creates the series of a version."""
        with self._lock:
            self._versions[(model, version)] = _Counts(bins)
            self._refused[(model, version)] = _no_refusals()

    def forget_outcomes(self, model: str, version: int) -> None:
        """Removes the series of a version."""
        with self._lock:
            self._versions.pop((model, version), None)
            self._refused.pop((model, version), None)

    def count_outcome(self, record: OutcomeRecord) -> None:
        """Counts one outcome."""
        column = int(record.is_correct)
        confidence = confidence_bin(record.confidence)
        with self._lock:
            counts = self._versions[(record.model, record.version)]
            counts.answers[column] += 1
            for true, was_answered in record.classes():
                counts.classes[counts.bins.bin_of(true), int(was_answered)] += 1
            counts.calibration[confidence, column] += 1
            counts.confidence_sum[confidence] += record.confidence

    def count_refusal(self, model: str, version: int, reason: OutcomeRefusal) -> None:
        """Counts one refusal."""
        with self._lock:
            self._refused[(model, version)][reason] += 1

    def answers(self, model: str) -> dict[int, tuple[int, int]]:
        """Of each version of a model, how many of its answers were wrong, and how many right."""
        with self._lock:
            return {
                version: (int(counts.answers[0]), int(counts.answers[1]))
                for (name, version), counts in self._versions.items()
                if name == model
            }

    def collect(self) -> Iterable[core.Metric]:
        """Called by the registry: copies under the lock, formats outside it."""
        with self._lock:
            versions = {version: counts.copy() for version, counts in self._versions.items()}
            refused = {version: dict(counts) for version, counts in self._refused.items()}
        yield _outcomes(versions)
        yield _classes(versions)
        yield _calibration(versions)
        yield _confidence_sum(versions)
        yield _refusals(refused)


def _no_refusals() -> dict[OutcomeRefusal, float]:
    return dict.fromkeys(OutcomeRefusal, 0.0)


def _outcomes(versions: dict[ModelVersion, _Counts]) -> core.Metric:
    text = "Outcomes that were reported, by whether the answer was right."
    family = core.CounterMetricFamily(f"{_PREFIX}s", text, labels=("model", "version", "correct"))
    for version, counts in versions.items():
        _add_pair(family, _named(version), counts.answers)
    return family


def _classes(versions: dict[ModelVersion, _Counts]) -> core.Metric:
    text = "Outcomes by their true class."
    labels = ("model", "version", "bin", "label", "correct")
    family = core.CounterMetricFamily(f"{_PREFIX}_classes", text, labels=labels)
    for version, counts in versions.items():
        for number, label in enumerate(counts.bins.labels):
            series = (*_named(version), f"{number:02d}", label)
            _add_pair(family, series, counts.classes[number])
    return family


def _calibration(versions: dict[ModelVersion, _Counts]) -> core.Metric:
    text = "Outcomes by the confidence of the answer, in ten bins of equal width."
    labels = ("model", "version", "bin", "correct")
    family = core.CounterMetricFamily(f"{_PREFIX}_calibration", text, labels=labels)
    for version, counts in versions.items():
        for number in range(CONFIDENCE_BINS):
            _add_pair(family, (*_named(version), f"{number:02d}"), counts.calibration[number])
    return family


def _confidence_sum(versions: dict[ModelVersion, _Counts]) -> core.Metric:
    text = "Sum of the confidences of the answers in each bin of calibration."
    name = f"{_PREFIX}_calibration_confidence_sum"
    family = core.CounterMetricFamily(name, text, labels=("model", "version", "bin"))
    for version, counts in versions.items():
        for number, total in enumerate(counts.confidence_sum.tolist()):
            family.add_metric((*_named(version), f"{number:02d}"), total)
    return family


def _refusals(refused: dict[ModelVersion, dict[OutcomeRefusal, float]]) -> core.Metric:
    text = "Outcomes that were refused."
    family = core.CounterMetricFamily(
        f"{_PREFIX}s_refused", text, labels=("model", "version", "reason")
    )
    for version, counts in refused.items():
        for reason, count in counts.items():
            family.add_metric((*_named(version), reason.value), count)
    return family


def _add_pair(family: core.CounterMetricFamily, labels: tuple[str, ...], pair: Array) -> None:
    for correct, count in zip(_FALSE_TRUE, pair.tolist(), strict=True):
        family.add_metric((*labels, correct), count)


def _named(version: ModelVersion) -> tuple[str, str]:
    return version[0], str(version[1])
