"""The arithmetic of a fair comparison: sides in turn, medians, ratios of neighbours."""

import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

Side = TypeVar("Side", bound=Hashable)
Figures = Mapping[str, float]


def interleaved(
    sides: Sequence[Side], repeats: int, measure: Callable[[Side], Figures]
) -> dict[Side, list[Figures]]:
    """Measures every side once in each round; each comes first as often as any other.

    Whatever the machine does meanwhile then falls on all sides alike.
    """
    rounds: dict[Side, list[Figures]] = {side: [] for side in sides}
    for turn in range(repeats):
        start = turn % len(sides)
        for side in (*sides[start:], *sides[:start]):
            rounds[side].append(measure(side))
    return rounds


def medians(rounds: Sequence[Figures]) -> dict[str, float]:
    """The median of each figure over the rounds.

    Raises:
        ValueError: there are no rounds.
    """
    if not rounds:
        raise ValueError("there are no rounds, expected 1 or more")
    return {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}


def ratio(of: Sequence[Figures], to: Sequence[Figures], key: str) -> float:
    """The median of the ratios of rounds that were measured side by side."""
    pairs = zip(of, to, strict=True)
    return statistics.median(one[key] / other[key] for one, other in pairs)


def difference(of: Sequence[Figures], to: Sequence[Figures], key: str) -> float:
    """The median of the differences of rounds that were measured side by side."""
    pairs = zip(of, to, strict=True)
    return statistics.median(one[key] - other[key] for one, other in pairs)
