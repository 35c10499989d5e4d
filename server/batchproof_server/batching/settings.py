"""How one model version batches."""

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS


@dataclass(frozen=True, slots=True)
class BatchingSettings:
    """Sizes and limits of one micro-batch queue.

    Attributes:
        buckets_rows: the row counts that the model executes, ascending; a micro-batch is padded
            up to one, and the last is the largest micro-batch.
        max_queue_delay_s: how long a task may wait for others while the device is idle; 0 starts
            a micro-batch whenever the device is free.
        max_queued_rows: rows that may wait; more is refused.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    buckets_rows: tuple[int, ...] = (2, 4, 8, 16, 32)
    max_queue_delay_s: float = 0.0
    max_queued_rows: int = 512

    def __post_init__(self) -> None:
        buckets = self.buckets_rows
        if not buckets or buckets[0] < 1:
            raise ValueError(f"buckets_rows must be one or more counts from 1 up, not {buckets}")
        if any(later <= earlier for earlier, later in itertools.pairwise(buckets)):
            raise ValueError(f"buckets_rows must ascend without repetition, not {buckets}")
        if not (math.isfinite(self.max_queue_delay_s) and self.max_queue_delay_s >= 0):
            raise ValueError(
                f"max_queue_delay_s must be 0 or more and finite, not {self.max_queue_delay_s}"
            )
        if self.max_queued_rows < buckets[-1]:
            raise ValueError(
                f"max_queued_rows must be at least the largest bucket, {buckets[-1]}, "
                f"not {self.max_queued_rows}"
            )

    @property
    def max_batch_rows(self) -> int:
        """Rows of the largest micro-batch, and of the largest task."""
        return self.buckets_rows[-1]
