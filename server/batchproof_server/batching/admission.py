"""Whether one more task is accepted: a version that answers, room, and time before its deadline."""

from bisect import bisect_left
from collections.abc import Hashable, Sequence

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import DeadlineExceeded, QueueFull
from batchproof_server.base.signature import Tensors
from batchproof_server.batching.connections import NOBODY_AHEAD, Ahead
from batchproof_server.batching.microbatch import MicroBatchQueue
from batchproof_server.batching.replies import Member
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.batching.shedding import not_ready
from batchproof_server.batching.task import Limits, Task
from batchproof_server.batching.watch import Watch
from batchproof_server.devices.device import Device


# Contract
#
# Pure: time is an argument. Nothing is foretold of a model of which nothing was measured. What is
# foretold grows with the rows and never falls below what the cheapest buckets take. A micro-batch
# that took a hundred times as long as ever before counts as one that took ten times as long: the
# machine slept.
class LatencyModel:
    """Foretells from what buckets took at load, and from how much longer they take under load.

    Args:
        buckets_rows: ascending.
        execution_s: what executing each of them took when nothing else ran; empty when that was not
            measured.
        width: how many micro-batches are executed at the same time.
    """

    def __init__(
        self, buckets_rows: Sequence[int], execution_s: Sequence[float], width: int = 1
    ) -> None:
        self._execution_s = dict(zip(buckets_rows, execution_s, strict=bool(execution_s)))
        self._row_s = min((s / rows for rows, s in self._execution_s.items()), default=0.0)
        self._slowness = 1.0
        self._width = width
        self._running_until_s: dict[int, float] = {}

    def start(self, number: int, bucket_rows: int, now_s: float) -> None:
        """Learns that a micro-batch went to the device."""
        alone_s = self._execution_s.get(bucket_rows, 0.0)
        self._running_until_s[number] = now_s + alone_s * self._slowness

    def finish(self, number: int, bucket_rows: int, duration_s: float) -> None:
        """Learns that it came back ``duration_s`` after it had gone."""
        self._running_until_s.pop(number, None)
        self.learn(bucket_rows, duration_s)

    def learn(self, bucket_rows: int, duration_s: float) -> None:
        """Learns that a micro-batch took so long."""
        if (alone_s := self._execution_s.get(bucket_rows, 0.0)) > 0:
            slowness = min(duration_s / alone_s, _GREATEST_SLOWNESS)
            self._slowness += (slowness - self._slowness) * _SHARE_OF_LATEST

    def execution_s(self, bucket_rows: int) -> float | None:
        """How long a micro-batch of this bucket will take; None when nothing was measured."""
        alone_s = self._execution_s.get(bucket_rows)
        return None if alone_s is None else alone_s * self._slowness

    def is_quick(self, bucket_rows: int, parts: Sequence[Tensors]) -> bool:
        """Whether a micro-batch is executed sooner than it is handed to a thread and back."""
        alone_s = self._execution_s.get(bucket_rows)
        if alone_s is None or alone_s * self._slowness >= _QUICK_S:
            return False
        # What was measured had nothing to assemble: large inputs take longer to copy than to use.
        size_bytes = 0
        for part in parts:
            for array in part.values():
                size_bytes += array.nbytes
        return size_bytes <= _QUICK_BYTES

    def wait_s(self, rows: int, now_s: float) -> float:
        """How long until a running micro-batch and then ``rows`` rows are executed; 0 or more."""
        running_s = 0.0
        if len(self._running_until_s) >= self._width:
            running_s = max(0.0, min(self._running_until_s.values()) - now_s)
        return running_s + rows * self._row_s * self._slowness / self._width


# Contract: lives on the loop thread. A deadline is a reason to refuse only
# while the device is busy: what is executed is what the latency model learns from, so a wrong one
# mends itself. What a refusal says is computed only when there is one.
class Admission:
    """Decides for one queue.

    Args:
        queue: has limits of its own.
        device: executes what was in the queue.
        latency: foretells.
        clock: says what time it is.
        settings: how large micro-batches may be.
        watch: knows whether the version can answer at all.
    """

    def __init__(
        self,
        queue: MicroBatchQueue[Member],
        device: Device,
        latency: LatencyModel,
        clock: Clock,
        settings: BatchingSettings,
        watch: Watch,
    ) -> None:
        self._queue = queue
        self._device = device
        self._latency = latency
        self._clock = clock
        self._watch = watch
        self._buckets_rows = settings.buckets_rows
        self._max_queued_rows = settings.max_queued_rows
        self._mean_execution_s = _FIRST_EXECUTION_S

    def learn(self, execution_s: float) -> None:
        """A micro-batch took so long."""
        self._mean_execution_s += (execution_s - self._mean_execution_s) * _SHARE_OF_LATEST

    def offer(self, task: Task[Member], now_s: float) -> Sequence[Task[Member]]:
        """Puts a task that is accepted into the queue; returns what it displaces there.

        Raises:
            DeadlineExceeded: its deadline has passed.
            Draining, QueueFull, ModelNotReady: see ``check``.
            ValueError: its inputs do not hold its rows, or it is of a size that is never executed.
        """
        for array in task.payload.inputs.values():
            if array.shape[0] != task.rows:
                raise ValueError(f"the inputs do not hold {task.rows} rows")
        late = task.deadline is not None and task.deadline <= now_s
        if late and not self._queue.draining:
            raise DeadlineExceeded("the deadline had passed before the request was queued")
        self.check(task.rows, task.deadline, task.caller)
        return self._queue.offer(task, now_s)

    def check(
        self, rows: int, deadline_s: float | None, caller: Hashable, ahead: Ahead = NOBODY_AHEAD
    ) -> None:
        """Returns when a task would be accepted, and probably answered by its deadline.

        Args:
            rows: of the task, or of all tasks of a large request.
            deadline_s: an instant of the clock; None waits as long as it takes.
            caller: of the task; what others wait for behind it does not delay it.
            ahead: what will be in the queue before it and is not there yet.

        Raises:
            Draining: nothing new is accepted.
            QueueFull: too many rows wait, or too many for this deadline.
            ModelNotReady: the version cannot answer now.
        """
        if self._watch.trouble:
            raise not_ready(self._watch.trouble)
        queue = self._queue
        all_rows = queue.waiting_rows + ahead.rows + rows
        if queue.draining or all_rows > self._max_queued_rows:
            queue.check_room(ahead.own_rows + rows, self.retry_after_s(), caller)
        if deadline_s is None or (self._device.room and not ahead.rows):
            return
        now_s = self._clock.now_s()
        wait_s = self._latency.wait_s(all_rows, now_s)
        if now_s + wait_s * CAUTION > deadline_s:
            own_rows = ahead.own_rows + rows
            wait_s = self._latency.wait_s(queue.turns.rows_until(caller, own_rows), now_s)
        if now_s + wait_s * CAUTION > deadline_s:
            raise QueueFull(
                f"the answer may take {wait_s * CAUTION:.3f} s, which is later than it is wanted",
                self.retry_after_s(),
            )

    def give_up(self, now_s: float, room: int) -> tuple[tuple[Task[Member], ...], float]:
        """Removes those that the next micro-batch would answer too late, if more wait than fit in.

        Args:
            now_s: the instant.
            room: how many micro-batches the device could be given now.

        Returns:
            The tasks, and how long that micro-batch will take.
        """
        rows = self._queue.next_rows(room)
        if rows == self._queue.waiting_rows:
            return (), 0.0
        expected_s = self._latency.execution_s(bucket_for(rows, self._buckets_rows)) or 0.0
        return self._queue.give_up(now_s + expected_s * CAUTION), expected_s

    def retry_after_s(self) -> float:
        """When trying again makes sense."""
        # When all that waits and what runs now will have been executed.
        batches = self._queue.waiting_rows / self._buckets_rows[-1] / self._device.width + 1
        return batches * self._mean_execution_s


# What is promised to come by the deadline is expected well before it.
CAUTION = 1.15
# Before anything ran. From then on a moving mean of about ten micro-batches.
_FIRST_EXECUTION_S = 0.05
_SHARE_OF_LATEST = 0.1
_GREATEST_SLOWNESS = 10.0
# Handing a micro-batch to the device thread and back takes as long as this.
_QUICK_S = 0.0005
_QUICK_BYTES = 1 << 21


def bucket_for(rows: int, buckets_rows: Sequence[int]) -> int:
    """The smallest bucket that holds ``rows``.

    Args:
        rows: 1 up to the largest bucket.
        buckets_rows: ascending.

    Raises:
        ValueError: no bucket holds them.
    """
    if not 1 <= rows <= buckets_rows[-1]:
        raise ValueError(f"{rows} rows fit no bucket of {list(buckets_rows)}")
    return buckets_rows[bisect_left(buckets_rows, rows)]


def queue_limits(settings: BatchingSettings, execution_s: tuple[float, ...]) -> Limits:
    """The limits of a version's queue.

    Args:
        settings: sizes and limits.
        execution_s: what each bucket took when nothing else ran; empty when that is not known.
    """
    return Limits(
        max_batch_rows=settings.max_batch_rows,
        max_queued_rows=settings.max_queued_rows,
        max_queue_delay=settings.max_queue_delay_s,
        buckets_rows=settings.buckets_rows,
        buckets_cost=tuple(alone_s + _HAND_OVER_S for alone_s in execution_s),
    )


# What a micro-batch costs beside its execution. An engine leaves cold caches behind, so that all
# which is done once for a micro-batch takes two to three times as long as for an empty model.
_HAND_OVER_S = 0.001
