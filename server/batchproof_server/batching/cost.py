"""How many tasks ride together, by what their bucket costs. Pure."""

import itertools
import math
from bisect import bisect_left
from collections.abc import Sequence


def cheapest_length(
    rows: Sequence[int], buckets_rows: Sequence[int], costs: Sequence[float]
) -> int:
    """How many of the first tasks cost the least for each row; of equals the most.

    What is cut off is due at once again: 20 rows in a bucket of 32 cost as much as 32; 16 now and 4
    with whoever comes meanwhile do not. And where a row takes longer among many than among few, few
    are what the model gets.

    Args:
        rows: of each task in order; together at most the largest bucket.
        buckets_rows: ascending; empty takes all.
        costs: of each bucket.
    """
    best_length, least_cost = len(rows), math.inf
    if costs:
        for length, together in enumerate(itertools.accumulate(rows), start=1):
            cost = costs[bisect_left(buckets_rows, together)] / together
            if cost <= least_cost:
                best_length, least_cost = length, cost
    return best_length


def assumed_costs(buckets_rows: tuple[int, ...]) -> tuple[float, ...]:
    """Of a model that was not measured: its rows, and as much as half of the largest bucket."""
    return tuple(rows + buckets_rows[-1] / 2 for rows in buckets_rows)
