"""Whether one more task is accepted: room in the queue, and time before its deadline."""

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import QueueFull
from batchproof_server.batching.microbatch import MicroBatchQueue
from batchproof_server.batching.outlook import Outlook
from batchproof_server.batching.replies import Member
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.devices.thread import Device


# Contract: lives on the loop thread; changes nothing. A deadline is a reason to refuse only while
# the device is busy: what is executed is what the outlook learns from, so a wrong one mends itself.
class Room:
    """Decides for one queue.

    Args:
        queue: has limits of its own.
        device: executes what was in the queue.
        outlook: foretells.
        clock: says what time it is.
        settings: how large a micro-batch may be.
    """

    def __init__(
        self,
        queue: MicroBatchQueue[Member],
        device: Device,
        outlook: Outlook,
        clock: Clock,
        settings: BatchingSettings,
    ) -> None:
        self._queue = queue
        self._device = device
        self._outlook = outlook
        self._clock = clock
        self._max_batch_rows = settings.max_batch_rows
        self._mean_execution_s = _FIRST_EXECUTION_S

    def learn(self, execution_s: float) -> None:
        """A micro-batch took so long."""
        self._mean_execution_s += (execution_s - self._mean_execution_s) * _SHARE_OF_LATEST

    def check(self, rows: int, deadline_s: float | None) -> None:
        """Returns when a task would be accepted, and probably answered by its deadline.

        Args:
            rows: of the task, or of all tasks of a large request.
            deadline_s: an instant of the clock; None waits as long as it takes.

        Raises:
            Draining: nothing new is accepted.
            QueueFull: too many rows wait, or too many for this deadline.
        """
        self._queue.check_room(rows, self._retry_after_s())
        if deadline_s is None or not self._device.is_busy:
            return
        now_s = self._clock.now_s()
        wait_s = self._outlook.wait_s(self._queue.waiting_rows + rows, now_s)
        if now_s + wait_s * CAUTION > deadline_s:
            raise QueueFull(
                f"the answer would come in {wait_s:.3f} s and is wanted in "
                f"{max(0.0, deadline_s - now_s):.3f} s",
                self._retry_after_s(),
            )

    def _retry_after_s(self) -> float:
        # When all that waits and what runs now will have been executed.
        batches = self._queue.waiting_rows / self._max_batch_rows + 1
        return batches * self._mean_execution_s


# What is promised to come by the deadline is expected well before it.
CAUTION = 1.15
# Before anything ran. From then on a moving mean of about ten micro-batches.
_FIRST_EXECUTION_S = 0.05
_SHARE_OF_LATEST = 0.1
