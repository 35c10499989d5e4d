"""The cheapest rows against the next bucket up, in virtual time.

    python benchmarks/packing.py [--requests 20000]

The real micro-batch queue, one device, requests of one row at random instants (exponential gaps, a
fixed seed) at a share of what the bucket with the cheapest rows could do. "Next bucket up" takes
all that waits and fits into the largest bucket. Costs of a bucket: a fixed part and a part for
each row, from a device that hardly notices further rows to one that gains nothing by them; and one
whose rows are the cheapest in a bucket of 4. Its costs for 4 and 32 rows are those of MobileNetV2
in decision 0012, 12.7 and 15.4 ms a row; the others are assumed. Every run gives the same figures.
"""

import argparse
import random
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from batchproof_server.batching.admission import bucket_for
from batchproof_server.batching.microbatch import MicroBatchQueue
from batchproof_server.batching.task import Limits, Task

BUCKETS_ROWS: Final = (1, 2, 4, 8, 16, 32)
COSTS_MS: Final[Mapping[str, tuple[float, ...]]] = {
    "5 ms + 0.05 ms a row": tuple(5 + 0.05 * rows for rows in BUCKETS_ROWS),
    "2 ms + 0.5 ms a row": tuple(2 + 0.5 * rows for rows in BUCKETS_ROWS),
    "0.2 ms + 3 ms a row": tuple(0.2 + 3 * rows for rows in BUCKETS_ROWS),
    "cheapest in 4": (20.0, 29.0, 51.0, 104.0, 220.0, 493.0),
}
LOADS: Final = (0.3, 0.6, 0.8, 0.95)
_UNBOUNDED_ROWS: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class Packed:
    """What a rule came to.

    Attributes:
        mean_ms, p99_ms: of the latencies.
        busy: the share of time in which the device executed.
        padding: of the executed rows the share that nobody asked for.
    """

    mean_ms: float
    p99_ms: float
    busy: float
    padding: float


def arrivals_ms(costs_ms: tuple[float, ...], load: float, requests: int) -> list[float]:
    """Instants at which requests come."""
    capacity = max(rows / ms for rows, ms in zip(BUCKETS_ROWS, costs_ms, strict=True))
    gaps = random.Random(7)  # noqa: S311 - the same figures in every run
    instant_ms, instants_ms = 0.0, []
    for _ in range(requests):
        instant_ms += gaps.expovariate(load * capacity)
        instants_ms.append(instant_ms)
    return instants_ms


def pack(costs_ms: tuple[float, ...], instants_ms: list[float], *, by_cost: bool = True) -> Packed:
    """Answers all requests.

    Args:
        costs_ms: what each bucket takes.
        instants_ms: when one row comes each time.
        by_cost: whether the queue is told the costs; else it takes the next bucket up.
    """
    known = costs_ms if by_cost else (1.0,) * len(costs_ms)
    largest = BUCKETS_ROWS[-1]
    queue: MicroBatchQueue[float] = MicroBatchQueue(
        Limits(largest, _UNBOUNDED_ROWS, 0.0, BUCKETS_ROWS, known)
    )
    came, now_ms, busy_ms, executed_rows = 0, 0.0, 0.0, 0
    latencies_ms: list[float] = []
    while len(latencies_ms) < len(instants_ms):
        if not queue.waiting_tasks:
            now_ms = max(now_ms, instants_ms[came])
        while came < len(instants_ms) and instants_ms[came] <= now_ms:
            queue.offer(Task(instants_ms[came], 1), instants_ms[came])
            came += 1
        taken = queue.take(now_ms)
        bucket_rows = bucket_for(len(taken), BUCKETS_ROWS)
        cost_ms = costs_ms[BUCKETS_ROWS.index(bucket_rows)]
        now_ms += cost_ms
        busy_ms += cost_ms
        executed_rows += bucket_rows
        latencies_ms += [now_ms - task.payload for task in taken]
    latencies_ms.sort()
    return Packed(
        statistics.mean(latencies_ms),
        latencies_ms[int(0.99 * len(latencies_ms))],
        busy_ms / now_ms,
        1 - len(latencies_ms) / executed_rows,
    )


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description="Packing by cost against the next bucket up.")
    parser.add_argument("--requests", type=int, default=20_000, help="of each run")
    requests = parser.parse_args().requests
    print(f"{'':<22} load  {'next bucket up':^35}   {'the cheapest rows':^35}")
    print(f"{'':<28} {'   mean ms     p99 ms  busy  padding' * 2}")
    for name, costs_ms in COSTS_MS.items():
        for load in LOADS:
            instants_ms = arrivals_ms(costs_ms, load, requests)
            sides = [pack(costs_ms, instants_ms, by_cost=by_cost) for by_cost in (False, True)]
            print(f"{name:<22} {load:>4.0%} ", *map(_figures, sides))


def _figures(packed: Packed) -> str:
    return (
        f"{packed.mean_ms:>9.1f} {packed.p99_ms:>10.1f} {packed.busy:>5.0%} {packed.padding:>8.1%}"
    )


if __name__ == "__main__":
    main()
