"""Two answers to the same pictures, compared: what one corrects and what it corrupts. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array

SIGNIFICANT: Final = 0.05
"""A p-value below it counts, after Holm's adjustment over everything that was tried."""


@dataclass(frozen=True, slots=True)
class Paired:
    """How many pictures change sides.

    Attributes:
        corrected: pictures that were wrong and became right.
        corrupted: pictures that were right and became wrong.
    """

    corrected: int
    corrupted: int

    @property
    def net(self) -> int:
        """Pictures gained; below 0 when more were corrupted."""
        return self.corrected - self.corrupted

    @property
    def p_value(self) -> float:
        """McNemar's, exact and two-sided."""
        return mcnemar(self.corrected, self.corrupted)


def paired(before: Array, after: Array) -> Paired:
    """Compares two answers to each picture.

    Args:
        before: bool [pictures], whether the first one is right.
        after: bool [pictures], whether the second one is.
    """
    return Paired(int((~before & after).sum()), int((before & ~after).sum()))


def mcnemar(corrected: int, corrupted: int) -> float:
    """The exact two-sided p-value of McNemar's test.

    If neither way were better, each picture that changes sides would do so as a fair coin falls.
    The p-value is twice the smaller tail of that binomial distribution, at most 1 (McNemar 1947,
    "Note on the sampling error of the difference between correlated proportions"; the exact form is
    the sign test on the discordant pairs). No picture changes sides: 1.

    Args:
        corrected: 0 or more.
        corrupted: 0 or more.
    """
    discordant, fewer = corrected + corrupted, min(corrected, corrupted)
    if corrected == corrupted:
        return 1.0
    greatest = _log_choices(discordant, fewer)
    terms = (math.exp(_log_choices(discordant, k) - greatest) for k in range(fewer + 1))
    # In logarithms: 2**-1100 is no float any more.
    log_p = math.log(2) + greatest + math.log(math.fsum(terms)) - discordant * math.log(2)
    return min(1.0, math.exp(log_p))


def _log_choices(count: int, chosen: int) -> float:
    """The logarithm of the binomial coefficient."""
    return math.lgamma(count + 1) - math.lgamma(chosen + 1) - math.lgamma(count - chosen + 1)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p-values adjusted for how many there are, in their order.

    Whoever tries ten policies finds one with p < 0.05 by luck in four cases of ten. What is below
    0.05 after this adjustment is so by luck in at most one family of twenty, whatever the
    dependence of the tests (Holm 1979, "A simple sequentially rejective multiple test procedure").
    """
    values = np.array(p_values, float)
    order = values.argsort(kind="stable")
    stretched = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stretched))
    return tuple(map(float, adjusted))
