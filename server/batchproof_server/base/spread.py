"""A few of many, evenly spread. Pure."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def spread(items: Sequence[Item], limit: int | None) -> tuple[Item, ...]:
    """At most ``limit`` of the items, evenly spread and in their order; None takes all.

    Of items that are sorted by a key, the same share of each value is taken.
    """
    count = len(items)
    taken = count if limit is None else min(limit, count)
    return tuple(items[number * count // taken] for number in range(taken))
