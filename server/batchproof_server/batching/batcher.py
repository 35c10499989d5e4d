"""The asynchronous shell of the micro-batch queue: moves time and answers; decides nothing.

The loop thread owns all state here. The device thread receives one immutable batch at a time and
gives back one immutable result.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable
from functools import partial

from batchproof_server.base.clock import Alarm, Clock
from batchproof_server.base.errors import DeadlineExceeded, Draining, ServingError
from batchproof_server.base.events import Observer, QueueChanged, ShedRecord
from batchproof_server.base.signature import Signature, Tensors
from batchproof_server.batching.admission import CAUTION, Admission, LatencyModel, bucket_for
from batchproof_server.batching.background import checked_record, skipped_record
from batchproof_server.batching.microbatch import Limits, MicroBatchQueue, Task
from batchproof_server.batching.replies import SHED_REASONS, Batch, BatchedRows, Member, settle
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.devices.device import Device, Executed, Execution
from batchproof_server.selfcheck.choosing import SelfChecks
from batchproof_server.selfcheck.judging import Check, Skipped


# Contract
#
# Threads     Every method is called on the loop thread; one loop for the batcher's life. The device
#             has one thread, so that one micro-batch is executed at a time.
# Answers     submit returns or raises exactly once for each accepted task. The reply travels with
#             its task and settling it twice is harmless.
# Privacy     What happens to one member (cancelled while waiting or executing, expired) changes
#             nothing for the others. A cancelled task that still waits frees its rows.
# Failure     When the backend raises or breaks its contract, the members of that micro-batch get
#             BackendFailed, each its own, and nobody else does.
# Deadline    A task is refused or shed at the first opportunity at or after its deadline, unless it
#             executes by then; then its answer is delivered and the caller's deadline decides. It
#             is shed earlier when its micro-batch would end too late and more wait than fit in.
# Together    Tasks submitted in one iteration of the loop ride together when they fit.
# Quick       A micro-batch that is expected to take no longer than the hand-over to the device
#             thread is executed on the loop thread, when nothing else waits.
# Background  A self-check is handed to the device only while no task waits. A task that arrives
#             then waits at most for that one small micro-batch, which no record counts.
# Shutdown    drain() refuses what is new and returns when all accepted tasks are answered and no
#             self-check runs; those that wait are dropped. close() refuses what still waits. The
#             device and the backend belong to the caller, who closes them after that.
class Batcher:
    """Executes the rows of many requests together, for one model version.

    Args:
        model: the model's name, for records.
        version: the model's version, for records.
        signature: of the model.
        settings: sizes and limits.
        device: loaded for every bucket of ``settings``.
        execution_s: what each bucket took when nothing else ran; empty when that is not known.
        clock: time and alarms.
        observer: told of micro-batches, shed requests, the queue and self-checks; must not raise.
        self_checks: decides which answers are tried again; None tries none.

    Attributes:
        max_batch_rows: rows of the largest task.
    """

    def __init__(  # noqa: PLR0913 - each is a plug; bundling them would only hide them
        self,
        model: str,
        version: int,
        signature: Signature,
        settings: BatchingSettings,
        *,
        device: Device,
        execution_s: tuple[float, ...] = (),
        clock: Clock,
        observer: Observer,
        self_checks: SelfChecks | None = None,
    ) -> None:
        self._model = model
        self._version = version
        self._settings = settings
        self.max_batch_rows = settings.max_batch_rows
        self._clock = clock
        self._device = device
        self._observer = observer
        self._queue: MicroBatchQueue[Member] = MicroBatchQueue(
            Limits(
                max_batch_rows=settings.max_batch_rows,
                max_queued_rows=settings.max_queued_rows,
                max_queue_delay=settings.max_queue_delay_s,
                buckets_rows=settings.buckets_rows,
                buckets_cost=tuple(alone_s + _HAND_OVER_S for alone_s in execution_s),
            )
        )
        # Inputs with open sizes: rows of different shapes cannot share a micro-batch.
        self._open_inputs = tuple(spec.name for spec in signature.inputs if None in spec.row_shape)
        self._checks = self_checks or SelfChecks.none()
        self._unfinished_batches = 0
        self._pump_is_due = False
        self._alarm = Alarm(clock, self._pump)
        self._reported_rows = 0
        self._latency = LatencyModel(settings.buckets_rows, execution_s)
        self._admission = Admission(self._queue, device, self._latency, clock, settings)
        self._drained = asyncio.Event()

    @property
    def settings(self) -> BatchingSettings:
        """Sizes and limits."""
        return self._settings

    @property
    def is_pressed(self) -> bool:
        """Whether more than the running micro-batch and the next are to be executed."""
        return self._queue.waiting_rows >= self.max_batch_rows

    async def submit(
        self, inputs: Tensors, rows: int, deadline_s: float | None = None, request_id: str = ""
    ) -> BatchedRows:
        """Executes ``rows`` rows, others beside them or not, and returns their answers.

        Args:
            inputs: checked against the signature; not changed, and not to be changed until the
                answer is there.
            rows: 1 to ``settings.max_batch_rows``.
            deadline_s: an instant of the clock; None waits as long as it takes.
            request_id: names the request should a self-check find its answer wrong.

        Raises:
            Draining: nothing new is accepted.
            DeadlineExceeded: the deadline passed before execution began.
            QueueFull: too many rows wait, or too many for this deadline.
            BackendFailed: the model raised or broke its contract; the cause is chained.
            ValueError: ``rows`` is not what the inputs hold, or more than one micro-batch.
        """
        now_s = self._clock.now_s()
        reply = asyncio.get_running_loop().create_future()
        kind = self._kind_of(inputs) if self._open_inputs else None
        task = Task(Member(inputs, reply, now_s, request_id), rows, deadline_s, kind)
        self._accept(task, now_s)
        try:
            outcome = await reply
        finally:
            if self._queue.withdraw(task):
                self._report()
        if isinstance(outcome, BatchedRows):
            return outcome
        raise outcome()

    def check_room(self, rows: int, deadline_s: float | None = None) -> None:
        """Returns when ``submit`` would accept ``rows`` now; queues nothing.

        A refusal counts as a shed request.

        Raises:
            Draining: nothing new is accepted.
            QueueFull: too many rows wait, or too many for this deadline.
        """
        if (refusal := self.refusal(rows, deadline_s)) is not None:
            self._record_refusal(refusal)
            raise refusal

    def refusal(self, rows: int, deadline_s: float | None = None) -> ServingError | None:
        """What ``check_room`` would raise; counts nothing."""
        try:
            self._admission.check(rows, deadline_s)
        except ServingError as refusal:
            return refusal
        return None

    async def drain(self) -> None:
        """Refuses what is new and returns when every accepted task is answered.

        May be awaited more than once; cancelling the wait does not undo the draining.
        """
        self._queue.drain()
        self._tell_skipped(self._checks.drop())
        self._schedule_pump()
        await self._drained.wait()

    def close(self) -> None:
        """Refuses what is new and what still waits. A running micro-batch is answered yet."""
        self._queue.drain()
        self._tell_skipped(self._checks.drop())
        for task in self._queue.withdraw_all():
            self._shed(task, partial(Draining, _CLOSED), "draining")
        self._alarm.cancel()
        self._report()

    def _accept(self, task: Task[Member], now_s: float) -> None:
        for array in task.payload.inputs.values():
            if array.shape[0] != task.rows:
                raise ValueError(f"the inputs do not hold {task.rows} rows")
        late = task.deadline is not None and task.deadline <= now_s
        try:
            if late and not self._queue.draining:
                raise DeadlineExceeded("the deadline had passed before the request was queued")
            self._admission.check(task.rows, task.deadline)
            self._queue.offer(task, now_s)
        except ServingError as refusal:
            self._record_refusal(refusal)
            raise
        self._schedule_pump()

    def _kind_of(self, inputs: Tensors) -> Hashable:
        return tuple(inputs[name].shape[1:] for name in self._open_inputs)

    def _schedule_pump(self) -> None:
        if not self._pump_is_due:
            self._pump_is_due = True
            asyncio.get_running_loop().call_soon(self._run_scheduled_pump)

    def _run_scheduled_pump(self) -> None:
        self._pump_is_due = False
        self._pump()

    def _pump(self) -> None:
        now_s = self._clock.now_s()
        for task in self._queue.expire(now_s):
            waited_s = now_s - task.payload.arrival_s
            message = f"the deadline passed after {waited_s:.3f} s in the queue, unexecuted"
            self._shed(task, partial(DeadlineExceeded, message), "deadline")
        if not self._device.is_busy:
            self._start(now_s)
        self._set_alarm()
        self._report()

    def _give_up_hopeless(self, now_s: float) -> None:
        rows = self._queue.next_rows()
        if rows == self._queue.waiting_rows:
            return
        expected_s = self._latency.execution_s(bucket_for(rows, self._settings.buckets_rows)) or 0.0
        for task in self._queue.give_up(now_s + expected_s * CAUTION):
            waited_s = now_s - task.payload.arrival_s
            message = (
                f"after {waited_s:.3f} s in the queue the answer would come in {expected_s:.3f} s, "
                "and the deadline before it"
            )
            self._shed(task, partial(DeadlineExceeded, message), "deadline")

    def _start(self, now_s: float) -> None:
        if self._queue.waiting_tasks > 1:
            self._give_up_hopeless(now_s)
        while taken := self._queue.take(now_s):
            # A member cancelled in this very iteration of the loop had no turn to withdraw.
            members = tuple([task for task in taken if not task.payload.reply.done()])
            if members:
                rows = sum([task.rows for task in members])
                bucket_rows = bucket_for(rows, self._settings.buckets_rows)
                self._execute(Batch(members, rows, bucket_rows, now_s))
                return
        if self._queue.settled:
            self._start_check(now_s)

    def _execute(self, batch: Batch) -> None:
        self._unfinished_batches += 1
        self._latency.start(batch.bucket_rows, batch.taken_s)
        parts = tuple([task.payload.inputs for task in batch.members])
        execution = None
        if self._is_quick(batch):
            execution = self._device.execute_here(parts, batch.bucket_rows)
        if execution is None:
            self._device.execute(parts, batch.bucket_rows, partial(self._finish, batch))
        else:
            self._latency.finish(batch.bucket_rows, execution.execution_s)
            self._answer(batch, execution)

    def _is_quick(self, batch: Batch) -> bool:
        expected_s = self._latency.execution_s(batch.bucket_rows)
        if self._queue.waiting_rows or expected_s is None or expected_s >= _QUICK_S:
            return False
        # What was measured had nothing to assemble: large inputs take longer to copy than to use.
        arrays = (array for task in batch.members for array in task.payload.inputs.values())
        return sum(array.nbytes for array in arrays) <= _QUICK_BYTES

    def _finish(self, batch: Batch, execution: Execution) -> None:
        # The next micro-batch goes to the device before this one is answered: it must not wait.
        self._latency.finish(batch.bucket_rows, self._clock.now_s() - batch.taken_s)
        self._pump()
        self._answer(batch, execution)

    def _answer(self, batch: Batch, execution: Execution) -> None:
        batch.answer(execution)
        # The callers go on first; nobody waits for the accounting.
        asyncio.get_running_loop().call_soon(self._account, batch, execution)

    def _account(self, batch: Batch, execution: Execution) -> None:
        self._unfinished_batches -= 1
        self._observer.notify(batch.record(self._model, self._version, execution))
        if isinstance(execution, Executed):
            self._admission.learn(execution.execution_s)
        self._report()
        if not self._queue.draining:
            if isinstance(execution, Executed):
                self._learn_for_checks(batch, execution)
            self._set_alarm()

    def _learn_for_checks(self, batch: Batch, executed: Executed) -> None:
        if tasks := batch.answered(executed):
            now_s = self._clock.now_s()
            self._tell_skipped(self._checks.learn(tasks, batch.bucket_rows, now_s))

    def _start_check(self, now_s: float) -> None:
        check = self._checks.take(now_s, self._device.idle_since_s)
        if check is not None:
            self._unfinished_batches += 1
            finish = partial(self._finish_check, check)
            self._device.execute(check.parts, check.bucket_rows, finish)

    def _finish_check(self, check: Check, execution: Execution) -> None:
        self._unfinished_batches -= 1
        self._pump()
        self._observer.notify(checked_record(self._model, self._version, check, execution))

    def _tell_skipped(self, skipped: Iterable[Skipped]) -> None:
        for each in skipped:
            self._observer.notify(skipped_record(self._model, self._version, each))

    def _shed(self, task: Task[Member], refusal: Callable[[], ServingError], reason: str) -> None:
        if settle(task, refusal):
            self._observer.notify(ShedRecord(self._model, self._version, reason))

    def _record_refusal(self, refusal: ServingError) -> None:
        reason = SHED_REASONS[type(refusal)]
        self._observer.notify(ShedRecord(self._model, self._version, reason))

    def _set_alarm(self) -> None:
        # While the device is busy only deadlines matter; its completion pumps anyway.
        if self._device.is_busy:
            self._alarm.ring_by(self._queue.expires_at())
        elif self._queue.settled:
            self._alarm.ring_by(self._checks.due_at(self._device.idle_since_s))
        else:
            self._alarm.ring_by(self._queue.due_at())

    def _report(self) -> None:
        rows = self._queue.waiting_rows
        if rows != self._reported_rows:
            self._reported_rows = rows
            self._observer.notify(QueueChanged(self._model, self._version, rows))
        if self._queue.draining and self._queue.settled and not self._unfinished_batches:
            self._drained.set()


_CLOSED = "the server or this version went away before the request was executed"
# Handing a micro-batch to the device thread and back takes as long as this.
_QUICK_S = 0.0005
_QUICK_BYTES = 1 << 21
# From the end of one execution to the start of the next, beside what is executed.
_HAND_OVER_S = 0.0002
