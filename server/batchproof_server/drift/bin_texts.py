"""What the bins of a numeric signal are called."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from batchproof_server.drift.binning import just_above

_DIGITS: Final = range(3, 18)


def bin_texts(edges: Sequence[float]) -> tuple[str, ...]:
    """What a bin is called, with as few digits as keep the edges apart."""
    if not edges:
        return ("all",)
    borders = _borders(edges)
    first, last = borders[0], borders[-1]
    return (
        f"up to {first.text}" if first.is_above else f"below {first.text}",
        *(_between(low, high) for low, high in pairwise(borders)),
        f"above {last.text}" if last.is_above else f"{last.text} and above",
    )


@dataclass(frozen=True, slots=True)
class _Border:
    """An edge at a number, or just above it where that number has a bin of its own."""

    text: str
    is_above: bool


def _borders(edges: Sequence[float]) -> tuple[_Border, ...]:
    numbers = [*edges]
    for place, below in enumerate((0.0, *edges[:-1])):
        if edges[place] == just_above(below):
            numbers[place] = below
    shown: list[str] = []
    for digits in _DIGITS:
        shown = [f"{number:.{digits}g}" for number in numbers]
        if len(set(shown)) == len(set(numbers)):
            break
    return tuple(
        _Border(text, number != edge)
        for text, number, edge in zip(shown, numbers, edges, strict=True)
    )


def _between(low: _Border, high: _Border) -> str:
    if high.is_above and low.text == high.text:
        return low.text
    return f"above {low.text} to {high.text}" if low.is_above else f"{low.text} to {high.text}"
