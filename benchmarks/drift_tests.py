"""Two classical tests of drift on windows of observations, beside the rule of docs/drift.md.

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

KS_LEVEL: Final = 0.05
EVEN_LEVEL: Final = 0.0075
PSI_LIMITS: Final = (0.1, 0.2)
_LEAST_SHARE: Final = 1e-4


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
