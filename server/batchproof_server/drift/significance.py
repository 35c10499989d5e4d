"""Whether chance can explain how a window differs from its reference; docs/drift-rules.md. Pure.

Prometheus computes the same figures from the exported counters. Everything works on many windows at
once: counts are [..., bins].
"""

from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.drift.class_groups import UNORDERED

CHI2_Z: Final = 2.75
ANDERSON_DARLING: Final = 4.33
"""Together the two raise at most 1 % false alarms for one signal and window."""
UNORDERED_CHI2_Z: Final = 2.6
"""Of the class, which has no order and so no Anderson-Darling."""
UNSURE_OBSERVATIONS: Final = 2
"""What the share of each bin of the reference may be short of, in observations."""
LEAST_OBSERVATIONS: Final = 50


def effective_observations(total: Array, reference: float) -> Array:
    """``1 / (1 / N + 1 / M)``: as many of a known distribution would tell as much, [...].

    Args:
        total: observations of each window.
        reference: observations of the reference.
    """
    result: Array = total * reference / (total + reference)
    return result


def chi2_zscore(counts: Array, shares: Array, reference: float) -> Array:
    """Pearson's chi-square as a standard score (Wilson and Hilferty 1931), float64 [...].

    The shares of the reference are estimates, hence the effective observations; and a bin that the
    reference met by chance too rarely must not decide, hence its two more observations. A bin in
    which less than one observation is expected counts as if one were, and the spread is that of the
    statistic itself (Haldane 1937) and not of its limit: otherwise a single observation in a rare
    bin would be significant.

    Args:
        counts: [..., bins], of the windows; one or more observations each.
        shares: [bins], of the reference, two or more; see ``binning.reference_shares``.
        reference: observations of the reference.
    """
    total = counts.sum(axis=-1)
    effective = effective_observations(total, reference)
    difference = effective[..., np.newaxis] * (counts / total[..., np.newaxis] - shares)
    expected = effective[..., np.newaxis] * (shares + UNSURE_OBSERVATIONS / reference)
    chi2 = (difference**2 / np.maximum(expected, 1)).sum(axis=-1)
    bins, freedom = len(shares), len(shares) - 1
    rarity = np.minimum(1 / shares, effective[..., np.newaxis]).sum(axis=-1)
    excess = np.maximum(0, (rarity - (bins**2 + 2 * bins - 2)) / effective)
    spread = (2 * freedom + excess) / (9 * freedom**2)
    zscore: Array = ((chi2 / freedom) ** (1 / 3) - (1 - spread)) / np.sqrt(spread)
    return zscore


def anderson_darling(counts: Array, shares: Array, reference: float) -> Array:
    """The midrank form for grouped data, float64 [...].

    Scholz and Stephens 1987, "K-Sample Anderson-Darling Tests", equation 7, with the reference as
    the known distribution and the effective observations.

    Args:
        counts: as for ``chi2_zscore``, of bins in their order.
        shares: the same.
        reference: the same.
    """
    total = counts.sum(axis=-1)
    difference = counts / total[..., np.newaxis] - shares
    middle = difference.cumsum(axis=-1) - difference / 2
    rank = shares.cumsum() - shares / 2
    squares = (shares * middle**2 / (rank * (1 - rank))).sum(axis=-1)
    statistic: Array = squares * effective_observations(total, reference)
    return statistic


def significance(signal: str, counts: Array, shares: Array, reference: float) -> Array:
    """The larger of the tests of a signal over its critical value, float64 [...]; 1 is the limit.

    A signal with a single bin cannot drift.

    Args:
        signal: its name.
        counts: as for ``chi2_zscore``.
        shares: [bins], one or more.
        reference: the same.
    """
    if len(shares) == 1:
        return np.zeros(counts.shape[:-1])
    zscore = chi2_zscore(counts, shares, reference)
    if signal in UNORDERED:
        unordered: Array = zscore / UNORDERED_CHI2_Z
        return unordered
    distance = anderson_darling(counts, shares, reference)
    ordered: Array = np.maximum(zscore / CHI2_Z, distance / ANDERSON_DARLING)
    return ordered
