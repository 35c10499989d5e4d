"""Counts of signals in the bins of a profile: arrays that add up. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.drift.binning import MAX_BINS, bins_of
from batchproof_server.drift.calibration import negative_entropy
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.signals import Signals

MAX_DEVIATION: Final = 10.0
"""What a standard score is clipped to, and what is added so that a sum only grows."""

UNUSABLE_REASONS: Final = ("not_finite", "class_out_of_range")


# Contract: counting in parts and adding is counting at once; nothing is ever taken away.
@dataclass(frozen=True, slots=True, eq=False)
class DriftCounts:
    """What was seen of one model version.

    Attributes:
        bins: int64 [signals, 20], in the order of ``Ruler.names``; unused bins stay 0.
        deviation_sum: float64 [signals], of the clipped standard scores plus 10; 0 for the class.
        atc_above: rows whose score reaches the threshold.
        unusable: int64 [reasons], rows or values that were left out, as ``UNUSABLE_REASONS``.
    """

    bins: Array
    deviation_sum: Array
    atc_above: int
    unusable: Array

    def __add__(self, other: "DriftCounts") -> "DriftCounts":
        return DriftCounts(
            self.bins + other.bins,
            self.deviation_sum + other.deviation_sum,
            self.atc_above + other.atc_above,
            self.unusable + other.unusable,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Scale:
    """How one numeric signal is measured."""

    name: str
    edges: Array
    mean: float
    scale: float


class Ruler:
    """Measures signals against one profile; made once for a model version.

    Args:
        profile: the reference.

    Attributes:
        profile: the same.
    """

    def __init__(self, profile: ReferenceProfile) -> None:
        self.profile = profile
        groups = profile.class_groups()
        self._classes = groups.group_of
        self._scales = tuple(
            _Scale(name, np.array(signal.edges, np.float64), signal.mean, signal.scale)
            for name, signal in profile.signals.items()
        )
        self._temperature = profile.calibration.temperature
        self._threshold = profile.atc.threshold
        self.names = (groups.signal, *profile.signals)

    def nothing(self) -> DriftCounts:
        """No rows."""
        return DriftCounts(
            bins=np.zeros((len(self.names), MAX_BINS), np.int64),
            deviation_sum=np.zeros(len(self.names)),
            atc_above=0,
            unusable=np.zeros(len(UNUSABLE_REASONS), np.int64),
        )

    def counted(self, signals: Signals, not_finite: int = 0) -> DriftCounts:
        """Counts rows.

        A row whose class the profile does not know is unusable and counted nowhere else. So is a
        single infinite value; a value that a row does not have (NaN) is no observation.

        Args:
            signals: of rows whose scores are finite.
            not_finite: how many other rows there were.
        """
        counts = self.nothing()
        known = signals.classes < len(self._classes)
        counts.unusable[:] = not_finite, len(known) - known.sum()
        everything = bool(known.all())
        classes = signals.classes if everything else signals.classes[known]
        counts.bins[0] = np.bincount(self._classes[classes], minlength=MAX_BINS)
        for place, scale in enumerate(self._scales, start=1):
            values = signals.values.get(scale.name)
            if values is not None:
                self._count(counts, place, scale, values if everything else values[known])
        logs = signals.log_probabilities if everything else signals.log_probabilities[known]
        above = int((negative_entropy(logs, self._temperature) >= self._threshold).sum())
        return DriftCounts(counts.bins, counts.deviation_sum, above, counts.unusable)

    def _count(self, counts: DriftCounts, place: int, scale: _Scale, values: Array) -> None:
        finite = np.isfinite(values)
        if not finite.all():
            counts.unusable[0] += np.isinf(values).sum()
            values = values[finite]
        counts.bins[place] = np.bincount(bins_of(values, scale.edges), minlength=MAX_BINS)
        scores = np.clip((values - scale.mean) / scale.scale, -MAX_DEVIATION, MAX_DEVIATION)
        counts.deviation_sum[place] = scores.sum() + MAX_DEVIATION * len(values)
