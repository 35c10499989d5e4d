"""Bins: where their edges are, and which one a value falls into.

Bin ``i`` holds ``edges[i - 1] <= x < edges[i]``; the first and the last are open to the outside, so
every number has a bin and counts of the same edges add up.
"""

from typing import Final

import numpy as np

from batchproof_server.base.signature import Array

MAX_BINS: Final = 20
QUANTILE_BINS: Final = 10
_PRIOR_OBSERVATIONS: Final = 0.5


def decile_edges(values: Array, natural_range: tuple[float, float]) -> tuple[float, ...]:
    """The inner edges of ten bins that hold a tenth of the values each, as far as they can.

    An edge is a value that occurred, so that every increasing scale (such as ``-ln(1 - p)`` for a
    confidence near 1) gives the same bins. A value that is more than one decile is an atom: it has
    a bin of its own, with an edge at it and one at the next number above, unless nothing can lie on
    that side of it. So there are fewer bins where there are atoms.

    Args:
        values: finite, one or more.
        natural_range: beyond which no value can lie.
    """
    tenths = np.arange(1, QUANTILE_BINS) / QUANTILE_BINS
    deciles = np.quantile(values, tenths, method="inverted_cdf")
    lowest, highest = natural_range
    edges: set[float] = set()
    for value, times in zip(*np.unique(deciles, return_counts=True), strict=True):
        edges.add(float(value))
        if times > 1:
            edges.add(just_above(float(value)))
    return tuple(sorted(edge for edge in edges if lowest < edge <= highest))


def just_above(value: float) -> float:
    """The next number above; above 0 it is the smallest that no processor takes for 0.

    Some libraries have the processor treat denormal numbers as 0 on the threads that they touch.
    """
    return float(np.nextafter(value, np.inf)) if value else float(np.finfo(np.float64).tiny)


def quantile_edges(values: Array, bins: int) -> tuple[float, ...]:
    """The distinct inner edges of ``bins`` bins of equal counts."""
    shares = np.arange(1, bins) / bins
    return tuple(map(float, np.unique(np.quantile(values, shares, method="inverted_cdf"))))


def bins_of(values: Array, edges: Array) -> Array:
    """The bin of each value: int64 [values].

    Args:
        values: no NaN.
        edges: ascending, float64.
    """
    result: Array = np.searchsorted(edges, values, side="right")
    return result


def class_bins(answered: Array) -> tuple[int, ...]:
    """Which classes have figures of their own.

    All of them, in their order, when there are at most 20; else the 19 that the reference answered
    most often, most often first. What drift is measured in is not chosen by its own counts: see
    ``class_groups``.

    Args:
        answered: int64 [classes], how often the reference answered each.
    """
    if len(answered) <= MAX_BINS:
        return tuple(range(len(answered)))
    largest = np.argsort(-answered, kind="stable")[: MAX_BINS - 1]
    return tuple(map(int, largest))


def reference_shares(counts: Array) -> Array:
    """The share of each bin, never 0: ``(r + 0.5) / (M + 0.5 B)``, float64 [bins].

    Half an observation in each of the B bins is added to the M of the reference (the prior of
    Jeffreys 1946 for a multinomial), so that a bin which the reference left empty is rare and not
    impossible.

    Args:
        counts: int64 [bins].
    """
    raised = np.asarray(counts, np.float64) + _PRIOR_OBSERVATIONS
    shares: Array = raised / raised.sum()
    return shares
