"""What one request puts into a queue, and what bounds a queue, as values."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from batchproof_server.base.unguarded import unguarded

Payload = TypeVar("Payload")


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a queue. Times have the unit of the ``now`` that the methods are given.

    Attributes:
        max_batch_rows: rows of the largest micro-batch, 1 or more.
        max_queued_rows: rows that may wait, at least ``max_batch_rows``.
        max_queue_delay: how long a task may wait for others, 0 or more.
        buckets_rows: what micro-batches are padded up to, ascending, the last being
            ``max_batch_rows``; empty when nothing is padded.
        buckets_cost: what executing each bucket takes, in any unit, above 0; empty when it is not
            known.
    """

    max_batch_rows: int
    max_queued_rows: int
    max_queue_delay: float
    buckets_rows: tuple[int, ...] = ()
    buckets_cost: tuple[float, ...] = ()


@unguarded(eq=False)
class Task(Generic[Payload]):
    """What one request puts into the queue; equal only to itself.

    Attributes:
        payload: the caller's; the queue never looks at it.
        rows: what the task adds to a micro-batch, 1 or more.
        deadline: the instant from which executing it is pointless; None when there is none.
        kind: tasks of different kinds never share a micro-batch.
        caller: who has a share of the queue.
    """

    payload: Payload
    rows: int
    deadline: float | None = None
    kind: Hashable = None
    caller: Hashable = ""
