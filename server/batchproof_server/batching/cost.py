"""Which tasks ride together, by what their bucket costs. Pure."""

import itertools
import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from batchproof_server.batching.task import Payload, Task


def cheapest_batch(
    tasks: Iterable[Task[Payload]],
    most_rows: int,
    buckets_rows: Sequence[int],
    costs: Sequence[float],
) -> tuple[Task[Payload], ...]:
    """As many of the first tasks as cost the least for each row; of equals the most.

    What is cut off is due at once again: 20 rows in a bucket of 32 cost as much as 32; 16 now and 4
    with whoever comes meanwhile do not. And where a row takes longer among many than among few, few
    are what the model gets.

    Args:
        tasks: in order, one or more; the first is taken whatever its rows.
        most_rows: of the others with it.
        buckets_rows: ascending; empty takes all.
        costs: of each bucket.
    """
    batch: list[Task[Payload]] = []
    for task in tasks:
        most_rows -= task.rows
        if batch and (most_rows < 0 or task.kind != batch[0].kind):
            break
        batch.append(task)
    if len(batch) > 1:
        del batch[_cheapest_length([task.rows for task in batch], buckets_rows, costs) :]
    return tuple(batch)


def _cheapest_length(
    rows: Sequence[int], buckets_rows: Sequence[int], costs: Sequence[float]
) -> int:
    best_length, least_cost = len(rows), math.inf
    if costs:
        for length, together in enumerate(itertools.accumulate(rows), start=1):
            cost = costs[bisect_left(buckets_rows, together)] / together
            if cost <= least_cost:
                best_length, least_cost = length, cost
    return best_length


def cheapest_rows(buckets_rows: Sequence[int], costs: Sequence[float], default: int) -> int:
    """Rows of the bucket whose rows cost the least, of equals the most; without buckets a default.

    Args:
        buckets_rows: ascending.
        costs: of each bucket.
        default: more than 0.
    """
    each = zip(buckets_rows, costs, strict=True)
    return -min(((cost / rows, -rows) for rows, cost in each), default=(0.0, -default))[1]


def assumed_costs(buckets_rows: tuple[int, ...]) -> tuple[float, ...]:
    """Of a model that was not measured: its rows, and as much as half of the largest bucket."""
    return tuple(rows + buckets_rows[-1] / 2 for rows in buckets_rows)
