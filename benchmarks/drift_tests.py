"""Tests of drift on windows of observations: the rule of docs/drift.md, and two classical ones.

Everything works on many windows at once: counts are [windows, bins], values [windows, N].
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

CHI2_ZSCORE: Final = 2.75
ANDERSON_DARLING: Final = 4.33
CLASS_CHI2_ZSCORE: Final = 2.6
"""Of the class, which has no order and so no Anderson-Darling."""
KS_LEVEL: Final = 0.05
EVEN_LEVEL: Final = 0.0075
PSI_LIMITS: Final = (0.1, 0.2)
_LEAST_SHARE: Final = 1e-4


def chi2_zscore(counts: Floats, shares: Floats, reference: int) -> Floats:
    """Pearson's chi-square as a standard score (Wilson and Hilferty 1931), float64 [windows].

    It is divided by ``1 + N / M``, because the shares were estimated from M observations. A bin in
    which less than one observation is expected counts as if one were, and the spread is that of
    the statistic itself (Haldane 1937) and not of its limit: otherwise a single observation in a
    rare bin would be significant.
    """
    total = counts.sum(axis=1)
    expected = total[:, np.newaxis] * shares
    squares = (counts - expected) ** 2 / np.maximum(expected, 1)
    chi2 = squares.sum(axis=1) / (1 + total / reference)
    bins, freedom = len(shares), len(shares) - 1
    rarity = np.minimum(1 / shares, total[:, np.newaxis]).sum(axis=1)
    excess = np.maximum(0, (rarity - (bins**2 + 2 * bins - 2)) / total)
    spread = (2 * freedom + excess) / (9 * freedom**2)
    zscore: Floats = ((chi2 / freedom) ** (1 / 3) - (1 - spread)) / np.sqrt(spread)
    return zscore


def anderson_darling(counts: Floats, shares: Floats, reference: int) -> Floats:
    """The midrank form for grouped data, float64 [windows].

    Scholz and Stephens 1987, "K-Sample Anderson-Darling Tests", equation 7, with the reference as
    the known distribution and the same division by ``1 + N / M``.
    """
    total = counts.sum(axis=1)
    difference = counts / total[:, np.newaxis] - shares
    middle = difference.cumsum(axis=1) - difference / 2
    rank = shares.cumsum() - shares / 2
    squares = (shares * middle**2 / (rank * (1 - rank))).sum(axis=1)
    statistic: Floats = squares * total / (1 + total / reference)
    return statistic


def is_significant(signal: str, counts: Floats, shares: Floats, reference: int) -> Flags:
    """The rule: whether a signal has drifted, bool [windows]."""
    if len(shares) == 1:  # a signal that is constant in the reference, and can only be so
        return np.zeros(len(counts), np.bool_)
    zscore = chi2_zscore(counts, shares, reference)
    if signal == "class":
        return zscore > CLASS_CHI2_ZSCORE
    distance = anderson_darling(counts, shares, reference)
    return (zscore > CHI2_ZSCORE) | (distance > ANDERSON_DARLING)


def naive_psi(counts: Floats, reference_counts: Floats) -> Floats:
    """The population stability index as it is usually computed, float64 [windows].

    Empty shares count as 0.0001; nothing is said about the number of observations.
    """
    expected = np.maximum(reference_counts / reference_counts.sum(), _LEAST_SHARE)
    actual = np.maximum(counts / counts.sum(axis=1, keepdims=True), _LEAST_SHARE)
    index: Floats = ((actual - expected) * np.log(actual / expected)).sum(axis=1)
    return index


def ks_fires(windows: Floats, reference: Floats, level: float) -> Flags:
    """The two-sample Kolmogorov-Smirnov test of many windows, bool [windows].

    It fires where ``scipy.stats.ks_2samp(..., method="asymp")`` has a p-value below the level; the
    distance that has this p-value is looked for once, because that is slow.

    Args:
        windows: [windows, N], ascending in each.
        reference: [M], ascending.
        level: of the test.
    """
    size, known = windows.shape[1], len(reference)
    return ks_distance(windows, reference) > _critical(round(size * known / (size + known)), level)


@lru_cache
def _critical(pairs: int, level: float) -> float:
    return float(stats.kstwo.isf(level, pairs))


def ks_distance(windows: Floats, reference: Floats) -> Floats:
    """The greatest difference of the two distribution functions, float64 [windows].

    Args:
        windows: [windows, N], ascending in each.
        reference: [M], ascending.
    """
    rows, size = windows.shape
    grid, first = np.unique(reference, return_index=True)
    upto = np.append(first[1:], len(reference)) / len(reference)
    place = np.searchsorted(grid, windows, side="right")
    reference_upto = np.concatenate(([0.0], upto))[place]
    below = np.searchsorted(grid, windows, side="left")
    reference_below = np.concatenate(([0.0], upto))[below]
    step = np.arange(1, size + 1) / size
    # Among equal values only the last step up and the first step down are real.
    last = np.ones((rows, size), np.bool_)
    last[:, :-1] = windows[:, 1:] != windows[:, :-1]
    start = np.ones((rows, size), np.bool_)
    start[:, 1:] = last[:, :-1]
    above = np.where(last, np.abs(step - reference_upto), 0).max(axis=1)
    under = np.where(start, np.abs(step - 1 / size - reference_below), 0).max(axis=1)
    distance: Floats = np.maximum(above, under)
    return distance


def any_signal(by_signal: Mapping[str, Any]) -> Flags:
    """Whether any signal of a window fired, bool [windows]."""
    fired: Flags = np.any(np.stack(list(by_signal.values())), axis=0)
    return fired
