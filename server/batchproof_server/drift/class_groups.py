"""The bins of the answered class: a class each, or groups of neighbours where there are many.

Groups that are chosen on the very sample that gives their shares make every other sample look
different. So half of the answers choose the groups, and the other half gives the shares.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.errors import cut
from batchproof_server.base.signature import Array
from batchproof_server.drift.binning import MAX_BINS

CLASS: Final = "class"
CLASS_GROUP: Final = "class_group"
"""The signal of a model with more than 20 classes; other bins must have another name."""
UNORDERED: Final = (CLASS, CLASS_GROUP)
"""The signals whose bins have no order."""

_COINS: Final = 1024
_LEAST_IN_A_GROUP: Final = 10
_LABEL_CHARACTERS: Final = 40


# Contract: equal counts make equal groups, on every machine and in every later version, because
# counters of replicas are added up.
@dataclass(frozen=True, slots=True, eq=False)
class ClassGroups:
    """The bins of one reference. Made by ``of``.

    Attributes:
        signal: ``class`` with a bin for each class, or ``class_group``.
        group_of: int64 [classes], the bin of each.
        counts: int64 [bins], answers of the reference; of ``class_group`` half of them.
        first_seldom: from this bin on there are classes that the other half does not have.
    """

    signal: str
    group_of: Array
    counts: Array
    first_seldom: int

    @classmethod
    def of(cls, answered: Sequence[int]) -> "ClassGroups":
        """Finds the bins.

        Of more than 20 classes, those that one half of the answers has are cut, in their order,
        into runs of equal counts, and the others into runs of equal numbers of classes. There are
        20 runs (fewer below 400 answers), and the others have as large a part of them as their
        probability: about the share of the answers whose class was answered once (Good 1953, "The
        Population Frequencies of Species and the Estimation of Population Parameters", equation 9).

        Args:
            answered: how often the reference answered each class; one or more classes.
        """
        if len(answered) <= MAX_BINS:
            counts = np.array(answered, np.int64)
            return cls(CLASS, np.arange(len(counts)), counts, len(counts))
        chosen = _one_half(answered)
        group_of, first_seldom = _grouped(chosen)
        rest = np.array(answered, np.int64) - chosen
        counts = np.zeros(group_of.max() + 1, np.int64)
        np.add.at(counts, group_of, rest)
        return cls(CLASS_GROUP, group_of, counts, first_seldom)

    def labels(self, classes: Sequence[str]) -> tuple[str, ...]:
        """What each bin is called.

        Args:
            classes: the label of each class.
        """
        if self.signal == CLASS:
            return tuple(classes)
        members = (np.flatnonzero(self.group_of == group) for group in range(len(self.counts)))
        return tuple(
            ("seldom: " if group >= self.first_seldom else "")
            + _named([classes[place] for place in places.tolist()])
            for group, places in enumerate(members)
        )


def _named(labels: Sequence[str]) -> str:
    if len(labels) == 1:
        return cut(labels[0], _LABEL_CHARACTERS)
    first, last = (cut(labels[place], _LABEL_CHARACTERS) for place in (0, -1))
    return f"{first} to {last} ({len(labels)} classes)"


def _one_half(answered: Sequence[int]) -> Array:
    """How many answers of each class fall into the half that chooses: int64 [classes].

    A coin is thrown for each answer, so that one half says nothing about the other but through the
    true shares. The throws follow from all counts together: throws that follow from the class alone
    would favour the same classes in every reference.
    """
    reference = hashlib.sha256(",".join(map(str, answered)).encode()).digest()
    return np.array([_heads(n, b"%d:" % place + reference) for place, n in enumerate(answered)])


def _heads(answered: int, seed: bytes) -> int:
    """Above 1,024 throws they are scaled to the spread that so many would have."""
    coins = min(answered, _COINS)
    stream = int.from_bytes(hashlib.shake_256(seed).digest(_COINS // 8), "big")
    heads = (stream & ((1 << coins) - 1)).bit_count()
    if answered == coins:
        return heads
    return answered // 2 + round((heads - coins / 2) * math.sqrt(answered / coins))


def _grouped(chosen: Array) -> tuple[Array, int]:
    """The group of each class, and the first group of classes that were not chosen."""
    has, once, total = chosen > 0, int((chosen == 1).sum()), int(chosen.sum())
    seldom = int((~has).sum())
    wanted = min(max(2, total // _LEAST_IN_A_GROUP), MAX_BINS)
    if not seldom:
        return _runs(chosen, wanted)
    runs = min(max(1, round(wanted * once / max(1, total))), seldom, wanted - 1)
    own, first_seldom = _runs(chosen[has], wanted - runs)
    others, _ = _runs(np.ones(seldom, np.int64), runs)
    groups = np.zeros(len(chosen), np.int64)
    groups[has], groups[~has] = own, first_seldom + others
    return groups, first_seldom


def _runs(weights: Array, count: int) -> tuple[Array, int]:
    """Neighbours in at most ``count`` runs of about equal weight: int64 [weights], and how many.

    A run ends where it is nearest to its part of what is left.

    Args:
        weights: int64 [0 or more], 1 or more each.
        count: 1 or more.
    """
    groups = np.zeros(len(weights), np.int64)
    left, run, filled = int(weights.sum()), 0, 0
    for place, weight in enumerate(weights.tolist()):
        # Whole numbers, so that no rounding of a machine decides.
        is_full = (2 * filled + weight) * (count - run) > 2 * left
        if filled and is_full and run < count - 1:
            left, run, filled = left - filled, run + 1, 0
        groups[place] = run
        filled += weight
    return groups, run + (filled > 0)
