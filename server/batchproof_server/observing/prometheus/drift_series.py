"""The Prometheus families of drift, from counts and a profile. Names: ``docs/metrics.md``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from prometheus_client import metrics_core as core

from batchproof_server.drift.bin_texts import bin_texts
from batchproof_server.drift.binning import reference_shares
from batchproof_server.drift.counters import UNUSABLE_REASONS, DriftCounts
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.profile_form import KnownProfile

Labels: TypeAlias = tuple[str, ...]

_VERSION: Final = ("model", "version")
_PROFILE: Final = (*_VERSION, "profile")
_SIGNAL: Final = (*_PROFILE, "signal")
_BIN: Final = (*_SIGNAL, "bin")


@dataclass(frozen=True, slots=True)
class _Signal:
    """One signal of one model version: what stands in its series and never changes."""

    name: str
    labels: Labels
    bins: tuple[Labels, ...]
    bounds: tuple[Labels, ...]
    shares: tuple[float, ...]
    observations: int
    mean: float | None
    stddev: float | None


@dataclass(frozen=True, slots=True)
class ReferenceSeries:
    """The series of one profile. Made by ``of``."""

    labels: Labels
    signals: tuple[_Signal, ...]
    accuracy_ratio: float
    ece_ratio: float

    @classmethod
    def of(cls, version: Labels, known: KnownProfile) -> "ReferenceSeries":
        """Prepares them.

        Args:
            version: the values of the labels ``model`` and ``version``.
            known: the profile.
        """
        labels, profile = (*version, known.short_digest), known.profile
        numeric = (_numeric(labels, profile, name) for name in profile.signals)
        return cls(
            labels=labels,
            signals=(_class_signal(labels, profile), *numeric),
            accuracy_ratio=profile.accuracy_ratio,
            ece_ratio=profile.calibration.ece_ratio,
        )


def _class_signal(version: Labels, profile: ReferenceProfile) -> _Signal:
    groups = profile.class_groups()
    labels = (*version, groups.signal)
    bins = _bin_labels(labels, len(groups.counts))
    texts = groups.labels([each.label for each in profile.classes])
    return _Signal(
        name=groups.signal,
        labels=labels,
        bins=bins,
        bounds=tuple((*each, "", "", text) for each, text in zip(bins, texts, strict=True)),
        shares=tuple(reference_shares(groups.counts).tolist()),
        observations=int(groups.counts.sum()),
        mean=None,
        stddev=None,
    )


def _numeric(version: Labels, profile: ReferenceProfile, name: str) -> _Signal:
    signal, labels = profile.signals[name], (*version, name)
    bins = _bin_labels(labels, len(signal.counts))
    edges = ["-Inf", *map(repr, signal.edges), "+Inf"]
    described = bin_texts(signal.edges)
    bounds = zip(bins, edges[:-1], edges[1:], described, strict=True)
    return _Signal(
        name=name,
        labels=labels,
        bins=bins,
        bounds=tuple((*each, lower, upper, text) for each, lower, upper, text in bounds),
        shares=tuple(reference_shares(np.array(signal.counts)).tolist()),
        observations=sum(signal.counts),
        mean=signal.mean,
        stddev=signal.stddev,
    )


def _bin_labels(labels: Labels, count: int) -> tuple[Labels, ...]:
    return tuple((*labels, f"{number:02}") for number in range(count))


def confidence_family(confidences: Iterable[tuple[Labels, int, float]]) -> core.Metric:
    """The family of every classifier, with or without a profile: labels, count and sum."""
    text = "Highest probability of each answered row."
    family = core.SummaryMetricFamily("batchproof_confidence_ratio", text, labels=_VERSION)
    for labels, count, total in confidences:
        family.add_metric(labels, count, total)
    return family


def uncounted_family(uncounted: Iterable[tuple[Labels, int]]) -> core.Metric:
    """The family of every classifier, with or without a profile: labels and rows."""
    text = "Rows left out because counting them failed."
    family = core.CounterMetricFamily("batchproof_uncounted_rows", text, labels=_VERSION)
    for labels, rows in uncounted:
        family.add_metric(labels, rows)
    return family


def far_family(far: Iterable[tuple[Labels, int]]) -> core.Metric:
    """The family of every version that has a profile: labels and rows."""
    text = "Rows of tensors that are far from those of the reference."
    family = core.CounterMetricFamily("batchproof_far_rows", text, labels=_VERSION)
    for labels, rows in far:
        family.add_metric(labels, rows)
    return family


def version_families(
    profiled: Sequence[tuple[ReferenceSeries, DriftCounts]],
) -> Iterable[core.Metric]:
    """Every family of the versions that have a profile."""
    yield from _count_families(profiled)
    yield from _reference_families([series for series, _ in profiled])


def _count_families(
    profiled: Sequence[tuple[ReferenceSeries, DriftCounts]],
) -> Iterable[core.Metric]:
    observations = _counter("observations", "Observations in a bin.", _BIN)
    deviations = _counter(
        "deviation_sum", "Sum of standard scores against the reference, plus 10 each.", _SIGNAL
    )
    scored = _counter("deviations", "Observations in the sum of standard scores.", _SIGNAL)
    above = _counter("atc_above", "Rows whose ATC score reaches the threshold.", _PROFILE)
    unusable = _counter("unusable", "Rows or values left out.", (*_PROFILE, "reason"))
    for series, counts in profiled:
        above.add_metric(series.labels, counts.atc_above)
        for reason, count in zip(UNUSABLE_REASONS, counts.unusable.tolist(), strict=True):
            unusable.add_metric((*series.labels, reason), count)
        for place, signal in enumerate(series.signals):
            row = counts.bins[place].tolist()
            for labels, count in zip(signal.bins, row, strict=False):
                observations.add_metric(labels, count)
            if signal.mean is not None:
                deviations.add_metric(signal.labels, float(counts.deviation_sum[place]))
                scored.add_metric(signal.labels, sum(row))
    yield from (observations, deviations, scored, above, unusable)


def _reference_families(profiled: Sequence[ReferenceSeries]) -> Iterable[core.Metric]:
    share = _gauge("reference_share_ratio", "Share of a bin in the reference, never 0.", _BIN)
    total = _gauge("reference_observations", "Observations of the reference.", _SIGNAL)
    mean = _gauge("reference_mean", "Mean of the reference.", _SIGNAL)
    stddev = _gauge("reference_stddev", "Standard deviation of the reference.", _SIGNAL)
    accuracy = _gauge("reference_accuracy_ratio", "Accuracy on the reference.", _PROFILE)
    ece = _gauge("reference_ece_ratio", "Calibration error on the reference.", _PROFILE)
    info = _gauge("bin_info", "What a bin holds; always 1.", (*_BIN, "lower", "upper", "label"))
    for series in profiled:
        accuracy.add_metric(series.labels, series.accuracy_ratio)
        ece.add_metric(series.labels, series.ece_ratio)
        for signal in series.signals:
            total.add_metric(signal.labels, signal.observations)
            for labels, value in zip(signal.bins, signal.shares, strict=True):
                share.add_metric(labels, value)
            for labels in signal.bounds:
                info.add_metric(labels, 1)
            if signal.mean is not None and signal.stddev is not None:
                mean.add_metric(signal.labels, signal.mean)
                stddev.add_metric(signal.labels, signal.stddev)
    yield from (share, total, mean, stddev, accuracy, ece, info)


def _counter(name: str, text: str, labels: Labels) -> core.CounterMetricFamily:
    return core.CounterMetricFamily(f"batchproof_drift_{name}", text, labels=labels)


def _gauge(name: str, text: str, labels: Labels) -> core.GaugeMetricFamily:
    return core.GaugeMetricFamily(f"batchproof_drift_{name}", text, labels=labels)
