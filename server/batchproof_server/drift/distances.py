"""How far a window is from its reference; docs/drift-rules.md. Pure.

Everything works on many windows at once: counts are [..., bins].
"""

from typing import Final

import numpy as np

from batchproof_server.base.signature import Array

PRIOR_OBSERVATIONS: Final = 10
"""The weight of the reference in the smoothed shares."""


def smoothed_shares(counts: Array, shares: Array) -> Array:
    """Shares in which no bin is empty: ``(n + 10 p) / (N + 10)``, float64 [..., bins].

    Args:
        counts: [..., bins], of the windows.
        shares: [bins], of the reference; see ``binning.reference_shares``.
    """
    total = counts.sum(axis=-1, keepdims=True)
    smoothed: Array = (counts + PRIOR_OBSERVATIONS * shares) / (total + PRIOR_OBSERVATIONS)
    return smoothed


def stability_index(counts: Array, shares: Array) -> Array:
    """PSI, the population stability index of the smoothed shares: float64 [...].

    Args:
        counts: as for ``smoothed_shares``.
        shares: the same.
    """
    smoothed = smoothed_shares(counts, shares)
    index: Array = ((smoothed - shares) * np.log(smoothed / shares)).sum(axis=-1)
    return index


def noise_floor(total: Array, bins: int, reference: float) -> Array:
    """What PSI is on average when nothing drifts, ``(B - 1) (1 / N + 1 / M)``: float64 [...].

    Args:
        total: observations of each window; none counts as one.
        bins: of the signal.
        reference: observations of the reference; likewise.
    """
    floor: Array = (bins - 1) * (1 / np.maximum(1, total) + 1 / max(1, reference))
    return floor
