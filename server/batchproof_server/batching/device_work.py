"""Micro-batches on the device: from the hand-over to the last account. Decides nothing."""

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from batchproof_server.base.clock import Clock
from batchproof_server.base.events import BatchRecord, Observer
from batchproof_server.base.signature import Tensors
from batchproof_server.base.spans import SampledTask
from batchproof_server.base.unguarded import unguarded
from batchproof_server.batching.admission import Admission, LatencyModel, bucket_for
from batchproof_server.batching.apart import Apart
from batchproof_server.batching.background import checked_record, isolated_record, skipped_record
from batchproof_server.batching.isolation import Fragment, Incident, Isolation
from batchproof_server.batching.replies import (
    BatchedRows,
    CoBatched,
    Members,
    backend_failed,
    settle,
)
from batchproof_server.batching.watch import Watch
from batchproof_server.devices.device import Device, Executed, Execution, Finish, NotExecuted
from batchproof_server.selfcheck.choosing import SelfChecks
from batchproof_server.selfcheck.judging import Answered, Check

# Told of the members of a micro-batch, of its bucket, and how long its execution took in seconds.
TellAnswered: TypeAlias = Callable[[Sequence[Answered], int, float], None]


@unguarded()
class Batch:
    """The members of one micro-batch.

    Attributes:
        members: in the order of their rows.
        rows: rows of all members.
        bucket_rows: rows with the padding.
        taken_s: when it was handed to the device.
        is_again: whether its members were executed before, in a micro-batch that failed.
    """

    members: Members
    rows: int
    bucket_rows: int
    taken_s: float
    is_again: bool = False

    def answer(self, execution: Execution) -> None:
        """Gives each member its rows, or each its own BackendFailed."""
        if isinstance(execution, NotExecuted):
            for task in self.members:
                settle(task, partial(backend_failed, execution.cause))
            return
        co_batched = CoBatched(execution.parts) if len(self.members) > 1 else None
        pairs = zip(self.members, execution.parts, strict=True)
        for place, (task, outputs) in enumerate(pairs):
            member = task.payload
            if not member.reply.done():
                rows = BatchedRows(
                    outputs=outputs,
                    rows=task.rows,
                    bucket_rows=self.bucket_rows,
                    queue_delay_s=self.taken_s - member.arrival_s,
                    execution_s=execution.execution_s,
                    co_batched=co_batched,
                    place=place,
                )
                member.reply.set_result(rows)

    def answered(self, executed: Executed) -> list[Answered]:
        """What became of each member, for the self-check.

        Whoever cancelled has no answer that could be wrong, and may use the inputs' memory again.
        """
        answered, position = [], 0
        for task, outputs in zip(self.members, executed.parts, strict=True):
            member = task.payload
            if not member.reply.cancelled():
                answered.append(
                    Answered(
                        request_id=member.request_id,
                        kind=task.kind,
                        inputs=member.inputs,
                        outputs=outputs,
                        rows=task.rows,
                        position=position,
                    )
                )
            position += task.rows
        return answered

    def record(self, model: str, version: int, execution: Execution) -> BatchRecord:
        """What observers are told."""
        sampled: tuple[SampledTask, ...] = ()
        for task in self.members:
            if (spans := task.payload.spans) is not None:
                queued_s = None if self.is_again else task.payload.arrival_s
                sampled += (SampledTask(spans, queued_s, self.taken_s, task.rows),)
        return BatchRecord(
            model=model,
            version=version,
            rows=self.rows,
            bucket_rows=self.bucket_rows,
            # The wait of a member was recorded when it was executed the first time.
            queue_delays_s=()
            if self.is_again
            else tuple([self.taken_s - task.payload.arrival_s for task in self.members]),
            execution_s=execution.execution_s,
            failed=isinstance(execution, NotExecuted),
            sampled=sampled,
        )


# Contract: after the members of a micro-batch were answered, it is told of once.
class Accounts:
    """Tells of what was executed: observers, and those who learn from it.

    Args:
        model: its name, for records.
        version: its version, for records.
        observer: told of everything.
        clock: says what time it is.
        admission: learns how long micro-batches take.
        isolation: learns that the model answers.
        checks: learn what was answered.

    Attributes:
        tell_answered: told of each micro-batch whose members were answered; None tells nobody.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - each learns something else
        self,
        model: str,
        version: int,
        observer: Observer,
        clock: Clock,
        admission: Admission,
        isolation: Isolation,
        checks: SelfChecks,
    ) -> None:
        self._model = model
        self._version = version
        self._observer = observer
        self._clock = clock
        self._admission = admission
        self._isolation = isolation
        self._checks = checks
        self.tell_answered: TellAnswered | None = None

    def add(self, batch: Batch, execution: Execution, *, is_last: bool) -> None:
        """A micro-batch came back.

        Args:
            batch: whose members were answered.
            execution: what came of it.
            is_last: whether nothing more of the version is to be checked.
        """
        self._observer.notify(batch.record(self._model, self._version, execution))
        if isinstance(execution, NotExecuted):
            return
        self._admission.learn(execution.execution_s)
        if self._isolation.known_row is None or self._isolation.model_failures:
            for task in batch.members[:1]:
                self._isolation.learn_answered(task.payload.inputs)
        if not is_last and (tasks := batch.answered(execution)):
            if self.tell_answered is not None:
                self.tell_answered(tasks, batch.bucket_rows, execution.execution_s)
            now_s = self._clock.now_s()
            for skipped in self._checks.learn(tasks, batch.bucket_rows, now_s):
                self._observer.notify(skipped_record(self._model, self._version, skipped))

    def add_check(self, check: Check, execution: Execution) -> None:
        """A self-check came back."""
        self._observer.notify(checked_record(self._model, self._version, check, execution))

    def add_incident(self, incident: Incident) -> None:
        """It is known who made a micro-batch fail."""
        self._observer.notify(isolated_record(self._model, self._version, incident))

    def drop_checks(self) -> None:
        """What waits to be checked never will be."""
        for skipped in self._checks.drop():
            self._observer.notify(skipped_record(self._model, self._version, skipped))


# Contract: lives on the loop thread. What is handed over is accounted for once, after its members
# were answered, and those after the next micro-batch went to the device.
class DeviceWork:
    """Hands work to the device of one model version, and gives back what comes of it.

    Args:
        device: has room whenever it is handed something.
        clock: says what time it is.
        latency: learns how long micro-batches take.
        buckets_rows: ascending.
        watch: looks again when the device says so.
        limit_s: an execution that takes longer is to be given up.
        apart: takes over the members of micro-batches that the model failed.
        pump: hands the next work over, if there is any.
        enter_trouble: called with the reason when the device cannot execute for now.
        account: told of every micro-batch once its members are answered.
        account_check: told of every self-check that came back.

    Attributes:
        unfinished: what was handed over and is not accounted for yet; ``account`` counts it off.
        overdue_at_s: when the execution that began first is to be given up; only to be read.
    """

    def __init__(  # noqa: PLR0913 - each is one end of the road
        self,
        *,
        device: Device,
        clock: Clock,
        latency: LatencyModel,
        buckets_rows: tuple[int, ...],
        watch: Watch,
        limit_s: float,
        apart: Apart,
        pump: Callable[[], None],
        enter_trouble: Callable[[str], None],
        account: Callable[[Batch, Execution], None],
        account_check: Callable[[Check, Execution], None],
    ) -> None:
        self._device = device
        self._clock = clock
        self._latency = latency
        self._buckets_rows = buckets_rows
        self._watch = watch
        self._limit_s = limit_s
        self._apart = apart
        self._pump = pump
        self._enter_trouble = enter_trouble
        self._account = account
        self._account_check = account_check
        self.unfinished = 0
        self.overdue_at_s = math.inf
        self._number = 0
        self._overdue_at_s: dict[int, float] = {}  # of each execution, in the order of beginning
        device.listen(self._hear)

    def execute(self, members: Members, now_s: float, *, is_last: bool) -> bool:
        """Executes a micro-batch; whether it failed at once and its members wait to go apart.

        Args:
            members: just taken.
            now_s: the instant.
            is_last: whether nothing else waits: then a quick one is executed on this very thread.
        """
        parts = tuple([task.payload.inputs for task in members])
        rows = sum([task.rows for task in members])
        batch = Batch(members, rows, bucket_for(rows, self._buckets_rows), now_s)
        execution = None
        if is_last and self._latency.is_quick(batch.bucket_rows, parts):
            execution = self._device.execute_here(parts, batch.bucket_rows)
        if execution is None:
            self._hand_over(batch, None, parts)
            return False
        self.unfinished += 1
        self._latency.learn(batch.bucket_rows, execution.execution_s)
        is_apart = self._is_apart(batch, None, execution)
        self._answer(batch, execution, is_apart=is_apart)
        return is_apart

    def execute_apart(self, now_s: float) -> bool:
        """Executes some members of a micro-batch that failed; whether there were any."""
        if (piece := self._apart.take(now_s)) is None:
            return False
        fragment, parts, rows, bucket_rows = piece
        batch = Batch(fragment.members, rows, bucket_rows, now_s, is_again=True)
        self._hand_over(batch, fragment, parts)
        return True

    def execute_check(self, check: Check, now_s: float) -> None:
        """Executes a self-check."""
        tell = partial(self._account_check, check)
        self.execute_aside(check.parts, check.bucket_rows, now_s, tell)

    def execute_aside(
        self, parts: tuple[Tensors, ...], bucket_rows: int, now_s: float, tell: Finish
    ) -> None:
        """Executes rows that no caller waits for, and tells what came of it."""
        finish = partial(self._finish_aside, tell, self._begin(now_s))
        self._device.execute(parts, bucket_rows, finish)

    def give_up(self) -> str:
        """Gives up the execution that began first; returns why."""
        self._end(next(iter(self._overdue_at_s)))
        self._device.cancel()
        return f"an execution did not end within {self._limit_s:.3g} s"

    def _hand_over(
        self, batch: Batch, fragment: Fragment | None, parts: tuple[Tensors, ...]
    ) -> None:
        number = self._begin(batch.taken_s)
        self._latency.start(number, batch.bucket_rows, batch.taken_s)
        finish = partial(self._finish, number, batch, fragment)
        self._device.execute(parts, batch.bucket_rows, finish)

    def _begin(self, now_s: float) -> int:
        """An execution begins; the number that names it."""
        self.unfinished += 1
        self._number += 1
        overdue_at_s = self._overdue_at_s[self._number] = now_s + self._limit_s
        self.overdue_at_s = min(self.overdue_at_s, overdue_at_s)
        return self._number

    def _end(self, number: int) -> None:
        self._overdue_at_s.pop(number, None)  # what was given up comes back as well
        self.overdue_at_s = next(iter(self._overdue_at_s.values()), math.inf)

    def _hear(self, reason: str) -> None:
        """The device is away for a while, or is there again."""
        if reason:
            self._enter_trouble(reason)
        else:
            self._watch.look_now()
        self._pump()

    def _finish(
        self, number: int, batch: Batch, fragment: Fragment | None, execution: Execution
    ) -> None:
        # The next micro-batch goes to the device before this one is answered: it must not wait.
        self._end(number)
        self._latency.finish(number, batch.bucket_rows, self._clock.now_s() - batch.taken_s)
        is_apart = self._is_apart(batch, fragment, execution)
        self._pump()
        self._answer(batch, execution, is_apart=is_apart)

    def _is_apart(self, batch: Batch, fragment: Fragment | None, execution: Execution) -> bool:
        """Whether somebody else answers the members, since the execution failed."""
        if fragment is not None:
            self._apart.learn(fragment, execution)
            return isinstance(execution, NotExecuted)
        if not isinstance(execution, NotExecuted) or self._watch.trouble:
            return False
        return self._apart.begin(batch.members, execution.cause)

    def _answer(self, batch: Batch, execution: Execution, *, is_apart: bool) -> None:
        if batch.members and not is_apart:
            batch.answer(execution)
        # The callers go on first; nobody waits for the accounting.
        asyncio.get_running_loop().call_soon(self._account, batch, execution)

    def _finish_aside(self, tell: Finish, number: int, execution: Execution) -> None:
        self.unfinished -= 1
        self._end(number)
        self._pump()
        tell(execution)
