"""Which tasks ride together, by what their bucket costs. Pure."""

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from batchproof_server.batching.task import Payload, Task

# Rows that cost so little more are as good as the cheapest: nothing is measured that exactly, and
# the fewer ride together, the sooner it is the turn of whoever comes next.
_NEAR: Final = 1.015


def cheapest_batch(
    tasks: Iterable[Task[Payload]],
    most_rows: int,
    buckets_rows: Sequence[int],
    costs: Sequence[float],
) -> tuple[Task[Payload], ...]:
    """As many of the first tasks as cost the least for each row.

    What is cut off is due at once again: 20 rows in a bucket of 32 cost as much as 32; 16 now and 4
    with whoever comes meanwhile do not. And where a row takes longer among many than among few, few
    are what the model gets. Of buckets whose rows cost the same, or nearly, it is the smallest, and
    the most tasks that fit it.

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
    if len(batch) > 1 and costs:
        del batch[_cheapest_length([task.rows for task in batch], buckets_rows, costs) :]
    return tuple(batch)


def _cheapest_length(
    rows: Sequence[int], buckets_rows: Sequence[int], costs: Sequence[float]
) -> int:
    # Of each bucket the most tasks that fit it, which cost the least for each row.
    fullest: dict[int, tuple[float, int]] = {}
    for length, together in enumerate(itertools.accumulate(rows), start=1):
        place = bisect_left(buckets_rows, together)
        fullest[place] = (costs[place] / together, length)
    near = _NEAR * min(fullest.values())[0]
    return next(length for cost, length in fullest.values() if cost <= near)


def cheapest_rows(buckets_rows: Sequence[int], costs: Sequence[float], default: int) -> int:
    """Rows of the smallest bucket whose rows cost the least or nearly; without buckets a default.

    Args:
        buckets_rows: ascending.
        costs: of each bucket.
        default: more than 0.
    """
    each = [(cost / rows, rows) for rows, cost in zip(buckets_rows, costs, strict=True)]
    near = _NEAR * min(each, default=(0.0, default))[0]
    return next((rows for cost, rows in each if cost <= near), default)


def assumed_costs(buckets_rows: tuple[int, ...]) -> tuple[float, ...]:
    """Of a model that was not measured: its rows, and as much as those of the largest bucket."""
    return tuple(float(rows + buckets_rows[-1]) for rows in buckets_rows)
