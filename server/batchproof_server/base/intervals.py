"""Confidence intervals of shares, of their differences, and of means. Pure."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

Z_95: Final = 1.959963984540054
"""The 97.5th percentile of the normal distribution: two-sided intervals of 95 %."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and the bounds of its interval, of 95 % unless another was asked for."""

    estimate: float
    low: float
    high: float


def share_interval(count: int, total: int, confidence: float = 0.95) -> Interval:
    """The score interval of a share (Wilson, "Probable inference", JASA 22, 1927).

    Args:
        count: 0 to ``total``.
        total: 0 or more; of nothing, nothing is known: 0 to 1.
        confidence: two-sided, between 0 and 1.
    """
    if total == 0:
        return Interval(0.0, 0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, square = count / total, z * z
    middle = (share + square / (2 * total)) / (1 + square / total)
    reach = z * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    reach /= 1 + square / total
    # At both ends the bound is exact, and rounding must not leave the share outside.
    low = 0.0 if count == 0 else min(share, max(0.0, middle - reach))
    high = 1.0 if count == total else max(share, min(1.0, middle + reach))
    return Interval(share, low, high)


def difference_interval(count: int, total: int, base_count: int, base_total: int) -> Interval:
    """The interval of the difference of two independent shares, the first minus the second.

    Method 10 of Newcombe, "Interval estimation for the difference between independent proportions",
    Statistics in Medicine 17, 1998: square and add, from the score intervals of both.
    """
    one, base = share_interval(count, total), share_interval(base_count, base_total)
    difference = one.estimate - base.estimate
    down = math.hypot(one.estimate - one.low, base.high - base.estimate)
    up = math.hypot(one.high - one.estimate, base.estimate - base.low)
    return Interval(difference, max(-1.0, difference - down), min(1.0, difference + up))


def mean_interval(count: int, total: float, total_of_squares: float) -> Interval | None:
    """The interval of a mean, by the normal approximation; None of fewer than FEWEST values.

    Args:
        count: of the values.
        total: their sum.
        total_of_squares: the sum of their squares.
    """
    if count < FEWEST:
        return None
    mean = total / count
    variance = max(0.0, total_of_squares - count * mean * mean) / (count - 1)
    reach = Z_95 * math.sqrt(variance / count)
    return Interval(mean, mean - reach, mean + reach)


FEWEST: Final = 30
