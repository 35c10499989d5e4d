"""What was counted, compared with its reference: the figures of docs/drift-rules.md. Pure.

Prometheus computes them of a window from the exported counters, this of counts at hand.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.drift.bin_texts import bin_texts
from batchproof_server.drift.binning import reference_shares
from batchproof_server.drift.class_groups import UNORDERED
from batchproof_server.drift.counters import MAX_DEVIATION, DriftCounts, Ruler
from batchproof_server.drift.distances import noise_floor, smoothed_shares, stability_index
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.signals import INPUT_SIGNALS, Signals
from batchproof_server.drift.significance import LEAST_OBSERVATIONS, significance

ALERT_OBSERVATIONS: Final = 200
ALERT_PSI_LASTING: Final = 0.02
ALERT_TESTS_LASTING: Final = 1.5
"""How far over its critical value a test must be: what is off in a reference is so every day."""
ALERT_PSI: Final = 0.1
ALERT_PSI_SEVERE: Final = 0.25

Verdict: TypeAlias = Literal["severe", "drifted", "significant", "none", "too few", "not seen"]

OF_INPUTS: Final = (*UNORDERED, *INPUT_SIGNALS)
"""Signals of which severe drift says that nothing learned on the reference holds any more."""
WITHHELD: Final = "no estimate: the inputs are not like the reference"
UNSEEN: Final = "no estimate: nothing is known of the inputs"
UNKNOWN: Final = "no estimate: too few pictures"


@dataclass(frozen=True, slots=True)
class BinDrift:
    """One bin: what it holds, and its share in the reference and now."""

    label: str
    reference_share: float
    share: float
    observations: int


@dataclass(frozen=True, slots=True)
class SignalDrift:
    """One signal against its reference.

    Attributes:
        name: of the signal.
        verdict: ``severe`` and ``drifted`` are what alerts fire on; ``significant`` is real but
            small, or of less than 200 observations; below 50 there are ``too few`` to tell.
        observations: N.
        reference_observations: M.
        psi: population stability index of the smoothed shares.
        psi_above_noise: less what it is on average when nothing drifts.
        js_distance: of Jensen and Shannon, 0 to 1.
        tv_distance: the share of the observations that changed their bin.
        significance: the larger of the tests over its critical value; chance explains up to 1.
        mean_shift: in standard deviations of the reference; None for the class.
        bins: all of them, in their order.
    """

    name: str
    verdict: Verdict
    observations: int
    reference_observations: int
    psi: float
    psi_above_noise: float
    js_distance: float
    tv_distance: float
    significance: float
    mean_shift: float | None
    bins: tuple[BinDrift, ...]

    @property
    def is_drifted(self) -> bool:
        """Whether an alert would fire."""
        return self.verdict in {"drifted", "severe"}

    @property
    def withholds(self) -> bool:
        """Whether estimates that rest on the reference mean nothing any more."""
        return self.verdict == "severe" and self.name in OF_INPUTS


@dataclass(frozen=True, slots=True)
class AccuracyEstimate:
    """The accuracy without labels, or why there is none.

    Attributes:
        reference_ratio: of the labelled reference.
        atc_ratio: by average thresholded confidence (Garg et al. 2022); None where withheld, and
            where the scores are not known.
        doc_ratio: by the difference of confidences (Guillory et al. 2021); None where withheld, and
            where the confidence is not known.
        withheld: why; empty where there may be both.
    """

    reference_ratio: float
    atc_ratio: float | None
    doc_ratio: float | None
    withheld: str


@dataclass(frozen=True, slots=True)
class DriftComparison:
    """Everything that was counted, against one profile.

    Attributes:
        rows: that were counted.
        unusable: left out, since a score is not finite or the class unknown.
        signals: in the order of the profile, the class first.
        accuracy: as it is estimated.
    """

    rows: int
    unusable: int
    signals: tuple[SignalDrift, ...]
    accuracy: AccuracyEstimate

    @property
    def verdict(self) -> Verdict:
        """The worst of the signals."""
        order: tuple[Verdict, ...] = ("severe", "drifted", "significant", "none", "too few")
        seen = {signal.verdict for signal in self.signals}
        return next((each for each in order if each in seen), "not seen")


def compare(profile: ReferenceProfile, signals: Signals) -> DriftComparison:
    """Counts rows as the server does, and compares them.

    Args:
        profile: the reference.
        signals: of one or more rows whose scores are finite.
    """
    confidence = float(signals.values["confidence"].mean())
    return compare_counts(profile, Ruler(profile).counted(signals), confidence)


def compare_counts(
    profile: ReferenceProfile, counts: DriftCounts, confidence: float, *, knows_scores: bool = True
) -> DriftComparison:
    """Compares what was counted.

    Args:
        profile: the reference.
        counts: of its ``Ruler``.
        confidence: the mean of the rows that were counted; NaN where no row says it, and anything
            where there are none.
        knows_scores: whether all scores of the rows were known, and so whether they reach the
            threshold of ATC.
    """
    found = tuple(_signals(profile, counts))
    rows = found[0].observations
    atc = counts.atc_above / max(1, rows)
    return DriftComparison(
        rows=rows,
        unusable=int(counts.unusable.sum()),
        signals=found,
        accuracy=_estimate(profile, found, atc if knows_scores else None, confidence),
    )


def _signals(profile: ReferenceProfile, counts: DriftCounts) -> list[SignalDrift]:
    groups = profile.class_groups()
    labels = groups.labels([each.label for each in profile.classes])
    found = [_compared(groups.signal, groups.counts, counts.bins[0], labels, None)]
    for place, (name, signal) in enumerate(profile.signals.items(), start=1):
        live = counts.bins[place]
        total = int(live.sum())
        shift = counts.deviation_sum[place] / total - MAX_DEVIATION if total else None
        texts = bin_texts(signal.edges)
        found.append(_compared(name, np.array(signal.counts), live, texts, shift))
    return found


def _compared(
    name: str, known: Array, live: Array, labels: tuple[str, ...], shift: float | None
) -> SignalDrift:
    """One signal; ``live`` may have more bins than ``known``, which are empty."""
    shares, reference = reference_shares(known), int(known.sum())
    counts = live[: len(shares)]
    total = int(counts.sum())
    smoothed, psi = smoothed_shares(counts, shares), float(stability_index(counts, shares))
    floor = float(noise_floor(np.array(total), len(shares), reference))
    over = float(significance(name, counts, shares, reference)) if total and reference else 0.0
    now = counts / max(1, total)
    return SignalDrift(
        name=name,
        verdict=_verdict(total, over, psi - floor),
        observations=total,
        reference_observations=reference,
        psi=psi,
        psi_above_noise=psi - floor,
        js_distance=_js_distance(smoothed, shares),
        tv_distance=float(np.abs(smoothed - shares).sum() / 2),
        significance=over,
        mean_shift=None if shift is None else float(shift),
        bins=tuple(map(BinDrift, labels, shares.tolist(), now.tolist(), map(int, counts.tolist()))),
    )


def _js_distance(one: Array, other: Array) -> float:
    middle = (one + other) / 2
    divergence = (one * np.log2(one / middle) + other * np.log2(other / middle)).sum() / 2
    return float(np.sqrt(max(float(divergence), 0.0)))


def _verdict(total: int, over: float, psi_above_noise: float) -> Verdict:
    if not total:
        return "not seen"
    if total < LEAST_OBSERVATIONS:
        return "too few"
    if over <= 1:
        return "none"
    if total < ALERT_OBSERVATIONS or psi_above_noise <= ALERT_PSI:
        return "significant"
    return "severe" if psi_above_noise > ALERT_PSI_SEVERE else "drifted"


def _estimate(
    profile: ReferenceProfile, found: tuple[SignalDrift, ...], atc: float | None, confidence: float
) -> AccuracyEstimate:
    """It rests on the inputs being like the reference, and is withheld where they are not."""
    reason = ""
    if any(signal.withholds for signal in found):
        reason = WITHHELD
    elif found[0].observations < LEAST_OBSERVATIONS:
        reason = UNKNOWN
    elif not any(signal.observations for signal in found if signal.name in INPUT_SIGNALS):
        reason = UNSEEN
    doc = profile.accuracy_ratio + confidence - profile.signals["confidence"].mean
    return AccuracyEstimate(
        reference_ratio=profile.accuracy_ratio,
        atc_ratio=None if reason else atc,
        doc_ratio=None if reason or math.isnan(doc) else min(1.0, max(0.0, doc)),
        withheld=reason,
    )
