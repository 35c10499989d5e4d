"""The asynchronous shell of the micro-batch queue: moves time and answers; decides nothing.

The loop thread owns all state here. The device thread receives one immutable batch at a time and
gives back one immutable result.
"""

import asyncio
import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from functools import partial

from batchproof_server.base.clock import Alarm, Clock
from batchproof_server.base.errors import (
    DeadlineExceeded,
    Draining,
    ModelNotReady,
    ServingError,
)
from batchproof_server.base.events import IsolationRecord, Observer, QueueChanged, ShedRecord
from batchproof_server.base.signature import Signature, Tensors
from batchproof_server.batching.admission import CAUTION, Admission, LatencyModel, bucket_for
from batchproof_server.batching.background import checked_record, skipped_record
from batchproof_server.batching.isolation import (
    Fragment,
    Isolation,
    IsolationStep,
    Members,
    raised_by_model,
)
from batchproof_server.batching.microbatch import Limits, MicroBatchQueue, Task
from batchproof_server.batching.replies import SHED_REASONS, Batch, BatchedRows, Member, settle
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.batching.watch import TellTrouble, Watch
from batchproof_server.devices.device import Device, Executed, Execution, NotExecuted
from batchproof_server.selfcheck.choosing import SelfChecks
from batchproof_server.selfcheck.judging import Check, Skipped

_NO_LIMIT_S = math.inf


# Contract
#
# Threads     Every method is called on the loop thread; one loop for the batcher's life. The device
#             has one thread, so that one micro-batch is executed at a time.
# Answers     submit returns or raises exactly once for each accepted task. The reply travels with
#             its task and settling it twice is harmless.
# Privacy     What happens to one member (cancelled while waiting or executing, expired) changes
#             nothing for the others. A cancelled task that still waits frees its rows.
# Failure     When the model raises, the members of that micro-batch are executed apart: who it
#             refuses gets InvalidInput, the others their answers. When it answers nobody, or the
#             backend breaks its contract, they get BackendFailed, each its own.
# Trouble     An execution that takes longer than a limit is given up. Then, and when the model
#             fails for every row, what waits and what comes gets ModelNotReady, until it works.
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
        known_row: one that the model has executed; None where there is none.
        execution_limit_s: an execution that takes longer is given up.
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
        known_row: Tensors | None = None,
        execution_limit_s: float = _NO_LIMIT_S,
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
        self._isolation = Isolation(known_row)
        self._watch = Watch()
        self._execution_limit_s = execution_limit_s
        self._overdue_at_s = math.inf
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

    def listen(self, tell: TellTrouble) -> None:
        """Says who is told that this version cannot answer, with the reason, and that it can."""
        self._watch.listen(tell)

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
            ModelNotReady: the version cannot answer now.
            InvalidInput: the model fails for these rows, and answers others.
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
            self._check(rows, deadline_s)
        except ServingError as refusal:
            return refusal
        return None

    def _check(self, rows: int, deadline_s: float | None) -> None:
        if self._watch.trouble:
            raise _not_ready(self._watch.trouble)
        self._admission.check(rows, deadline_s)

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
        for task in (*self._isolation.withdraw_all(), *self._queue.withdraw_all()):
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
            self._check(task.rows, task.deadline)
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
        if self._overdue_at_s <= now_s:
            self._overdue_at_s = math.inf
            self._device.cancel()
            limit = f"an execution did not end within {self._execution_limit_s:.3g} s"
            self._enter_trouble(limit, now_s)
        elif self._watch.trouble and self._watch.is_time_to_look(now_s):
            self._look_again()
        if not self._device.is_busy:
            self._start(now_s)
        self._set_alarm()
        self._report()

    def _enter_trouble(self, reason: str, now_s: float) -> None:
        for task in (*self._isolation.withdraw_all(), *self._queue.withdraw_all()):
            self._shed(task, partial(_not_ready, reason), "not_ready")
        self._watch.enter(reason, now_s)

    def _look_again(self) -> None:
        """Whether what hung came back, or a broken model works again."""
        if self._device.is_busy:
            return
        if not self._isolation.is_broken:
            self._watch.leave()
        elif not self._isolation.incidents:
            self._isolation.begin_probe()

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
        is_apart = bool(self._isolation.incidents)
        if is_apart and self._isolation.takes_turn() and self._start_fragment(now_s):
            return
        if self._start_waiting(now_s) or (is_apart and self._start_fragment(now_s)):
            return
        if self._queue.settled and not self._watch.trouble:
            self._start_check(now_s)

    def _start_fragment(self, now_s: float) -> bool:
        while (fragment := self._isolation.take()) is not None:
            members = self._living(fragment.members, now_s)
            if members or fragment.is_known_row:
                self._execute_fragment(replace(fragment, members=members), now_s)
                return True
            self._settle(self._isolation.drop(fragment), now_s)
        return False

    def _living(self, members: Members, now_s: float) -> Members:
        """Those for whom somebody still waits, and in time."""
        for task in members:
            if task.deadline is not None and task.deadline <= now_s:
                message = "the deadline passed before the request was executed apart from others"
                self._shed(task, partial(DeadlineExceeded, message), "deadline")
        return tuple(task for task in members if not task.payload.reply.done())

    def _execute_fragment(self, fragment: Fragment, now_s: float) -> None:
        parts = tuple([task.payload.inputs for task in fragment.members])
        rows = sum([task.rows for task in fragment.members])
        if fragment.is_known_row:
            parts, rows = (self._isolation.known_row or {},), 1
        bucket_rows = bucket_for(rows, self._settings.buckets_rows)
        batch = Batch(fragment.members, rows, bucket_rows, now_s, is_again=True)
        self._unfinished_batches += 1
        self._latency.start(bucket_rows, now_s)
        self._overdue_at_s = now_s + self._execution_limit_s
        self._device.execute(parts, bucket_rows, partial(self._finish, batch, fragment))

    def _start_waiting(self, now_s: float) -> bool:
        if self._queue.waiting_tasks > 1:
            self._give_up_hopeless(now_s)
        while taken := self._queue.take(now_s):
            # A member cancelled in this very iteration of the loop had no turn to withdraw.
            members = tuple([task for task in taken if not task.payload.reply.done()])
            if members:
                rows = sum([task.rows for task in members])
                bucket_rows = bucket_for(rows, self._settings.buckets_rows)
                self._execute(Batch(members, rows, bucket_rows, now_s))
                return True
        return False

    def _execute(self, batch: Batch) -> None:
        self._unfinished_batches += 1
        self._latency.start(batch.bucket_rows, batch.taken_s)
        parts = tuple([task.payload.inputs for task in batch.members])
        execution = None
        if self._is_quick(batch):
            execution = self._device.execute_here(parts, batch.bucket_rows)
        if execution is None:
            self._overdue_at_s = batch.taken_s + self._execution_limit_s
            self._device.execute(parts, batch.bucket_rows, partial(self._finish, batch, None))
        else:
            self._latency.finish(batch.bucket_rows, execution.execution_s)
            is_isolated = isinstance(execution, NotExecuted) and self._isolate(
                batch, None, execution.cause
            )
            self._answer(batch, execution, is_isolated=is_isolated)
            if is_isolated:
                self._schedule_pump()

    def _is_quick(self, batch: Batch) -> bool:
        expected_s = self._latency.execution_s(batch.bucket_rows)
        if self._queue.waiting_rows or expected_s is None or expected_s >= _QUICK_S:
            return False
        # What was measured had nothing to assemble: large inputs take longer to copy than to use.
        arrays = (array for task in batch.members for array in task.payload.inputs.values())
        return sum(array.nbytes for array in arrays) <= _QUICK_BYTES

    def _finish(self, batch: Batch, fragment: Fragment | None, execution: Execution) -> None:
        # The next micro-batch goes to the device before this one is answered: it must not wait.
        now_s = self._clock.now_s()
        self._overdue_at_s = math.inf
        self._latency.finish(batch.bucket_rows, now_s - batch.taken_s)
        is_isolated = isinstance(execution, NotExecuted) and self._isolate(
            batch, fragment, execution.cause
        )
        if isinstance(execution, Executed) and fragment is not None:
            self._settle(self._isolation.learn(fragment, None), now_s)
        self._pump()
        self._answer(batch, execution, is_isolated=is_isolated)

    def _isolate(self, batch: Batch, fragment: Fragment | None, cause: BaseException) -> bool:
        """Finds out who made a micro-batch fail; whether that decides the fate of its members."""
        if fragment is not None:
            step = self._isolation.learn(fragment, cause)
        elif raised_by_model(cause) and not self._watch.trouble:
            step = self._isolation.begin(batch.members, cause)
        else:
            return False
        self._settle(step, self._clock.now_s())
        return True

    def _settle(self, step: IsolationStep, now_s: float) -> None:
        for task, refusal in step.refusals:
            settle(task, refusal)
        if (closed := step.closed) is not None:
            record = IsolationRecord(
                self._model, self._version, closed.executions, closed.refused, closed.failed
            )
            self._observer.notify(record)
        if self._isolation.is_broken:
            self._enter_trouble("the model fails for every row", now_s)

    def _answer(self, batch: Batch, execution: Execution, *, is_isolated: bool = False) -> None:
        if batch.members and not is_isolated:
            batch.answer(execution)
        # The callers go on first; nobody waits for the accounting.
        asyncio.get_running_loop().call_soon(self._account, batch, execution)

    def _account(self, batch: Batch, execution: Execution) -> None:
        self._unfinished_batches -= 1
        self._observer.notify(batch.record(self._model, self._version, execution))
        if isinstance(execution, Executed):
            self._admission.learn(execution.execution_s)
            if self._isolation.known_row is None or self._isolation.model_failures:
                for task in batch.members[:1]:
                    self._isolation.learn_answered(task.payload.inputs)
        self._report()
        if not self._queue.draining:
            if batch.members and isinstance(execution, Executed):
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
            self._overdue_at_s = now_s + self._execution_limit_s
            self._device.execute(check.parts, check.bucket_rows, finish)

    def _finish_check(self, check: Check, execution: Execution) -> None:
        self._unfinished_batches -= 1
        self._overdue_at_s = math.inf
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
        # While the device is busy only deadlines matter, and whether it hangs; its completion pumps
        # anyway.
        if self._watch.trouble:
            self._alarm.ring_by(self._watch.look_at_s)
        elif self._device.is_busy:
            expires_at_s = self._queue.expires_at()
            if expires_at_s is None or self._overdue_at_s < expires_at_s:
                expires_at_s = self._overdue_at_s if self._overdue_at_s < math.inf else None
            self._alarm.ring_by(expires_at_s)
        elif self._queue.settled:
            self._alarm.ring_by(self._checks.due_at(self._device.idle_since_s))
        else:
            self._alarm.ring_by(self._queue.due_at())

    def _report(self) -> None:
        rows = self._queue.waiting_rows
        if rows != self._reported_rows:
            self._reported_rows = rows
            self._observer.notify(QueueChanged(self._model, self._version, rows))
        settled = self._queue.settled and not self._isolation.incidents
        if self._queue.draining and settled and not self._unfinished_batches:
            self._drained.set()


def _not_ready(reason: str) -> ModelNotReady:
    return ModelNotReady(f"{reason}; try again soon or elsewhere")


_CLOSED = "the server or this version went away before the request was executed"
# Handing a micro-batch to the device thread and back takes as long as this.
_QUICK_S = 0.0005
_QUICK_BYTES = 1 << 21
# From the end of one execution to the start of the next, beside what is executed.
_HAND_OVER_S = 0.0002
