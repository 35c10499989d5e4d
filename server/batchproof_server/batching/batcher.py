"""The asynchronous shell of the micro-batch queue: moves time and answers; decides nothing."""

import asyncio
import math
from collections.abc import Hashable
from functools import partial

from batchproof_server.base.clock import Alarm, Clock
from batchproof_server.base.errors import ServingError
from batchproof_server.base.events import Observer, QueueChanged
from batchproof_server.base.signature import Signature, Tensors
from batchproof_server.base.spans import RequestSpans
from batchproof_server.batching.admission import Admission, LatencyModel, queue_limits
from batchproof_server.batching.apart import Apart
from batchproof_server.batching.connections import NOBODY_AHEAD, Ahead
from batchproof_server.batching.device_work import Accounts, Batch, DeviceWork, TellAnswered
from batchproof_server.batching.isolation import Isolation
from batchproof_server.batching.microbatch import MicroBatchQueue
from batchproof_server.batching.replies import BatchedRows, Member
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.batching.shedding import Shedding
from batchproof_server.batching.task import Task
from batchproof_server.batching.watch import TellTrouble, Watch
from batchproof_server.devices.device import Device, DeviceState, Execution, Finish
from batchproof_server.selfcheck.choosing import SelfChecks


# Contract
#
# Threads     Every method is called on the loop thread; one loop for the batcher's life. The device
#             gets immutable micro-batches, where it has room, and gives back immutable results.
# Answers     submit returns or raises exactly once for each accepted task.
# Privacy     What happens to one member (cancelled while waiting or executing, expired) changes
#             nothing for the others. A cancelled task that still waits frees its rows.
# Failure     Who makes the model fail gets InvalidInput, and the others their answers. When it
#             answers nobody, or breaks its contract, they get BackendFailed, each its own.
# Trouble     While the version cannot answer, what waits and what comes gets ModelNotReady.
# Deadline    A task is refused or shed at the first opportunity at or after its deadline, unless it
#             executes by then; then its answer is delivered and the caller's deadline decides. It
#             is shed earlier when its micro-batch would end too late and more wait than fit in.
# Together    Tasks submitted in one iteration of the loop ride together when they fit.
# Background  A self-check, or a row of execute_aside, goes to the device only while no task waits.
#             A task that arrives then waits at most for that small micro-batch, which no record
#             counts.
# Shutdown    drain() refuses what is new and returns when all accepted tasks are answered and no
#             self-check runs; those that wait are dropped. close() refuses what still waits. The
#             device belongs to the caller, who closes it after that.
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
        settings: sizes and limits.
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
        execution_limit_s: float = math.inf,
        clock: Clock,
        observer: Observer,
        self_checks: SelfChecks | None = None,
    ) -> None:
        self._model, self._version = model, version
        self.settings = settings
        self.max_batch_rows = settings.max_batch_rows
        self._clock, self._device, self._observer = clock, device, observer
        self._queue: MicroBatchQueue[Member] = MicroBatchQueue(queue_limits(settings, execution_s))
        # Inputs with open sizes: rows of different shapes cannot share a micro-batch.
        self._open_inputs = tuple(spec.name for spec in signature.inputs if None in spec.row_shape)
        self._checks = self_checks or SelfChecks.none()
        self._watch = Watch()
        self._shedding = Shedding(model, version, observer)
        self._isolation = Isolation(known_row)
        latency = LatencyModel(settings.buckets_rows, execution_s, device.width)
        self._admission = Admission(self._queue, device, latency, clock, settings, self._watch)
        self._accounts = Accounts(
            model, version, observer, clock, self._admission, self._isolation, self._checks
        )
        self._apart = Apart(
            self._isolation,
            settings.buckets_rows,
            self._shedding,
            tell_closed=self._accounts.add_incident,
            give_up=partial(self._enter_trouble, "the model fails for every row"),
        )
        self._pump_is_due, self._reported_rows = False, 0
        self._alarm = Alarm(clock, self._pump)
        self._work = DeviceWork(
            device=device,
            clock=clock,
            latency=latency,
            buckets_rows=settings.buckets_rows,
            watch=self._watch,
            limit_s=execution_limit_s,
            apart=self._apart,
            pump=self._pump,
            enter_trouble=self._enter_trouble,
            account=self._account,
            account_check=self._accounts.add_check,
        )
        self._drained = asyncio.Event()

    @property
    def is_pressed(self) -> bool:
        """Whether more than the running micro-batch and the next are to be executed."""
        return self._queue.waiting_rows >= self.max_batch_rows

    @property
    def is_occupied(self) -> bool:
        """Whether the device is busy and has enough to do next without whoever comes now."""
        return not self._device.room and self._queue.has_enough

    def listen(self, tell: TellTrouble) -> None:
        """Says who is told that this version cannot answer, with the reason, and that it can."""
        self._watch.listen(tell)

    def follow_answers(self, tell: TellAnswered | None) -> None:
        """Says who is told of micro-batches whose members were answered; None tells nobody."""
        self._accounts.tell_answered = tell

    @property
    def has_work(self) -> bool:
        """Whether something waits or is executed."""
        return bool(self._work.unfinished or self._isolation.incidents) or not self._queue.settled

    @property
    def is_draining(self) -> bool:
        """Whether nothing new is accepted any more."""
        return self._queue.draining

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing waits or is executed, and something could be."""
        is_able = not (self._queue.draining or self._watch.trouble)
        return is_able and not self.has_work and self._device.room == self._device.width

    def execute_aside(self, rows: Tensors, tell: Finish) -> None:
        """Executes rows that no request waits for in the smallest bucket; to be called at rest.

        No record counts it, and no self-check learns of it.

        Args:
            rows: as many on axis 0 as that bucket has, or fewer, checked against the signature.
            tell: gets what became of it, in a later turn of the loop.
        """
        bucket_rows = self.settings.buckets_rows[0]
        self._work.execute_aside((rows,), bucket_rows, self._clock.now_s(), tell)
        self._set_alarm()

    async def submit(
        self,
        inputs: Tensors,
        rows: int,
        deadline_s: float | None = None,
        request_id: str = "",
        caller: Hashable = "",
        spans: RequestSpans | None = None,
    ) -> BatchedRows:
        """Executes ``rows`` rows, others beside them or not, and returns their answers.

        Args:
            inputs: checked against the signature; nobody changes them until the answer is there.
            rows: 1 to ``settings.max_batch_rows``.
            deadline_s: an instant of the clock; None waits as long as it takes.
            request_id: names the request should a self-check find its answer wrong.
            caller: has a share of the queue.
            spans: of a sampled request.

        Raises:
            Draining: nothing new is accepted.
            DeadlineExceeded: the deadline passed before execution began.
            QueueFull: too many rows wait, or too many for this deadline, or of this caller.
            ModelNotReady: the version cannot answer now.
            InvalidInput: the model fails for these rows, and answers others.
            BackendFailed: the model raised or broke its contract; the cause is chained.
            ValueError: ``rows`` is not what the inputs hold, or more than one micro-batch.
        """
        now_s = self._clock.now_s()
        reply = asyncio.get_running_loop().create_future()
        open_inputs = self._open_inputs
        kind = tuple(inputs[name].shape[1:] for name in open_inputs) if open_inputs else None
        task = Task(Member(inputs, reply, now_s, request_id, spans), rows, deadline_s, kind, caller)
        try:
            displaced = self._admission.offer(task, now_s)
        except ServingError as refusal:
            self._shedding.count(refusal)
            raise
        if displaced:
            self._shedding.displaced(displaced, caller, self._admission.retry_after_s())
        self._schedule_pump()
        try:
            outcome = await reply
        except BaseException:  # the caller went away; what was answered waits no more
            if self._queue.withdraw(task):
                self._report()
            raise
        if isinstance(outcome, BatchedRows):
            return outcome
        raise outcome()

    def check_room(self, rows: int, deadline_s: float | None = None, caller: Hashable = "") -> None:
        """Returns when ``submit`` would accept ``rows`` now; a refusal counts as a shed request.

        Raises:
            Draining, QueueFull, ModelNotReady: as ``submit`` does.
        """
        try:
            self._admission.check(rows, deadline_s, caller)
        except ServingError as refusal:
            self._shedding.count(refusal)
            raise

    def refusal(
        self, deadline_s: float | None = None, caller: Hashable = "", ahead: Ahead = NOBODY_AHEAD
    ) -> ServingError | None:
        """What ``submit`` would raise for one row behind those ``ahead``; counts nothing."""
        try:
            self._admission.check(1, deadline_s, caller, ahead)
        except ServingError as refusal:
            return refusal
        return None

    async def drain(self) -> None:
        """Refuses what is new and returns when every accepted task is answered.

        May be awaited more than once; cancelling the wait does not undo the draining.
        """
        self._queue.drain()
        self._accounts.drop_checks()
        self._schedule_pump()
        await self._drained.wait()

    def close(self) -> None:
        """Refuses what is new and what still waits. A running micro-batch is answered yet."""
        self._queue.drain()
        self._accounts.drop_checks()
        self._shedding.closed((*self._isolation.withdraw_all(), *self._queue.withdraw_all()))
        self._alarm.cancel()
        self._report()

    def _schedule_pump(self) -> None:
        if not self._pump_is_due:
            self._pump_is_due = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_is_due = False
        now_s = self._clock.now_s()
        if expired := self._queue.expire(now_s):
            self._shedding.expired(expired, now_s)
        if self._work.overdue_at_s <= now_s:
            reason = self._work.give_up()
            if self._device.state not in {DeviceState.IDLE, DeviceState.BUSY}:
                self._enter_trouble(reason)
        elif self._watch.trouble and self._watch.is_time_to_look(now_s):
            may_answer = self._device.room and self._apart.may_answer()
            if may_answer:
                self._watch.leave()
        for room in range(self._device.room, 0, -1):
            self._start(now_s, room)
        self._set_alarm()
        self._report()

    def _start(self, now_s: float, room: int) -> None:
        is_apart = bool(self._isolation.incidents)
        if is_apart and self._isolation.takes_turn() and self._work.execute_apart(now_s):
            return
        if self._start_waiting(now_s, room) or (is_apart and self._work.execute_apart(now_s)):
            return
        if self._checks.waiting and self._queue.settled and not self._watch.trouble:
            check = self._checks.take(now_s, self._device.idle_since_s)
            if check is not None:
                self._work.execute_check(check, now_s)

    def _start_waiting(self, now_s: float, room: int) -> bool:
        if self._queue.waiting_tasks > 1:
            hopeless, expected_s = self._admission.give_up(now_s, room)
            self._shedding.hopeless(hopeless, now_s, expected_s)
        while taken := self._queue.take(now_s, room):
            # A member cancelled in this very iteration of the loop had no turn to withdraw.
            members = tuple([task for task in taken if not task.payload.reply.done()])
            if members:
                if self._work.execute(members, now_s, is_last=not self._queue.waiting_rows):
                    self._schedule_pump()
                return True
        return False

    def _account(self, batch: Batch, execution: Execution) -> None:
        self._work.unfinished -= 1
        self._accounts.add(batch, execution, is_last=self._queue.draining)
        if self._queue.draining:
            self._report()
        elif self._checks.waiting:
            self._set_alarm()

    def _enter_trouble(self, reason: str) -> None:
        waiting = (*self._isolation.withdraw_all(), *self._queue.withdraw_all())
        self._shedding.not_ready(waiting, reason)
        self._watch.enter(reason, self._clock.now_s())

    def _set_alarm(self) -> None:
        # While the device is busy only deadlines matter, and whether it hangs: its end pumps.
        at_s: float | None = None
        if self._watch.trouble:
            at_s = self._watch.look_at_s
        elif not self._device.room:
            at_s = self._queue.expires_at()
        elif not self._queue.settled:
            at_s = self._queue.due_at()
        elif self._checks.waiting:
            at_s = self._checks.due_at(self._device.idle_since_s)
        at_s = min(self._work.overdue_at_s, math.inf if at_s is None else at_s)
        self._alarm.ring_by(at_s if at_s < math.inf else None)

    def _report(self) -> None:
        rows = self._queue.waiting_rows
        if rows != self._reported_rows:
            self._reported_rows = rows
            self._observer.notify(QueueChanged(self._model, self._version, rows))
        is_done = self._queue.draining and not (self._work.unfinished or self._isolation.incidents)
        if is_done and self._queue.settled:
            self._drained.set()
